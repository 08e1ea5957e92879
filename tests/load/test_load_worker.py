"""Worker processes: they keep their schedule, say how they are, and never outlive what started them."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest
from load_servers import AnsweringServer, Server, StallingServer, one_class, plan_for, processes_gone

from servedrill.errors import NotInTime, ServedrillError, UsageError
from servedrill.history.events import LoadHealth, RequestRecord
from servedrill.history.journal import read_events
from servedrill.host.clock import wait_for
from servedrill.load.arrivals import Burst, Constant, Poisson, Users
from servedrill.load.generator import Load, package_environment
from servedrill.load.messages import Job, Status
from servedrill.load.worker import take_precedence


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Where the records go."""
    return tmp_path / "history.jsonl"


def records(history: Path) -> list[RequestRecord]:
    """The requests in a history."""
    return [event for event in read_events(history) if isinstance(event, RequestRecord)]


def until(load: Load, condition: str) -> None:
    """Wait for a word about the load's status to come true."""
    wait_for(lambda: bool(eval(condition, {"s": load.status()})), what=condition, within_s=30)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bounded_plan_ends_by_itself(history: Path, workers: int) -> None:
    """Every request is sent near its instant, once, whoever sends it, and recorded; the workers then leave."""
    with AnsweringServer() as server:
        plan = plan_for(server.url, one_class(arrivals=Constant(100, count=60)), nonce="")
        with Load(plan, history, workers=workers) as load:
            load.start()
            last = load.wait_done(within_s=30)
            assert processes_gone(load.pids)
            t0_ns = load.t0_ns
            nonce = load.plan.nonce
    seen = sorted(records(history), key=lambda record: record.id)
    assert [record.id for record in seen] == [f"chat-{index:06d}" for index in range(60)]
    assert [record.failure for record in seen] == [None] * 60
    assert [record.t_int_ns - t0_ns for record in seen] == [index * 10_000_000 for index in range(60)]  # type: ignore[operator]
    assert nonce
    assert {request.headers["x-request-id"] for request in server.requests} == {f"{nonce}-{r.id}" for r in seen}
    assert (last.finished, last.planned, last.sent, last.done, last.in_flight) == (True, 60, 60, 60, 0)
    healths = [event for event in read_events(history) if isinstance(event, LoadHealth)]
    assert {health.worker for health in healths} == set(range(workers))
    assert sum(health.sent for health in healths) == sum(health.planned for health in healths) == 60


def test_stop_drains_and_then_ends(history: Path) -> None:
    """After a stop nothing new is sent; what does not end within the drain is recorded as over its deadline."""
    with StallingServer(1) as server:
        with Load(plan_for(server.url, one_class(arrivals=Constant(100), deadline_s=60.0)), history) as load:
            load.start()
            until(load, "s.in_flight >= 10")
            begun = time.monotonic()
            last = load.stop(drain_s=0.3)
            assert 0.3 <= time.monotonic() - begun < 30
            assert processes_gone(load.pids)
        server.wait_closed(last.sent)
    assert last.failed == {"deadline": last.sent}
    assert [record.failure for record in records(history)] == ["deadline"] * last.sent


def test_a_drain_ends_as_soon_as_nothing_is_left(history: Path) -> None:
    """The drain is a bound, not a wait."""
    with AnsweringServer() as server, Load(plan_for(server.url, one_class(arrivals=Poisson(50))), history) as load:
        load.start()
        until(load, "s.done >= 5")
        begun = time.monotonic()
        load.stop(drain_s=120)
        assert time.monotonic() - begun < 60
    assert {record.failure for record in records(history)} == {None}


def test_abort_hangs_up(history: Path) -> None:
    """An abort closes everything at once, and its requests are neither good nor bad."""
    with StallingServer(1) as server:
        with Load(plan_for(server.url, one_class(arrivals=Burst(20))), history) as load:
            load.start()
            until(load, "s.in_flight == 20")
            last = load.abort()
        server.wait_closed(20)
    assert (last.cancelled, last.failed) == (20, {})
    assert all(record.cancelled_ns is not None for record in records(history))


def test_leaving_the_block_leaves_no_process(history: Path) -> None:
    """Also when the drill failed in the middle."""
    with StallingServer() as server:
        load = Load(plan_for(server.url, one_class(arrivals=Constant(50))), history, workers=2)
        with pytest.raises(ZeroDivisionError), load:
            load.start()
            until(load, "s.sent > 0")
            raise ZeroDivisionError
        assert len(load.pids) == 2
        assert processes_gone(load.pids)


PARENT = """
    import sys, time
    sys.path[:0] = {path!r}
    from load_servers import one_class, plan_for
    from servedrill.load.arrivals import Constant
    from servedrill.load.generator import Load
    load = Load(plan_for({url!r}, one_class(arrivals=Constant(50))), {history!r}, workers=2)
    load.start()
    print(*load.pids, flush=True)
    time.sleep(60)
"""


def test_a_killed_parent_leaves_no_process(history: Path) -> None:
    """kill -9 of the parent ends its workers."""
    with StallingServer() as server:
        source = textwrap.dedent(PARENT).format(path=[str(Path(__file__).parent)], url=server.url, history=str(history))
        parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, env=package_environment())
        with parent:
            assert parent.stdout is not None
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert not processes_gone(pids)
            parent.kill()
        assert len(pids) == 2
        wait_for(lambda: processes_gone(pids), what="the workers to go", within_s=30)


