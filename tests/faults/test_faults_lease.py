"""A lease: its undo on disk first, healing in reverse order, whatever happens in between."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fault_world import Lamp, LampThatBreaks, LampThatStaysOn
from toxiproxy.exceptions import NotFound

from servedrill.errors import FaultError, NotInTime
from servedrill.faults.lease import leased
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.journal import Journal, read_events
from servedrill.host.clock import now_ns
from servedrill.leases.guard import Guard
from servedrill.leases.ledger import Ledger
from servedrill.leases.reader import open_leases
from servedrill.leases.shield import shielded
from servedrill.leases.undo import WriteFile


class LedgerAlone:
    """A guard whose watchdog never came: what a drill heals by itself."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "leases.jsonl")

    def check(self) -> None:
        """Nobody asks after it."""


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A guard with a ledger."""
    guard = LedgerAlone(tmp_path)
    yield guard  # type: ignore[misc]
    guard.ledger.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Where the drill's events go."""
    journal = Journal(tmp_path / "history.jsonl")
    yield journal
    journal.close()


def told(journal: Journal) -> History:
    return History(read_events(journal.path))


class Suspicious(Lamp):
    """Looks at the ledger on disk in the moment that it is injected."""

    def __init__(self, path: Path, log: list[str], ledger: Path) -> None:
        super().__init__(path, log)
        self.ledger = ledger
        self.found: list[tuple[str, object, bool]] = []

    def inject(self) -> None:
        self.found = [(entry.lease, entry.undo, entry.deadline_ns > now_ns()) for entry in open_leases(self.ledger)]
        super().inject()


def test_the_undo_is_on_disk_before_the_fault(tmp_path: Path, guard: Guard, journal: Journal) -> None:
    """What is about to be broken can be put back by anybody, even if the next instruction is the last."""
    lamp = Suspicious(tmp_path / "lamp", [], guard.ledger.path)
    with leased(guard, journal, lamp, deadline_s=5) as leases:
        assert lamp.on
    assert lamp.found == [(leases[0], [WriteFile(path=str(lamp.path), text="off")], True)]
    assert open_leases(guard.ledger.path) == []


def test_several_faults_are_healed_in_reverse(tmp_path: Path, guard: Guard, journal: Journal) -> None:
    """The last that was put in place goes first, and evidence of all of them is taken while all are still there."""
    log: list[str] = []
    lamps = [Lamp(tmp_path / name, log) for name in "abc"]
    with leased(guard, journal, *lamps, deadline_s=5):
        assert all(lamp.on for lamp in lamps)
        log.append("body")
    assert log == [
        "inject a", "inject b", "inject c", "body", "look at c", "look at b", "look at a", "heal c", "heal b", "heal a",
    ]  # fmt: skip
    assert not any(lamp.on for lamp in lamps)


def test_what_is_written_down(tmp_path: Path, guard: Guard, journal: Journal) -> None:
    """Injection with target, parameters and deadline; evidence with its figures; healing with its proof."""
    with leased(guard, journal, Lamp(tmp_path / "a", []), deadline_s=5) as (lease,):
        pass
    (span,) = told(journal).faults
    assert (span.injected.lease, span.injected.fault, span.injected.target) == (lease, "lamp", "a")
    assert span.injected.attributes == {"bright": True}
    assert 4 < (span.injected.deadline_ns - span.injected.t_ns) / 1e9 <= 5
    assert span.evidence is not None
    assert (span.evidence.took_effect, span.evidence.observed, span.evidence.figures) == (
        True,
        "a is on",
        {"lumen": 1.0},
    )
    assert span.healed is not None
    assert (span.healed.proven, span.healed.proof) == (True, "a is off")


ERRORS = [
    FaultError("no"),
    OSError("no"),
    RuntimeError("no"),
    NotInTime(what="it", waited_s=1.0),
    httpx.ConnectError("no"),
    httpx.ReadTimeout("no"),
    NotFound("no"),
    AttributeError("no"),
    AssertionError("no"),
]


