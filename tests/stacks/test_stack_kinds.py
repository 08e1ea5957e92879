"""Kinds of stacks: ours by one line each, others by registration or as an entry point of their package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from stack_world import Remembering

from servedrill.errors import UsageError
from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.stacks import kinds
from servedrill.stacks.file import StackFile
from servedrill.stacks.kinds import StackKind, kind_named, register
from servedrill.stacks.lifecycle import make_stack, stack_up
from servedrill.stacks.protocols import Entry, Replica, Stack
from servedrill.stacks.reading import check_stack_files, read_stack_file


class PaperStack:
    """Nothing runs; it says what was done to it."""

    shared = False
    promises = Promises(model="paper")
    spoken = Spoken()

    def __init__(self, file: StackFile, folder: Path, **how: object) -> None:
        self.name, self.how, self.done = file.name, how, list[str]()

    def up(self) -> None:
        self.done.append("up")

    def down(self) -> None:
        self.done.append("down")

    def replicas(self) -> list[Replica]:
        return []

    def entry(self) -> Entry:
        return Entry(base_url="http://127.0.0.1:1")


PAPER = StackKind(name="paper", make=PaperStack)
FILE = StackFile(kind="paper", name="sheet", path="sheet.toml")


@pytest.fixture(autouse=True)
def _no_kinds_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_registered", {})


def asked(kind: str = "paper") -> StackKind:
    return kind_named(kind, where="sheet.toml")


def test_a_kind_that_is_registered_is_brought_up_and_taken_down(tmp_path: Path) -> None:
    """All that a kind needs is how its stack is made."""
    register(PAPER)
    register(PAPER)  # imported twice
    undo = Remembering()
    with stack_up(FILE, tmp_path, on_undo=undo, defects=[], seed=7, limit_memory=True) as stack:
        assert isinstance(stack, PaperStack)
        assert isinstance(stack, Stack)
        assert stack.how == {"on_undo": undo, "defects": [], "seed": 7, "limit_memory": True}
        assert stack.done == ["up"]
    assert stack.done == ["up", "down"]


def test_a_kind_takes_no_defects_unless_it_says_so(tmp_path: Path) -> None:
    """A defect that nobody plants would look like a drill that does not catch it."""
    register(PAPER)
    with pytest.raises(UsageError, match="defects are for the embedded stack only"):
        make_stack(FILE, tmp_path, on_undo=Remembering(), defects=["a:B"], seed=7, limit_memory=False)


@pytest.mark.parametrize("name", ["embedded", "process", "docker", "external"])
def test_every_kind_of_ours_is_what_it_is_called(name: str) -> None:
    """The one line that leads to it, and the name in its own module, agree."""
    assert asked(name).name == name


@pytest.mark.parametrize("name", ["paper", "docker"])
def test_no_kind_takes_the_place_of_another(name: str) -> None:
    """Two packages that mean different things by one word are told so."""
    register(PAPER)
    with pytest.raises(ValueError, match=f"there is a kind of stack '{name}' already"):
        register(StackKind(name=name, make=PaperStack))


def test_an_unknown_kind_is_told_with_those_that_there_are() -> None:
    """And with the one that was probably meant."""
    register(PAPER)
    says = r"sheet\.toml: no kind 'papr'; expected one of docker, .*, paper, process; hint: did you mean 'paper'\?"
    with pytest.raises(UsageError, match=says):
        asked("papr")


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, points: str) -> None:
    """A package with an entry point, as an installer leaves it."""
    (folder / "papermill.py").write_text(
        "from servedrill.stacks.kinds import StackKind\n\n"
        "def make(*_, **__): ...\n\n"
        "PAPER = StackKind(name='paper', make=make)\n"
    )
    info = folder / "papermill-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: papermill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[servedrill.stacks]\npaper = {points}\n")
    monkeypatch.syspath_prepend(folder)


def test_a_kind_of_another_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing the package is all that it takes."""
    with pytest.raises(UsageError, match="no kind 'paper'"):
        asked()
    installed(tmp_path, monkeypatch, points="papermill:PAPER")
    assert asked().name == "paper"