def bare_worker(server: Server, history: Path) -> subprocess.Popen[bytes]:
    """A worker without `Load` around it, ready to start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "servedrill.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=package_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    plan = plan_for(server.url, one_class(arrivals=Constant(100)))
    process.stdin.write(msgspec.json.encode(Job(plan=plan, journal=str(history))) + b"\n")
    process.stdin.flush()
    assert msgspec.json.decode(process.stdout.readline(), type=Status).ready
    return process


def test_the_end_of_stdin_ends_a_worker(history: Path) -> None:
    """A worker whose parent is gone without a word leaves at once, started or not."""
    with AnsweringServer() as server:
        for start in (b"", b'{"cmd":"start"}\n'):
            with bare_worker(server, history) as process:
                assert process.stdin is not None
                process.stdin.write(start)
                process.stdin.close()
                assert process.wait(30) == 2


def test_a_worker_leaves_the_interrupt_to_its_parent(history: Path) -> None:
    """SIGINT does nothing to a worker; it goes on and stops when told."""
    with AnsweringServer() as server, bare_worker(server, history) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        process.stdin.write(b'{"cmd":"start"}\n')
        process.stdin.flush()
        assert msgspec.json.decode(process.stdout.readline(), type=Status).sent > 0
        process.stdin.write(b'{"cmd":"stop","drain_s":5}\n')
        process.stdin.flush()
        assert process.wait(30) == 0


def test_a_parent_that_does_not_read_holds_nothing_up(history: Path) -> None:
    """With its status pipe full, a worker goes on sending."""
    with AnsweringServer() as server, bare_worker(server, history) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        filler = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while select.select([], [filler], [], 0)[1]:
                os.write(filler, b"\n" * 4096)
        finally:
            os.close(filler)
        process.stdin.write(b'{"cmd":"start"}\n')
        process.stdin.flush()
        wait_for(lambda: len(server.requests) > 60, what="60 requests", within_s=30)
        process.kill()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_worker_that_may_not_go_first_says_why(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """No privilege, or a filter that knows no such call: it goes on without, and it is known."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    assert take_precedence() == os.strerror(number)


def test_what_breaks_in_a_worker_surfaces(tmp_path: Path) -> None:
    """A worker that cannot write its history says so in the parent, with its own words."""
    with AnsweringServer() as server, Load(plan_for(server.url, one_class()), tmp_path) as load:
        with pytest.raises(ServedrillError, match=r"load-worker-0 ended .*(?s:.*)Is a directory"):
            load.start()
        assert processes_gone(load.pids)


def test_a_killed_worker_surfaces(history: Path, tmp_path: Path) -> None:
    """A worker that is killed is an error at the next look, not a load that went quiet."""
    with AnsweringServer() as server:
        plan = plan_for(server.url, one_class(arrivals=Constant(50)))
        with Load(plan, history, log_dir=tmp_path / "logs") as load:
            load.start()
            os.kill(load.pids[0], signal.SIGKILL)
            with pytest.raises(ServedrillError, match="exit status -9"):
                until(load, "False")
    assert (tmp_path / "logs" / "load-worker-0.log").exists()


def test_a_plan_that_cannot_run_starts_nothing(history: Path) -> None:
    """The mistakes of a plan are found before any process is started."""
    plan = plan_for("http://127.0.0.1:1", one_class())
    with pytest.raises(UsageError):
        Load(msgspec.structs.replace(plan, classes=[]), history)
    with pytest.raises(UsageError, match="no end"):
        Load(plan_for("http://127.0.0.1:1", one_class(arrivals=Poisson(1.0))), history).wait_done(within_s=1)


def test_a_wait_that_is_too_short_says_what_it_waited_for(history: Path) -> None:
    """The bound's error names how much was still in flight."""
    with StallingServer() as server, Load(plan_for(server.url, one_class(arrivals=Burst(3))), history) as load:
        load.start()
        until(load, "s.in_flight == 3")
        with pytest.raises(NotInTime, match="3 in flight"):
            load.wait_done(within_s=0.1)


def test_users_wait_for_their_answers(history: Path) -> None:
    """In a closed loop there are never more requests in flight than users, and the class's count ends it."""
    with AnsweringServer() as server:
        cls = one_class(arrivals=Users(3, think_s=0.01, count=30))
        with Load(plan_for(server.url, cls), history, workers=2) as load:
            load.start()
            load.wait_done(within_s=30)
    seen = records(history)
    assert len({record.id for record in seen}) == len(seen) == 30
    spans = sorted([(record.t_int_ns, 1) for record in seen] + [(record.t_end_ns, -1) for record in seen])
    level = 0
    for _, step in spans:
        level += step
        assert level <= 3


def test_the_send_lag_and_the_loop_lag_are_small_on_a_quiet_machine(history: Path) -> None:
    """At a modest rate the generator is on time; the bound is wide, as others run beside it."""
    with (
        AnsweringServer() as server,
        Load(plan_for(server.url, one_class(arrivals=Poisson(100, count=100))), history) as load,
    ):
        load.start()
        load.wait_done(within_s=30)
    lags = sorted((record.t_send_ns or 0) - record.t_int_ns for record in records(history))
    assert lags[0] >= 0
    assert lags[50] < 500_000_000
