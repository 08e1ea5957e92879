"""A session of drills without pytest, on a stack of paper: what is opened, told, judged, skipped and closed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servedrill.checkers.finding import Answer
from servedrill.drill.context import Drill
from servedrill.drill.progress import Silent
from servedrill.drill.traffic import chat
from servedrill.errors import StackError, UsageError
from servedrill.history.events import AnyEvent, DrillEnded, DrillStarted
from servedrill.history.journal import read_events
from servedrill.judging.verdict import Verdict
from servedrill.leases.guard import Guard
from servedrill.leases.reader import open_leases
from servedrill.leases.undo import HttpCall
from servedrill.runs.about import Options
from servedrill.runs.layout import HISTORY, VERDICT
from servedrill.runs.stored import read_run
from servedrill.runs.verdicts import judge_folder
from servedrill.session.session import Session, StackLacks
from servedrill.session.stack import guarded_stack
from servedrill.stacks.file import StackFile
from tests.worlds.paper import PaperStack, paper_up

ABOUT: dict[str, Any] = {"hypothesis": "It holds.", "nodeid": "drills/it.py::test_it"}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def session(runs: Path) -> Iterator[Session]:
    with contextlib.closing(Session(Options(seed=7, runs=str(runs)), bring_up=paper_up)) as session:
        yield session


def history(session: Session, drill: str) -> list[AnyEvent]:
    assert session.run is not None
    return read_events(session.run.folder / drill / HISTORY)


def test_nothing_is_written_before_the_first_drill(session: Session, runs: Path) -> None:
    """A session that nobody used leaves nothing."""
    assert (session.verdicts, session.run) == ([], None)
    session.close()
    assert not runs.exists()


def test_a_drill_is_judged_when_its_block_ends(session: Session, runs: Path) -> None:
    """By its history, which is closed by then; the verdict is in the drill's folder, in the run's list and in the
    session.
    """
    with session.open("it", **ABOUT) as drill:
        assert session.verdicts == []
    (verdict,) = session.verdicts
    assert (verdict.drill, verdict.hypothesis, verdict.answer) == ("it", "It holds.", Answer.INCONCLUSIVE)
    assert (drill.folder / VERDICT).is_file()
    started, *_, ended = history(session, "it")
    assert isinstance(started, DrillStarted)
    assert isinstance(ended, DrillEnded)
    assert ended.interrupted is None
    session.close()
    stored = read_run(runs / "latest")
    assert [one.verdict for one in stored.drills] == [verdict]
    assert stored.about.replay == {"it": "pytest drills/it.py::test_it --drill-seed 7"}
    assert stored.about.ended


def test_a_drill_that_raises_is_judged_as_interrupted(session: Session) -> None:
    """The history says by what, and the error goes on."""
    with pytest.raises(ZeroDivisionError), session.open("it", **ABOUT):
        raise ZeroDivisionError("bad sums")
    assert session.verdicts[0].answer is Answer.INCONCLUSIVE
    ended = history(session, "it")[-1]
    assert isinstance(ended, DrillEnded)
    assert ended.interrupted == "ZeroDivisionError: bad sums"


def test_a_drill_is_judged_once(runs: Path) -> None:
    """Who judges it before the block ends has the verdict at hand; it is not judged again."""
    judged: list[Path] = []

    def counting(folder: Path) -> Verdict:
        judged.append(folder)
        return judge_folder(folder)

    with contextlib.closing(Session(Options(runs=str(runs)), bring_up=paper_up, judge=counting)) as session:
        with session.open("it", **ABOUT) as drill:
            verdict = session.judge(drill, interrupted="that was it")
        assert (judged, session.verdicts) == ([drill.folder], [verdict])
        with pytest.raises(ZeroDivisionError), session.open("it", **ABOUT) as drill:
            session.judge(drill)
            raise ZeroDivisionError
        assert len(judged) == 2


def test_a_drill_whose_stack_lacks_what_it_needs_is_no_verdict(session: Session) -> None:
    """The reason names stack and capability."""
    lacks = pytest.raises(StackLacks, match="stack 'embedded' is not Signallable")
    with lacks, session.open("it", needs=["Signallable"], **ABOUT):
        raise AssertionError("it cannot have been tried")
    assert session.verdicts == []
    assert session.run is not None and not (session.run.folder / "it").exists()


def test_a_run_whose_drills_were_all_skipped_leaves_nothing(runs: Path) -> None:
    """A folder of it would be the latest run, and empty; the one before is the latest still."""
    for needs in ([], ["Signallable"]):
        with contextlib.closing(Session(Options(runs=str(runs)), bring_up=paper_up)) as session:
            with contextlib.suppress(StackLacks), session.open("it", needs=needs, **ABOUT):
                pass
        if not needs:
            before = {path.name for path in runs.iterdir()}
            assert (runs / "latest" / "it").is_dir()
    assert {path.name for path in runs.iterdir()} == before
    assert (runs / "latest" / "it").is_dir()


def test_a_stack_that_is_known_to_lack_it_is_not_even_started(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded stack has no containers, and says so before it has a process: there was nothing to remove."""
    removed: dict[str, list[Path]] = {}
    take_away = "servedrill.session.session.shutil.rmtree"
    monkeypatch.setattr(take_away, lambda path, **_: removed.update({path.name: [*path.iterdir()]}))
    with contextlib.closing(Session(Options(runs=str(runs)))) as session:
        lacks = pytest.raises(StackLacks, match="stack 'embedded' is not Containerised")
        with lacks, session.open("it", needs=["Containerised"], **ABOUT):
            raise AssertionError("it cannot have been tried")
        assert removed == {"it": []}