def test_an_entry_point_that_is_no_kind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of what it gives instead."""
    installed(tmp_path, monkeypatch, points="papermill:make")
    with pytest.raises(UsageError, match=r"kind 'paper' is <function make .*; expected a servedrill\.stacks\.kinds"):
        asked()


def test_a_package_that_lacks_its_kind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and not the traceback of an import."""
    installed(tmp_path, monkeypatch, points="papermill:PAPYRUS")
    with pytest.raises(UsageError, match=r"sheet\.toml: kind 'paper' is not there: .*PAPYRUS"):
        asked()


# ---- what a stack file of a kind may say


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sheet]``."""

    lines: int


class SheetFile(StackFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack file of sheets of paper."""

    sheet: Sheet


def check_sheet(mistakes: Mistakes, document: Document, file: StackFile) -> dict[str, list[str]]:
    assert isinstance(file, SheetFile)
    if file.sheet.lines > 3:
        mistakes.wrong(document, ("sheet", "lines"), f"is {file.sheet.lines}", expected="3 at most")
    return {"gateways": [], "engines": [], "lines": [f"line-{n}" for n in range(file.sheet.lines)]}


SHEETS = StackKind(
    name="sheets", make=PaperStack, file=SheetFile, check=check_sheet, needs_promises=False, reads=frozenset({"nice"})
)


def complaints(folder: Path, text: str) -> list[str]:
    """Mistakes in a file of that kind, without the file's folder."""
    path = folder / "sheet.toml"
    path.write_text(f'kind = "sheets"\n{text}\n')
    return [str(one).removeprefix(f"{folder}/sheet.toml:") for one in check_stack_files([path])]


def test_a_kind_has_a_table_of_its_own_in_its_files(tmp_path: Path) -> None:
    """It is read as any other, and reaches the stack."""
    register(SHEETS)
    assert complaints(tmp_path, 'nice = 3\nsheet.lines = 2\nproxy.hops = ["line-1"]') == []
    file = read_stack_file(tmp_path / "sheet.toml")
    assert isinstance(file, SheetFile)
    assert (file.sheet.lines, file.nice) == (2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sheet.lines = 4", "2:15: sheet.lines: is 4; expected 3 at most"),
        ("sheet.line = 2", "2:7: sheet.line: unknown key 'line'; did you mean 'lines'?"),
        ('sheet.lines = 1\nproxy.hops = ["line-1"]', "3:15: proxy.hops[0]: no hop 'line-1'; expected some of"),
        (
            'sheet.lines = 1\nrollouts = "http://a"',
            '3:12: rollouts: has no use where kind is "sheets"; expected kind = "process" or kind = "docker"',
        ),
    ],
)
def test_a_mistake_in_the_file_of_another_kind_has_its_place(tmp_path: Path, text: str, said: str) -> None:
    """The kind's own rules, and those of every stack file."""
    register(SHEETS)
    (found,) = complaints(tmp_path, text)
    assert found.startswith(said)


def test_a_kind_promises_what_its_file_says_unless_it_knows_better(tmp_path: Path) -> None:
    """A stack that nobody holds to anything would pass every drill."""
    register(PAPER)
    path = tmp_path / "sheet.toml"
    path.write_text('kind = "paper"\n')
    (found,) = check_stack_files([path])
    assert str(found).startswith(f"{path}:1:1: promises: is missing; expected at least the model")


# ---- what a kind costs


LEAN = """
import sys
from pathlib import Path
from servedrill.stacks.file import StackFile
from servedrill.stacks.lifecycle import make_stack
make_stack(StackFile(), Path("."), on_undo=None, defects=[], seed=1, limit_memory=False)
print(sorted(sys.modules))
"""


def test_an_sdk_is_loaded_for_stacks_of_its_kind_alone() -> None:
    """Every pytest of the environment and each helper process would pay for it."""
    told = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True).stdout
    assert "'docker'" not in told
    assert "'servedrill.stacks.embedded'" in told
