"""The watchdog: heals when whoever broke things is gone, frozen or too late, and keeps out of it otherwise."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from fault_world import Parent, RememberingServer, sleeper

from servedrill.host.clock import now_ns, wait_for
from servedrill.host.ports import free_ports
from servedrill.host.processes import ProcessId, identify
from servedrill.leases.guard import Guard
from servedrill.leases.keeper import StackKeeper
from servedrill.leases.ledger import Closed, Opened
from servedrill.leases.reader import open_leases
from servedrill.leases.undo import (
    EndMarked,
    HttpCall,
    RemoveMemoryGroup,
    RemoveTree,
    ResumeProcess,
    Undo,
    WriteFile,
)

S = 1_000_000_000


def test_kill_9_of_the_parent_heals_everything(tmp_path: Path) -> None:
    """Within five seconds a frozen process runs, a planted one is gone, a setting is back, a control API was told."""
    setting = tmp_path / "setting"
    setting.write_text("half")
    setting.write_text("broken")
    with sleeper() as frozen, sleeper() as planted, RememberingServer() as api:
        frozen.stop()
        undo: list[Undo] = [
            ResumeProcess(**frozen.record),
            EndMarked(mark=planted.mark),
            WriteFile(path=str(setting), text="whole"),
            HttpCall(address=api.address, method="DELETE", path="/toxics/a", body='{"a": 1}'),
        ]
        with Parent(tmp_path, undo) as parent:
            parent.process.kill()
            parent.watchdog_gone()
            assert frozen.running
            assert planted.process.wait(30) == -signal.SIGKILL
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
    assert re.search(r"^lease-4\.\S+: HttpCall\(address='no address'", (tmp_path / "watchdog.log").read_text(), re.M)


def test_a_frozen_parent_is_as_good_as_dead(tmp_path: Path) -> None:
    """The pipe is open, but no heartbeat comes: three seconds of silence are enough."""
    with sleeper() as frozen, Parent(tmp_path, [ResumeProcess(**frozen.record)]) as parent:
        frozen.stop()
        stopped_ns = now_ns()
        parent.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: frozen.running, what="the frozen process to run", within_s=30)
        assert now_ns() - stopped_ns > 2 * S


def test_a_lease_past_its_deadline_is_undone_though_hearts_beat(tmp_path: Path) -> None:
    """A drill that hangs with a fault in place does not keep the fault; its other leases stay."""
    guard = Guard(tmp_path)
    with sleeper() as frozen, sleeper() as other, RememberingServer() as api:
        frozen.stop()
        other.stop()
        later = guard.ledger.open("other", [ResumeProcess(**other.record)], deadline_ns=now_ns() + 60 * S)
        calls = [HttpCall(address=api.address, method="POST", path=f"/{number}") for number in range(2)]
        undo = [*calls, ResumeProcess(**frozen.record)]
        deadline_ns = now_ns() + S // 2
        hanging = guard.ledger.open("hanging", undo, deadline_ns=deadline_ns)
        wait_for(lambda: frozen.running, what="the deadline to pass", within_s=30)
        assert now_ns() >= deadline_ns
        wait_for(lambda: len(api.calls) == 2, what="both calls", within_s=30)
        assert [path for _, path, _ in api.calls] == ["/1", "/0"]
        assert other.state == "T"
        assert identify(guard.pid) is not None
        guard.ledger.close_lease(hanging)
        guard.ledger.close_lease(later)
        guard.close()
        assert other.state == "T"
        assert len(api.calls) == 2


def test_a_clean_goodbye_changes_nothing(tmp_path: Path) -> None:
    """What was healed is not healed again, and the watchdog leaves with its parent."""
    with sleeper() as frozen, sleeper() as healthy, RememberingServer() as api:
        frozen.stop()
        undo: list[Undo] = [
            ResumeProcess(**frozen.record),
            EndMarked(mark=healthy.mark),
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
        wait_for(lambda: frozen.running, what="the frozen process to run", within_s=30)


def test_what_a_stack_makes_is_kept_until_it_is_down(tmp_path: Path) -> None:
    """On the ledger from the start, to be undone by whoever is left; what the stack has not ended itself is ended when
    it is down, and nothing else."""
    guard = Guard(tmp_path)
    keeper = StackKeeper(guard)
    with sleeper() as one, sleeper() as two:
        group = RemoveMemoryGroup(path=str(tmp_path / "group"))
        keeper.keep("process", EndMarked(mark=one.mark))
        keeper.keep("process")  # there is nothing to undo
        keeper.keep("memory-group", group)
        kept = open_leases(guard.ledger.path)
        assert [entry.undo for entry in kept] == [[group], [EndMarked(mark=one.mark)]]
        assert one.running
        keeper.close()
        assert open_leases(guard.ledger.path) == []
        guard.close()
        assert one.process.wait(30) == -signal.SIGKILL
        assert two.running


def test_a_stack_whose_keeper_is_gone_is_ended(tmp_path: Path) -> None:
    """Processes have no deadline of their own: they end with the run."""
    guard = Guard(tmp_path)
    with sleeper() as one:
        StackKeeper(guard).keep("process", EndMarked(mark=one.mark))
        guard.close()
        assert one.process.wait(30) == -signal.SIGKILL


# ---- several processes, one ledger


def test_another_process_closes_its_own_leases_alone(tmp_path: Path) -> None:
    """Two processes that each count from one and write to one ledger: the first lease of the one is healed, that of
    the other stays open and is undone after its kill -9."""
    setting = tmp_path / "setting"
    setting.write_text("half")
    setting.write_text("broken")
    mine = WriteFile(path=str(setting), text="whole")
    with Parent(tmp_path, [mine]) as one, Parent(tmp_path, [mine]) as other:
        other.tell("heal the first")
        (left,) = open_leases(tmp_path / "leases.jsonl")
        assert left.owner == one.identity
        assert setting.read_text() == "broken"
        one.process.kill()
        one.watchdog_gone()
        assert setting.read_text() == "whole"


def test_a_goodbye_leaves_what_another_process_has_in_place(tmp_path: Path) -> None:
    """Who leaves heals what nobody else will: its own leases and those of the dead, not those of the living."""
    with sleeper() as mine, sleeper() as theirs, sleeper() as of_the_dead:
        for one in (mine, theirs, of_the_dead):
            one.stop()
        with Parent(tmp_path, [ResumeProcess(**theirs.record)]), Parent(tmp_path, [ResumeProcess(**mine.record)]) as me:
            dead = ProcessId(me.process.pid, 1)  # the pid's life before
            orphan = Opened(lease="lease-1.dead", undo=[ResumeProcess(**of_the_dead.record)], owner=dead)
            with (tmp_path / "leases.jsonl").open("ab") as file:
                file.write(msgspec.json.encode(orphan) + b"\n")
            me.tell("bye")
            assert (mine.running, of_the_dead.running, theirs.state) == (True, True, "T")


# ---- a ledger that grows


def test_a_long_ledger_is_read_once(tmp_path: Path) -> None:
    """After 20,000 leases that are closed a look costs what is new, not what was: the watchdog reads heartbeats,
    and no more."""
    guard = Guard(tmp_path)
    began = read_by(guard.pid)
    with guard.ledger.path.open("ab") as file:
        for number in range(20_000):
            opened = Opened(lease=f"a-{number}", undo=[WriteFile(path="/nowhere", text="x")], deadline_ns=1)
            file.writelines(msgspec.json.encode(entry) + b"\n" for entry in (opened, Closed(lease=opened.lease)))
    until = began.bytes + guard.ledger.path.stat().st_size
    wait_for(lambda: read_by(guard.pid).bytes >= until, what="the watchdog to have read it all", within_s=30)
    before = read_by(guard.pid)
    wait_for(lambda: read_by(guard.pid).calls >= before.calls + 20, what="twenty more reads", within_s=30)
    assert read_by(guard.pid).bytes - before.bytes < 100
    guard.close()


def test_a_watchdog_that_has_read_on_heals_what_came_last(tmp_path: Path) -> None:
    """What is open is known from all that was ever read, whether long ago or just now."""
    with sleeper() as early, sleeper() as late:
        early.stop()
        late.stop()
        guard = Guard(tmp_path)
        guard.ledger.open("early", [ResumeProcess(**early.record)])
        before = read_by(guard.pid)
        wait_for(lambda: read_by(guard.pid).calls > before.calls + 2, what="the watchdog to have looked", within_s=30)
        guard.ledger.open("late", [ResumeProcess(**late.record)])
        guard.close()
        assert early.running
        assert late.running


@dataclass(frozen=True)
class Read:
    """What a process has read so far: bytes, and calls of read(2) and its like."""

    bytes: int
    calls: int


def read_by(pid: int) -> Read:
    told = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Read(bytes=int(told["rchar"]), calls=int(told["syscr"]))


# ---- the records


def test_another_process_with_that_pid_is_left_alone() -> None:
    """Pids come again; a process with another start time is somebody else's."""
    with sleeper() as stranger:
        stranger.stop()
        ResumeProcess(pid=stranger.pid, start_ticks=stranger.identity.start_ticks + 1).carry_out()
        EndMarked(mark=stranger.mark[:-1]).carry_out()
        EndMarked(mark="").carry_out()
        assert stranger.state == "T"