@pytest.mark.parametrize("step", ["evidence", "heal"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_fault_that_fails_does_not_keep_the_others(
    tmp_path: Path, guard: Guard, journal: Journal, step: str, error: Exception
) -> None:
    """Whatever one fault raises, the others are healed, and the error is what is known of that one."""
    log: list[str] = []
    lamps = [
        Lamp(tmp_path / "a", log),
        LampThatBreaks(tmp_path / "b", log, at=step, error=error),
        Lamp(tmp_path / "c", log),
    ]
    with leased(guard, journal, *lamps, deadline_s=5):
        pass
    assert log[-3:] == ["heal c", "heal b", "heal a"]
    assert not any(lamp.on for lamp in lamps)
    broken = told(journal).faults[1]
    said = broken.evidence if step == "evidence" else broken.healed
    assert type(error).__name__ in (said.observed if isinstance(said, e.FaultEvidence) else said.proof if said else "")
    left = [entry.lease for entry in open_leases(guard.ledger.path)]
    assert left == ([broken.injected.lease] if step == "heal" else [])


def test_what_is_not_proven_to_be_healed_stays_open(tmp_path: Path, journal: Journal) -> None:
    """The watchdog gets the lease that nobody could show to be healed, and heals it when the guard goes."""
    guard = Guard(tmp_path)
    lamp = LampThatStaysOn(tmp_path / "a", [])
    with leased(guard, journal, lamp, deadline_s=30):
        pass
    assert lamp.on
    assert told(journal).faults[0].healed is not None
    assert not told(journal).faults[0].healed.proven  # type: ignore[union-attr]
    assert len(open_leases(guard.ledger.path)) == 1
    guard.close()
    assert not lamp.on


@pytest.mark.parametrize(
    "error", [AssertionError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=lambda e: type(e).__name__
)
def test_a_body_that_raises_is_healed_after(
    tmp_path: Path, guard: Guard, journal: Journal, error: BaseException
) -> None:
    """And the error goes on to whom it may concern."""
    log: list[str] = []
    lamps = [Lamp(tmp_path / name, log) for name in "ab"]
    with pytest.raises(type(error)), leased(guard, journal, *lamps, deadline_s=5):
        raise error
    assert log[-2:] == ["heal b", "heal a"]
    assert open_leases(guard.ledger.path) == []


@pytest.mark.parametrize(("step", "healed"), [("inject", ["heal b", "heal a"]), ("undo", ["heal a"])])
def test_an_injection_that_fails_heals_what_was_there(
    tmp_path: Path, guard: Guard, journal: Journal, step: str, healed: list[str]
) -> None:
    """Half an injection may have happened, so that fault is healed too; the ones after it are never begun."""
    log: list[str] = []
    second = LampThatBreaks(tmp_path / "b", log, at=step, error=FaultError("cannot be broken"))
    lamps = [Lamp(tmp_path / "a", log), second, Lamp(tmp_path / "c", log)]
    with pytest.raises(FaultError, match="cannot be broken"), leased(guard, journal, *lamps, deadline_s=5):
        pytest.fail("the block was entered")
    assert [line for line in log if line.startswith("heal")] == healed
    assert "inject c" not in log
    assert not any(lamp.on for lamp in lamps)
    assert open_leases(guard.ledger.path) == []


class FullJournal(Journal):
    """Has room for so many appends, then the disk is full."""

    def __init__(self, path: Path, *, room: int) -> None:
        super().__init__(path)
        self.room = room

    def append(self, *events: e.AnyEvent) -> None:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        super().append(*events)


@pytest.mark.parametrize("room", [1, 2], ids=["at-the-second-injection", "at-evidence"])
def test_a_full_disk_keeps_nothing_broken(tmp_path: Path, guard: Guard, room: int) -> None:
    """What cannot be written down is healed all the same."""
    lamps = [Lamp(tmp_path / name, []) for name in "ab"]
    journal = FullJournal(tmp_path / "full.jsonl", room=room)
    with pytest.raises(OSError, match="No space left"), leased(guard, journal, *lamps, deadline_s=5):
        pass
    journal.close()
    assert not any(lamp.on for lamp in lamps)


# ---- Ctrl-C

PATIENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from fault_world import Lamp
from servedrill.leases.guard import Guard
from servedrill.faults.lease import leased
from servedrill.history.journal import Journal

class SlowToHeal(Lamp):
    def heal(self):
        print("healing", self.target, flush=True)
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            time.sleep(0.01)
        healed = super().heal()
        print("healed", self.target, flush=True)
        return healed

folder = Path(sys.argv[1])
guard, journal = Guard(folder), Journal(folder / "history.jsonl")
try:
    with leased(guard, journal, *(SlowToHeal(folder / name, []) for name in "ab"), deadline_s=20):
        print("body", flush=True)
        if sys.argv[3] == "body":
            time.sleep(20)
finally:
    print("closing", flush=True)
    guard.close()
    journal.close()
print("not reached", flush=True)
"""


@pytest.mark.parametrize(
    ("when", "number"),
    [("heal", signal.SIGINT), ("heal", signal.SIGTERM), ("body", signal.SIGINT)],
    ids=["SIGINT-healing", "SIGTERM-healing", "SIGINT-body"],
)
def test_healing_is_not_interrupted(tmp_path: Path, when: str, number: signal.Signals) -> None:
    """A signal in the middle of healing waits until everything is healed, then does what it does."""
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", PATIENT, str(tmp_path), here, when],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1] == ("body" if when == "body" else "healing b"):
                process.send_signal(number)
                if when == "heal":
                    process.send_signal(number)
        process.wait(30)
        assert process.stderr is not None
        errors = process.stderr.read()
    healing = ["healing b", "healed b", "healing a", "healed a"]
    if number == signal.SIGINT:
        assert (process.returncode, lines) == (-signal.SIGINT, ["body", *healing, "closing"])
        assert "KeyboardInterrupt" in errors
    else:
        assert (process.returncode, lines) == (-signal.SIGTERM, ["body", *healing])
    assert [(tmp_path / name).read_text() for name in "ab"] == ["off", "off"]


def test_a_shield_within_a_shield_waits_for_the_outer_one() -> None:
    """Signals that came inside are raised once, at the very end, with the handlers back in place."""
    came: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append("outside"))
    try:
        with shielded():
            with shielded():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
                came.append("inner over")
            came.append("outer over")
        assert came == ["inner over", "outer over", "outside"]
    finally:
        signal.signal(signal.SIGINT, before)
