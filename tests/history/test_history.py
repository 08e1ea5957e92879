"""A history as checkers see it: windows, leases, requests, and the last word on what was written twice."""

from __future__ import annotations

import pytest

from servedrill.history import events as e
from servedrill.history.history import History

S = 1_000_000_000


def request(t: int, *, cls: str = "chat", end: int | None = None, cancelled: bool = False) -> e.RequestRecord:
    ended = t if end is None else end
    return e.RequestRecord(
        t_ns=ended, id=f"{cls}-{t}", cls=cls, route="chat", stream=True, model="m", prompt="p", prompt_tokens=1,
        max_tokens=1, t_int_ns=t, t_send_ns=t, t_end_ns=ended, deadline_s=1.0,
        cancelled_ns=ended if cancelled else None,
    )  # fmt: skip


def exchange(seq: int, t: int, *, status: int | None = None, hop: str = "a", **more: object) -> e.Exchange:
    fields = {"method": "POST", "path": "/v1/completions", "request_id": "r", **more}
    return e.Exchange(t_ns=t, hop=hop, seq=seq, connection=1, t_request_ns=t, status=status, **fields)  # type: ignore[arg-type]


def window(name: str, start: int, end: int | None) -> list[e.AnyEvent]:
    closed = [] if end is None else [e.WindowClosed(t_ns=end, window=name)]
    return [e.WindowOpened(t_ns=start, window=name), *closed]


def injected(lease: str, t: int, *, fault: str = "latency", target: str = "a") -> e.FaultInjected:
    return e.FaultInjected(t_ns=t, lease=lease, fault=fault, target=target, deadline_ns=t + 30 * S)


def test_a_window_without_an_end_lasts_as_long_as_the_history() -> None:
    """A drill that was interrupted in it still has one."""
    windows = History([*window("a", 1 * S, 2 * S), *window("b", 3 * S, None), e.DrillEnded(t_ns=7 * S)]).windows
    assert (windows["a"].seconds, windows["b"].end_ns) == (1.0, 7 * S)
    assert 1 * S in windows["a"]
    assert 2 * S + 1 not in windows["a"]


def test_requests_belong_to_the_window_that_they_were_due_in() -> None:
    """By the scheduled instant, whenever they ended; cancelled ones only where they are asked for."""
    history = History(
        [
            *window("a", 10, 20),
            request(9),
            request(10, end=50),
            request(15, cls="code"),
            request(20, cancelled=True),
            request(21),
        ]
    )
    assert [r.t_int_ns for r in history.requests("a")] == [15, 10]
    assert [r.t_int_ns for r in history.requests("a", cancelled=True)] == [15, 20, 10]
    assert [r.t_int_ns for r in history.requests(classes=["code"])] == [15]
    assert not history.requests("a", classes=[])
    with pytest.raises(KeyError):
        history.requests("no such window")


def test_requests_that_a_later_fault_met_are_not_the_windows_own() -> None:
    """`undisturbed` leaves out what was still under way when the next fault began."""
    events = [
        *window("a", 10, 20),
        injected("x", 25),
        request(12, end=18),
        request(19, end=24),
        request(19, end=25),
        request(19, end=60),
    ]
    assert [r.t_end_ns for r in History(events).undisturbed("a")] == [18, 24]
    own = [*window("a", 10, 20), injected("x", 10), request(12, end=60), e.DrillEnded(t_ns=70)]
    assert [r.t_end_ns for r in History(own).undisturbed("a")] == [60]


def test_a_lease_is_known_by_its_name() -> None:
    """Evidence and healing find their injection, and what was never written down is missing."""
    history = History(
        [
            injected("x", 1),
            injected("y", 2, target="b"),
            e.FaultEvidence(t_ns=3, lease="y", took_effect=True, observed="bit"),
            e.FaultHealed(t_ns=4, lease="y", proven=True, proof="gone"),
            injected("z", 30),
            *window("w", 20, 40),
        ]
    )
    x, y, z = history.faults
    assert (x.evidence, x.end_ns, y.end_ns, y.start_ns) == (None, None, 4, 2)
    assert history.fault("latency", "a") == x
    assert history.fault("latency", "a", window="w") == z
    assert history.fault("latency", "c") is None
    assert history.fault("down", "a") is None


def test_the_last_word_on_an_exchange_holds() -> None:
    """A tap writes an exchange again when it went on; probes, control calls and reads are no traffic."""
    history = History(
        [
            exchange(1, 5),
            exchange(2, 3, hop="b", status=503),
            exchange(1, 5, status=200),
            exchange(3, 4, path="/health"),
            exchange(4, 4, path="/v1/load_lora_adapter"),
            exchange(5, 4, method="GET"),
            exchange(6, 9, request_id=None),
        ]
    )
    assert [(x.hop, x.seq, x.status) for x in history.exchanges] == [("b", 2, 503), ("a", 1, 200), ("a", 6, None)]
    assert {key: len(tries) for key, tries in history.exchanges_of.items()} == {"r": 2}


def test_measurements_by_source_role_and_window() -> None:
    """Samples are found by any of them; of measurements with one name the last counts."""

    def sample(t: int, source: str, role: str = "engine") -> e.Sample:
        return e.Sample(t_ns=t, source=source, role=role, ok=True)

    history = History(
        [
            *window("w", 10, 20),
            sample(5, "b"),
            sample(15, "a"),
            sample(15, "g", "gateway"),
            e.Observed(t_ns=1, name="x", value=1),
            e.Observed(t_ns=2, name="x", value=2),
            e.ProcessSeen(t_ns=3, name="a", role="engine", pid=1),
        ]
    )
    assert history.sources("engine") == ["a", "b"]
    assert [s.source for s in history.samples(window="w")] == ["a", "g"]
    assert [s.source for s in history.samples(role="gateway")] == ["g"]
    assert [s.source for s in history.samples("b")] == ["b"]
    assert (history.observed("x") or e.Observed(t_ns=0, name="", value=0)).value == 2
    assert history.observed("y") is None
    assert [p.pid for p in history.processes("a")] == [1]


def test_an_empty_history_can_be_asked() -> None:
    """Nothing of everything."""
    history = History([])
    assert (
        history.drill,
        history.start_ns,
        history.end_ns,
        history.windows,
        history.faults,
        list(history.requests()),
    ) == (
        None,
        0,
        0,
        {},
        [],
        [],
    )
