"""servedrill beside the options, fixtures and markers of others: a suite that has no drills runs as it did before."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servedrill.plugin import ELSEWHERE

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
PLAIN = ("stack", "seed", "control", "defect", "slo", "arrivals", "runs", "baseline", "production", "no-report")
MARKERS = ("needs", "uses", "catches", "drill", "control", "stack", "inconclusive")
FIXTURES = ("drill", "open_drill", "drill_plugin", "stack", "seed", "runs", "control", "servedrill")

OPTIONS = f"""
import pytest

NAMES = {[name.replace("-", "_") for name in PLAIN]}

def pytest_addoption(parser):
    for name in NAMES:
        parser.addoption("--" + name.replace("_", "-"), default=f"default {{name}}", help="ours")
        parser.addini(name, "ours", default="")

@pytest.fixture
def said(request):
    return {{name: request.config.getoption(name) for name in NAMES}}
"""
ASKS_OPTIONS = f"""
def test_the_suite_has_its_own_words(said, request):
    expected = {{name.replace("-", "_"): f"default {{name}}".replace("-", "_") for name in {PLAIN}}}
    assert said == expected | {{"seed": "soon", "stack": "full", "runs": "3", "control": "tower"}}
    assert request.config.getini("stack") == "of cards"

def test_fails():
    assert 0, "as before"
"""
MARKED = f"""
import pytest

def pytest_configure(config):
    for name in {MARKERS}:
        config.addinivalue_line("markers", name + "(*what): ours")

def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        if "redis" in mark.args:
            pytest.skip("no redis")
"""
ASKS_MARKERS = "import pytest\n" + "".join(
    f"\n@pytest.mark.{name}('{'redis' if name == 'needs' else 'x'}', 7)\ndef test_marked_{name}():\n    pass\n"
    for name in MARKERS
)
FIXED = "import pytest\n" + "".join(f"\n@pytest.fixture\ndef {name}():\n    yield 'our {name}'\n" for name in FIXTURES)
ASKS_FIXTURES = "".join(f"def test_{name}({name}):\n    assert {name} == 'our {name}'\n\n" for name in FIXTURES)
REPORTS = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.drill = report.inconclusive = report.control = "ours"
    return report
"""
SUITES = {
    "options": (OPTIONS, ASKS_OPTIONS, ("--seed=soon", "--stack=full", "--runs=3", "--control", "tower"), (1, 1, 0)),
    "markers": (MARKED, ASKS_MARKERS, ("-m", "needs or uses or catches"), (2, 0, 1)),
    "fixtures": (FIXED + REPORTS, ASKS_FIXTURES, (), (len(FIXTURES), 0, 0)),
}
"""What conftest.py says, what the tests ask, how pytest is called, and how many pass, fail and are skipped."""


def outcome(folder: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """Exit status and output of pytest in the folder, but for what no two runs have in common."""
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--strict-markers", "-Werror", *arguments],
        cwd=folder, env={**os.environ, **alone, **variables}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    lines = [
        line for line in lines if not re.match(r"[.FsE]+ +\[", line)
    ]  # their order is chance where workers run them
    return done.returncode, [re.sub(r"\d+\.\d+s|0x[0-9a-f]+|=", "", line) for line in lines]


@pytest.mark.parametrize(
    ("name", "processes"), [*((name, ()) for name in SUITES), ("fixtures", ("-p", "xdist", "-n2"))], ids=str
)
def test_a_suite_that_uses_our_plain_words_runs_as_before(
    tmp_path: Path, name: str, processes: tuple[str, ...]
) -> None:
    """The same lines, warnings as errors, the same exit status; nothing is written."""
    conftest, tests, arguments, (passed, failed, skipped) = SUITES[name]
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text(tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\nxfail_strict = true\n" + "stack = of cards\n" * (name == "options"))
    without = outcome(tmp_path, *arguments, *processes)
    assert without[0] == int(failed > 0)
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped)", without[1][-1])}
    assert counted == {key: n for key, n in (("passed", passed), ("failed", failed), ("skipped", skipped)) if n}
    with_it = outcome(tmp_path, "-p", "servedrill.plugin", *arguments, *processes)
    assert with_it[0] == without[0]
    assert (sorted if processes else list)(with_it[1]) == (sorted if processes else list)(without[1])
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"conftest.py", "pytest.ini", "test_it.py"}


@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n2")], ids=["alone", "two"])
def test_what_cannot_be_used_is_nothing_to_a_suite_without_drills(tmp_path: Path, processes: tuple[str, ...]) -> None:
    """An environment of CI for the drills, half of it empty, and an ini file with a file that is gone."""
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ndrill_stack = gone.toml\ndrill_seed = soon\ndrill_slo =\n")
    variables = {f"SERVEDRILL_{name.upper()}": "" for name in ELSEWHERE}
    for environment in ({}, variables):
        status, lines = outcome(tmp_path, "-p", "servedrill.plugin", "--strict-config", *processes, **environment)
        assert (status, "1 passed" in lines[-1]) == (0, True), lines
