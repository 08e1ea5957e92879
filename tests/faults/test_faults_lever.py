"""The safety lever: pulled from anywhere, everything broken is healed at once and nothing new begins."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fault_world import Parent, RememberingServer, sleeper

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.host.clock import now_ns, wait_for
from servedrill.leases.guard import Guard
from servedrill.leases.left import left_in
from servedrill.leases.lever import FILE, pull, pulled, pulled_for, release, require_released
from servedrill.leases.undo import HttpCall, ResumeProcess

S = 1_000_000_000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "20260101T000000-1"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("whole_folder", [True, False], ids=["all runs", "one run"])
def test_the_watchdog_heals_faults_while_the_lever_is_pulled(run: Path, *, whole_folder: bool) -> None:
    """What is up for the drill stays up; the run is told by its guard."""
    guard = Guard(run)
    with sleeper() as broken, sleeper() as stack:
        broken.stop()
        stack.stop()
        kept = guard.ledger.open("stack-process", [ResumeProcess(**stack.record)])
        fault = guard.ledger.open("pause", [ResumeProcess(**broken.record)], deadline_ns=now_ns() + 600 * S)
        assert guard.trouble == ""
        pull(run.parent if whole_folder else run, reason="users complain", by="anna")
        wait_for(lambda: broken.running, what="the fault to be healed", within_s=30)
        assert stack.state == "T"
        assert "users complain" in guard.trouble and "anna" in guard.trouble
        guard.ledger.close_lease(fault)
        guard.ledger.close_lease(kept)
    guard.close()


def test_what_is_broken_after_the_pull_is_healed_too(run: Path) -> None:
    """Whoever does not know yet may be about to break something, in the very moment."""
    pull(run, reason="too late")
    guard = Guard(run)
    with sleeper() as broken:
        fault = guard.ledger.open("pause", [ResumeProcess(**broken.record)], deadline_ns=now_ns() + 600 * S)
        for _ in range(2):
            broken.stop()
            wait_for(lambda: broken.running, what="the fault to be healed", within_s=30)
        guard.ledger.close_lease(fault)
    guard.close()


def test_a_hanging_run_is_healed_by_halt(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its watchdog does it; the command says who has not proven it, and undoes it once more."""
    with sleeper() as broken, Parent(run, [ResumeProcess(**broken.record)], deadline_ns=now_ns() + 600 * S) as parent:
        broken.stop()
        assert main(["halt", "--reason", "stuck", "--by", "ben", "--runs", str(run.parent)]) == 0
        wait_for(lambda: broken.running, what="the fault to be healed", within_s=30)
        said = capsys.readouterr().out
        assert "halted by ben" in said and "stuck" in said and "Undone from here" in said
        parent.process.send_signal(signal.SIGKILL)
        parent.watchdog_gone()


def test_nothing_starts_before_somebody_releases_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is what the next one reads."""
    runs = run.parent
    require_released(runs)
    pull(runs, reason="an outage", by="anna")
    with pytest.raises(UsageError, match=r"halted by anna at \S+: an outage.*servedrill release"):
        require_released(runs)
    assert main(["release", "--runs", str(runs)]) == 0
    assert "an outage" in capsys.readouterr().out
    require_released(runs)
    assert release(runs) is None


def test_a_lever_that_cannot_be_read_is_pulled(run: Path) -> None:
    """Half a file is somebody's wish to stop."""
    (run / FILE).write_text("{")
    assert "cannot be read" in str(pulled_for(run))
    (run / FILE).unlink()
    assert pulled(run) is None


def test_halt_asks_for_a_reason(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nobody knows when to release it."""
    assert main(["halt", "--reason", " ", "--runs", str(run.parent)]) == 4
    assert "no reason" in capsys.readouterr().err
    assert pulled(run.parent) is None


def test_heal_undoes_what_dead_runs_have_left(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where their watchdog was killed with them; what a run that goes on has broken is left to it."""
    (run.parent / "alive").mkdir()
    guard = Guard(run.parent / "alive")
    with RememberingServer() as api:
        undo = HttpCall(address=api.address, method="POST", path="/undo")
        with Parent(run, [undo], deadline_ns=now_ns() + 600 * S) as parent:
            os.kill(parent.watchdog.pid, signal.SIGKILL)
            parent.process.send_signal(signal.SIGKILL)
            parent.process.wait()
        not_yet = HttpCall(address=api.address, method="POST", path="/no")
        alive = guard.ledger.open("pause", [not_yet], deadline_ns=1 << 62)
        assert main(["heal", "--runs", str(run.parent)]) == 0
        said = capsys.readouterr().out
        assert f"which {run.name} had left" in said and "Left to the run that goes on: pause" in said
        assert [path for _, path, _ in api.calls] == ["/undo"]
        assert [left.what for left in left_in(run.parent)] == ["pause"]
        assert main(["heal", "--runs", str(run.parent)]) == 0
        assert [path for _, path, _ in api.calls] == ["/undo"]
        guard.ledger.close_lease(alive)
    guard.close()
    assert main(["heal", "--runs", str(run.parent)]) == 0
    assert "Nothing is left" in capsys.readouterr().out