@pytest.mark.parametrize("asked", [{"needs": ["Signalable"]}, {"uses": ["Signalable:core"]}], ids=str)
def test_a_capability_that_does_not_exist_is_wrong_usage(runs: Path, asked: dict[str, Any]) -> None:
    """A typing mistake must not look like a stack that lacks something; no stack is started for it."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a stack was brought up")

    with contextlib.closing(Session(Options(runs=str(runs)), bring_up=never)) as session:
        wrong = pytest.raises(UsageError, match=r"drills/it.py::test_it: unknown capability 'Signalable")
        with wrong, session.open("it", **asked, **ABOUT):
            pass


IMPOSSIBLE: dict[str, tuple[Callable[[Drill], Any], str]] = {
    "window twice": (lambda drill: [drill.window("a").__enter__() for _ in "12"], "it: window 'a' twice in one drill"),
    "no rate": (lambda drill: drill.load(chat(rate=0)), "arrivals Poisson: rate is 0; expected"),
    "no choice": (lambda drill: drill.load(chat(rate=1, n=0)), "class 'chat': n of 0; expected"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_drill_that_asks_for_the_impossible_is_wrong_usage(session: Session, name: str) -> None:
    """The drill ends there, and its verdict is a doubt."""
    ask, said = IMPOSSIBLE[name]
    with pytest.raises(UsageError, match=f"^{said}"), session.open("it", **ABOUT) as drill:
        ask(drill)
    assert session.verdicts[0].answer is Answer.INCONCLUSIVE


def test_a_drills_seed_follows_from_the_sessions_and_its_name(session: Session, tmp_path: Path) -> None:
    """However many drills ran before it."""
    seeds = {}
    for name in ("a", "b"):
        with session.open(name, **ABOUT) as drill:
            seeds[name] = drill.seed
    with (
        contextlib.closing(Session(Options(seed=7, runs=str(tmp_path / "more")), bring_up=paper_up)) as again,
        again.open("b", **ABOUT) as drill,
    ):
        assert drill.seed == seeds["b"] != seeds["a"]


class Asking:
    """A stack of paper that remembers how it was brought up."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.down = False

    @contextlib.contextmanager
    def __call__(self, file: StackFile, folder: Path, **asked: Any) -> Iterator[PaperStack]:
        self.asked = asked
        try:
            yield PaperStack(file.name)
        finally:
            self.down = True


