"""The watchdog: heals when whoever broke things is gone, frozen or too late, and keeps out of it otherwise."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from fault_world import Parent, RememberingServer, sleeper

from servedrill.host.clock import now_ns, wait_for
from servedrill.host.ports import free_ports
from servedrill.host.processes import identify
from servedrill.leases.guard import Guard
from servedrill.leases.keeper import StackKeeper
from servedrill.leases.ledger import open_leases
from servedrill.leases.undo import EndProcess, HttpCall, RemoveTree, ResumeProcess, Undo, WriteFile

S = 1_000_000_000


def test_kill_9_of_the_parent_heals_everything(tmp_path: Path) -> None:
    """Within five seconds a frozen process runs, a planted one is gone, a setting is back and a control API was told."""
    setting = tmp_path / "setting"
    setting.write_text("broken")
    with sleeper() as frozen, sleeper() as planted, RememberingServer() as api:
        frozen.stop()
        undo: list[Undo] = [
            ResumeProcess(**frozen.record),
            EndProcess(**planted.record),
            WriteFile(path=str(setting), text="whole"),
            HttpCall(address=api.address, method="DELETE", path="/toxics/a", body='{"a": 1}'),
        ]
        with Parent(tmp_path, undo) as parent:
            killed = time.monotonic()
            parent.process.kill()
            parent.watchdog_gone()
            assert time.monotonic() - killed < 5
            assert frozen.running
            assert planted.process.wait(1) == -signal.SIGKILL
            assert setting.read_text() == "whole"
            assert api.calls == [("DELETE", "/toxics/a", '{"a": 1}')]


def test_the_latest_is_undone_first(tmp_path: Path) -> None:
    """And one that cannot be undone keeps no other from it."""
    with RememberingServer() as api:
        nobody = HttpCall(address=f"127.0.0.1:{free_ports(1)[0]}", method="POST", path="/")
        calls = [HttpCall(address=api.address, method="POST", path=f"/{number}") for number in range(3)]
        with Parent(
            tmp_path, [*calls[:2], nobody, HttpCall(address="no address", method="X", path="/"), calls[2]]
        ) as parent:
            parent.process.kill()
            parent.watchdog_gone()
        assert [path for _, path, _ in api.calls] == ["/2", "/1", "/0"]
    assert "lease-3: HttpCall(address='no address'" in (tmp_path / "watchdog.log").read_text()


def test_a_frozen_parent_is_as_good_as_dead(tmp_path: Path) -> None:
    """The pipe is open, but no heartbeat comes: three seconds of silence are enough."""
    with sleeper() as frozen, Parent(tmp_path, [ResumeProcess(**frozen.record)]) as parent:
        frozen.stop()
        parent.process.send_signal(signal.SIGSTOP)
        waited_s = wait_for(lambda: frozen.running, what="the frozen process to run", within_s=5)
        assert waited_s > 2


def test_a_lease_past_its_deadline_is_undone_though_hearts_beat(tmp_path: Path) -> None:
    """A drill that hangs with a fault in place does not keep the fault; its other leases stay."""
    guard = Guard(tmp_path)
    with sleeper() as frozen, sleeper() as other, RememberingServer() as api:
        frozen.stop()
        other.stop()
        guard.ledger.open("other", [ResumeProcess(**other.record)], deadline_ns=now_ns() + 60 * S)
        calls = [HttpCall(address=api.address, method="POST", path=f"/{number}") for number in range(2)]
        guard.ledger.open("hanging", [*calls, ResumeProcess(**frozen.record)], deadline_ns=now_ns() + S // 2)
        waited_s = wait_for(lambda: frozen.running, what="the deadline to pass", within_s=3)
        assert waited_s > 0.3
        wait_for(lambda: len(api.calls) == 2, what="both calls", within_s=2)
        assert [path for _, path, _ in api.calls] == ["/1", "/0"]
        assert other.state == "T"
        assert identify(guard.pid) is not None
        guard.ledger.close_lease("hanging")
        guard.ledger.close_lease("other")
        guard.close()
        assert other.state == "T"
        assert len(api.calls) == 2


def test_a_clean_goodbye_changes_nothing(tmp_path: Path) -> None:
    """What was healed is not healed again, and the watchdog leaves with its parent."""
    with sleeper() as frozen, sleeper() as healthy, RememberingServer() as api:
        frozen.stop()
        undo: list[Undo] = [
            ResumeProcess(**frozen.record),
            EndProcess(**healthy.record),
            HttpCall(address=api.address, method="POST", path="/"),
        ]
        with Parent(tmp_path, undo) as parent:
            parent.tell("heal")
            parent.tell("bye")
            parent.watchdog_gone()
        assert (frozen.state, healthy.running, api.calls) == ("T", True, [])
    assert (tmp_path / "watchdog.log").read_text() == ""


def test_a_goodbye_with_open_leases_heals_them(tmp_path: Path) -> None:
    """A run that ends without having healed is the watchdog's business, and is waited for."""
    with sleeper() as frozen, Parent(tmp_path, [ResumeProcess(**frozen.record)]) as parent:
        frozen.stop()
        parent.tell("bye")
        assert frozen.running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_watchdog_ignores_signals_that_are_meant_for_the_drill(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a job's end and a closed terminal are when it is needed most."""
    with sleeper() as frozen, Parent(tmp_path, [ResumeProcess(**frozen.record)]) as parent:
        frozen.stop()
        os.kill(parent.watchdog.pid, number)
        assert os.getsid(parent.watchdog.pid) == parent.watchdog.pid
        parent.process.kill()
        wait_for(lambda: frozen.running, what="the frozen process to run", within_s=5)


def test_what_a_stack_makes_is_kept_until_it_is_down(tmp_path: Path) -> None:
    """Its processes are on the ledger from the start, to be ended by whoever is left."""
    guard = Guard(tmp_path)
    keeper = StackKeeper(guard)
    with sleeper() as one, sleeper() as two:
        keeper.process(one.pid)
        keeper.process(two.pid)
        keeper.process(2**22 + 1)  # no such process
        keeper.memory_group(tmp_path / "group")
        records = [entry.undo[0] for entry in open_leases(guard.ledger.path)]
        assert records[1:] == [EndProcess(**two.record), EndProcess(**one.record)]
        keeper.close()
        assert open_leases(guard.ledger.path) == []
        guard.close()
        assert one.running
        assert two.running


def test_a_stack_whose_keeper_is_gone_is_ended(tmp_path: Path) -> None:
    """Processes have no deadline of their own: they end with the run."""
    guard = Guard(tmp_path)
    with sleeper() as one:
        StackKeeper(guard).process(one.pid)
        guard.close()
        assert one.process.wait(1) == -signal.SIGKILL


# ---- the records


def test_another_process_with_that_pid_is_left_alone() -> None:
    """Pids come again; a process with another start time is somebody else's."""
    with sleeper() as stranger:
        other = {"pid": stranger.pid, "start_ticks": stranger.identity.start_ticks + 1}
        stranger.stop()
        ResumeProcess(**other).carry_out()
        EndProcess(**other).carry_out()
        assert stranger.state == "T"


def test_ending_a_process_ends_all_below_it() -> None:
    """A supervisor's children do not outlive it."""
    with sleeper("sh", "-c", "sleep 100 & sh -c 'sleep 101 & echo $!; wait' & echo $!; wait") as family:
        assert family.process.stdout is not None
        below = [identify(int(family.process.stdout.readline())) for _ in range(2)]
        assert all(one is not None and one.alive for one in below)
        EndProcess(**family.record).carry_out()
        wait_for(lambda: not any(one.alive for one in below if one), what="the family to end", within_s=2)
        assert family.state in "Z"


def test_undoing_twice_is_undoing_once(tmp_path: Path) -> None:
    """Each record may be carried out again, by the drill and by the watchdog, and when its target is gone."""
    folder = tmp_path / "folder"
    folder.mkdir()
    setting = tmp_path / "setting"
    with sleeper() as one, RememberingServer(status=404) as api:
        one.stop()
        records: list[Undo] = [
            ResumeProcess(**one.record),
            WriteFile(path=str(setting), text="whole"),
            WriteFile(path=str(tmp_path / "no" / "such" / "file"), text="x"),
            RemoveTree(path=str(folder)),
            HttpCall(address=api.address, method="POST", path="/"),
            EndProcess(**one.record),
        ]
        records[0].carry_out()
        wait_for(lambda: one.running, what="the process to go on", within_s=2)
        for _ in range(2):
            for record in records:
                record.carry_out()
        assert one.process.wait(1) == -signal.SIGKILL
        for record in records:
            record.carry_out()
    assert setting.read_text() == "whole"
    assert not folder.exists()
    records[4].carry_out()  # nobody listens any more