def test_ending_a_process_ends_all_below_it() -> None:
    """A supervisor's children do not outlive it, with a mark or without."""
    with sleeper("sh", "-c", "env -i sleep 100 & echo $!; sh -c 'sleep 101 & echo $!; wait' & wait") as family:
        assert family.process.stdout is not None
        below = [identify(int(family.process.stdout.readline())) for _ in range(2)]
        assert all(one is not None and one.alive for one in below)
        EndMarked(mark=family.mark).carry_out()
        wait_for(lambda: not any(one.alive for one in below if one), what="the family to end", within_s=30)
        assert family.state in "Z"


def test_what_an_ended_process_left_behind_is_found_by_its_mark() -> None:
    """Nobody is above it any more, so no family leads to it."""
    with sleeper("sh", "-c", "(sleep 100 >/dev/null & echo $!)") as gone:
        assert gone.process.stdout is not None
        left = identify(int(gone.process.stdout.readline()))
        gone.process.wait(30)
        assert left is not None and left.alive
        EndMarked(mark=gone.mark).carry_out()
        assert not left.alive


def test_undoing_twice_is_undoing_once(tmp_path: Path) -> None:
    """Each record may be carried out again, by the drill and by the watchdog, and when its target is gone."""
    folder = tmp_path / "folder"
    folder.mkdir()
    setting = tmp_path / "setting"
    setting.write_text("half")
    with sleeper() as one, RememberingServer(status=404) as api:
        one.stop()
        records: list[Undo] = [
            ResumeProcess(**one.record),
            WriteFile(path=str(setting), text="whole"),
            WriteFile(path=str(tmp_path / "no" / "such" / "file"), text="x"),
            RemoveTree(path=str(folder)),
            HttpCall(address=api.address, method="POST", path="/"),
            EndMarked(mark=one.mark),
        ]
        records[0].carry_out()
        wait_for(lambda: one.running, what="the process to go on", within_s=30)
        for _ in range(2):
            for record in records:
                record.carry_out()
        assert one.process.wait(30) == -signal.SIGKILL
        for record in records:
            record.carry_out()
    assert setting.read_text() == "whole"
    assert not folder.exists()
    records[4].carry_out()  # nobody listens any more
