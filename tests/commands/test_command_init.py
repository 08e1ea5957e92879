"""``servedrill init``: what it writes can be drilled without an edit, and nothing is half-written."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from servedrill.commands.collected import collected
from servedrill.commands.main import main
from servedrill.files.shipped import shipped_files
from servedrill.slo.openslo import read_slos
from servedrill.stacks.reading import read_stack_file
from tests.worlds.speakers import Speaks, speaking


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.chdir(tmp_path)
    for module in ("test_own", "test_shipped", "conftest"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_everything_that_is_written_is_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stack file and the SLOs can be read, the drills are collected, Python reads the Python."""
    (folder / ".git").mkdir()
    with speaking(Speaks()) as url:
        assert main(["init", f"{url}/v1", "--yes", "--ci", "github"]) == 0
    said = capsys.readouterr().out
    assert "servedrill doctor --measure" in said and "pytest drills" in said
    assert names(folder) == {
        "stack.toml", "slo.toml", ".gitignore", ".github/workflows/drills.yml",
        "drills/conftest.py", "drills/pytest.ini", "drills/test_own.py", "drills/test_shipped.py",
    }  # fmt: skip
    file = read_stack_file(folder / "stack.toml")
    assert file.external is not None and file.external.url == url and file.environment == "local"
    assert file.promises is not None and (file.promises.model, file.promises.oracle) == ("m", "frames")
    assert {slo.sli.cls for slo in read_slos(folder / "slo.toml").slos} == {"chat", "code"}
    assert (folder / ".gitignore").read_text().split()[-1] == ".servedrill/"
    for path in folder.rglob("*.py"):
        ast.parse(path.read_text())
    drills, stack, slo = collected([])
    shipped = [path for path in shipped_files().values() if path.match("drills/test_*.py")]
    assert len(drills) >= len(shipped) + 1 and "a_busy_minute" in {one.name for one in drills}
    assert (Path(str(stack)).resolve(), Path(str(slo)).resolve()) == (folder / "stack.toml", folder / "slo.toml")


def test_a_second_time_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless that is asked for, with the diff."""
    with speaking(Speaks()) as url:
        assert main(["init", url, "--yes"]) == 0
        (folder / "stack.toml").write_text((folder / "stack.toml").read_text() + "slots = 7\n")
        assert main(["init", url, "--yes"]) == 4
        assert "is there already" in capsys.readouterr().err
        (folder / "other").mkdir()
        (folder / "other/slo.toml").write_text("mine\n")
        assert main(["init", url, "--yes", "--folder", "other"]) == 4
        shown = capsys.readouterr()
        assert "-mine" in shown.out and "slo.toml would be overwritten" in shown.err
        assert names(folder / "other") == {"slo.toml"}
        assert main(["init", url, "--yes", "--overwrite"]) == 0
        assert "-slots = 7" in capsys.readouterr().out
    assert "slots" not in (folder / "stack.toml").read_text()


def test_lines_are_added_to_what_git_ignores(folder: Path) -> None:
    (folder / ".gitignore").write_text("build\n")
    with speaking(Speaks()) as url:
        assert main(["init", url, "--yes"]) == 0
    assert (folder / ".gitignore").read_text().split("\n")[0] == "build"


def test_what_cannot_be_is_one_line_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a-file").write_text("")
    before = names(folder)
    with speaking(Speaks()) as url:
        for words in (
            ["init"],
            ["init", "http://127.0.0.1:9", "--yes"],
            ["init", url, "--yes", "--model", "another"],
            ["init", url, "--yes", "--environment", "production"],
            ["init", url, "--yes", "--folder", "a-file"],
            ["init", url, "--yes", "--api-key-env", "NOT_SET_ANYWHERE"],
        ):
            assert main(words) == 4, words
            said = capsys.readouterr().err
            assert said.startswith("servedrill: ") and said.count("\n") == 1, said
    assert names(folder) == before


def test_at_a_terminal_it_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is proposed is taken for an empty answer; an end of the input writes nothing."""
    answers: list[str] = []

    def say(question: str) -> str:
        if not answers:
            raise EOFError
        return answers.pop(0)

    monkeypatch.setattr("builtins.input", say)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with speaking(Speaks()) as url:
        answers = [url]
        assert main(["init"]) == 4
        assert "no answer" in capsys.readouterr().err and names(folder) == set()
        answers = [url, "staging", "n"]
        assert main(["init"]) == 0 and names(folder) == set()
        answers = [url, "production", "A minute of errors.", ""]
        assert main(["init"]) == 0
    file = read_stack_file(folder / "stack.toml")
    assert (file.environment, file.blast_radius) == ("production", "A minute of errors.")


def test_a_plain_pytest_leaves_the_drills_alone(folder: Path) -> None:
    """Whoever has them in a repository of their own does not drill by testing."""
    with speaking(Speaks()) as url:
        assert main(["init", url, "--yes"]) == 0
    found: list[str] = []

    class Found:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            found.extend(item.nodeid for item in session.items)

    pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", "/dev/null", "."], [Found()])
    assert found == []
