"""The wheel, installed where there is nothing else of servedrill: the shipped drills run in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from servedrill.files.shipped import shipped_files

pytest.importorskip("hatchling", reason="hatchling builds the wheel; it comes with servedrill[test]")
ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def done(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    return subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the source distribution, as everything that is published is."""
    folder = tmp_path_factory.mktemp("dist")
    made = done(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder), cwd=ROOT)
    assert made.returncode == 0, made.stderr
    (source,) = folder.glob("*.tar.gz")
    offline = ("--no-deps", "--no-index", "--no-build-isolation")
    made = done(*PIP, "wheel", *offline, "--wheel-dir", str(folder), str(source), cwd=folder)
    assert made.returncode == 0, made.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_has_what_a_checkout_has_and_only_once(wheel: Path) -> None:
    """Drills, stack files, SLOs, the maker of models, inside of the package."""
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert len(names) == len(set(names))
    assert {f"servedrill/{name}" for name in shipped_files()} <= set(names)
    assert {re.split("[-/]", name)[0] for name in names} == {"servedrill"}


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_a_shipped_drill_runs_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """With all that it needs from the wheel, and all that it leaves in the folder: nothing is written beside the code.

    What it comes to is another matter, which the machine has a say in.
    """
    venv, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    assert done(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=tmp_path).returncode == 0
    python = str(venv / "bin" / "python")
    installed = done(*PIP, "--python", python, "install", "--no-deps", "--no-index", str(wheel), cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))  # what servedrill needs is there already
    before = files_below(packages)
    drill, slo = "servedrill.drills.test_5_cancel_storm", "fixtures/data/slos/chat.yaml"
    asked = (drill, "--drill-control", "--drill-seed=7", "--drill-slo", slo, "--drill-no-report")
    ran = done(python, "-m", "pytest", "--pyargs", *asked, "-p", "no:cacheprovider", cwd=folder)
    assert ran.returncode in (0, 1, 6), ran.stdout + ran.stderr
    assert [path.name for path in folder.iterdir()] == [".servedrill"]
    assert files_below(packages) == before
    run = folder / ".servedrill" / "runs" / "latest"
    again = f"pytest {drill}::test_cancel_storm --pyargs --drill-seed 7 --drill-slo {slo} --drill-control"
    assert json.loads((run / "run.json").read_text())["replay"] == {"cancel_storm": again}
    ended = json.loads((run / "cancel_storm" / "history.jsonl").read_text().splitlines()[-1])
    assert (ended["type"], ended.get("interrupted")) == ("drill_ended", None)
    assert (run / "cancel_storm" / "verdict.json").is_file()
