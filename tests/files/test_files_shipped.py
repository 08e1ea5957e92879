"""Files that come with servedrill are found by the path that they have in its repository, wherever it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from servedrill.commands.main import main
from servedrill.files.shipped import FOLDERS, shipped, shipped_drill, shipped_files
from servedrill.slo.openslo import read_slos
from servedrill.stacks.reading import read_stack_file

ROOT = Path(__file__).parents[2]
STACK = Path("fixtures/data/stacks/docker.toml")


def test_everything_below_the_folders_is_there() -> None:
    """Each folder of the repository that is shipped is in the package, by a link of its own."""
    there = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(shipped_files()) == there
    assert {path.name for path in (ROOT / "servedrill").iterdir() if path.is_symlink()} == set(FOLDERS)
    for folder in FOLDERS:
        assert (ROOT / "servedrill" / folder).readlink() == Path("..", folder)


def test_a_path_of_the_repository_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stack files and SLOs, as the docs name them; what somebody has made comes first."""
    monkeypatch.chdir(tmp_path)
    assert read_stack_file(STACK).kind == "docker"
    assert read_slos(Path("fixtures/data/slos/chat.yaml")).slos
    STACK.parent.mkdir(parents=True)
    STACK.write_text('name = "mine"\n')
    assert read_stack_file(STACK).name == "mine"


@pytest.mark.parametrize(
    "path", ["fixtures/data/stacks/none.toml", "fixtures/../fixtures/drill.py", "stacks/docker.toml"]
)
def test_any_other_path_is_as_it_is(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is guessed."""
    monkeypatch.chdir(tmp_path)
    assert shipped(Path(path)) == Path(path)


def test_a_drill_is_a_module_too() -> None:
    """As ``pytest --pyargs`` takes it; other files are none."""
    files = shipped_files()
    assert shipped_drill(files["drills/test_3_node_restart.py"]) == "servedrill.drills.test_3_node_restart"
    assert shipped_drill(files["fixtures/drill.py"]) == shipped_drill(ROOT / "drills/conftest.py") == ""


def test_files_are_listed_and_told_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """To be copied; one that does not come with servedrill is wrong usage."""
    assert main(["files"]) == 0
    assert capsys.readouterr().out.split() == list(shipped_files())
    assert main(["files", str(STACK)]) == 0
    assert Path(capsys.readouterr().out.strip()).samefile(ROOT / STACK)
    assert main(["files", "none.toml"]) == 4
    assert "none.toml: does not come with servedrill; expected one that" in capsys.readouterr().err