@pytest.mark.parametrize(
    ("asked", "limited"),
    [({}, False), ({"uses": ["MemoryLimited"]}, True), ({"needs": ["MemoryLimited"]}, True)],
    ids=str,
)
def test_memory_is_limited_for_drills_that_make_use_of_it(runs: Path, asked: dict[str, Any], limited: bool) -> None:
    """A limit has to be there when an engine starts; what is needed is told, so that nothing is started in vain."""
    asking = Asking()
    with contextlib.closing(Session(Options(runs=str(runs), defects=[]), bring_up=asking)) as session:
        with contextlib.suppress(StackLacks), session.open("it", **asked, **ABOUT):
            assert not asking.down
    assert asking.down
    assert (asking.asked["limit_memory"], asking.asked["needs"]) == (limited, asked.get("needs", ()))


def test_who_watches_is_told_that_the_stack_starts(session: Session) -> None:
    """It takes seconds, before anything of the drill happens."""

    class Noting(Silent):
        def __init__(self) -> None:
            self.phases: list[str] = []

        def phase(self, name: str, step: str) -> None:
            self.phases.append(name)

    noting = Noting()
    with session.open("it", progress=noting, **ABOUT) as drill:
        drill.step("begin")
    assert noting.phases[:2] == ["starting the stack", "begin"]


def test_weaknesses_of_the_stacks_file_go_with_the_drills_that_they_name(runs: Path, tmp_path: Path) -> None:
    """One that names no drill is one of the stack in every drill."""
    file = tmp_path / "stack.toml"
    weakness = '[[weaknesses]]\nchecks = ["NoFailures"]\nbecause = "{}"\n'
    file.write_text(weakness.format("always") + weakness.format("here") + 'drills = ["here"]\n')
    with contextlib.closing(Session(Options(stack_file=str(file), runs=str(runs)), bring_up=paper_up)) as session:
        for name in ("here", "there"):
            with session.open(name, **ABOUT):
                pass
        declared = {}
        for name in ("here", "there"):
            started = history(session, name)[0]
            assert isinstance(started, DrillStarted)
            declared[name] = [weakness.because for weakness in started.weaknesses]
    assert declared == {"here": ["always", "here"], "there": ["always"]}


def test_what_a_stack_makes_is_in_the_ledger_as_long_as_it_is_up(tmp_path: Path) -> None:
    """Also of one that does not come up: by then it has ended what it made."""
    ledger = tmp_path / "leases.jsonl"

    @contextlib.contextmanager
    def making(file: StackFile, folder: Path, *, on_undo: Any, defects: list[str], **_: Any) -> Iterator[PaperStack]:
        on_undo.keep("proxy", HttpCall(address="127.0.0.1:9", method="DELETE", path="/proxies/hop"))
        assert len(open_leases(ledger)) == 1
        if defects:
            raise StackError("torn")
        yield PaperStack(file.name)

    given: dict[str, Any] = {"seed": 1, "bring_up": making}
    with contextlib.closing(Guard(tmp_path)) as guard:
        with guarded_stack(StackFile(), tmp_path, guard, defects=[], **given):
            assert len(open_leases(ledger)) == 1
        assert open_leases(ledger) == []
        with pytest.raises(StackError), guarded_stack(StackFile(), tmp_path, guard, defects=["some"], **given):
            pass
        assert open_leases(ledger) == []


def test_a_session_loads_neither_pytest_nor_drawings() -> None:
    """Game days and servers have drills too."""
    code = (
        "import sys, servedrill.session.session\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('pytest', '_pytest')"
        " or name.startswith(('servedrill.reporting', 'servedrill.plugin'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
