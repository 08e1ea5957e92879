"""More than one clock: measured by round trips, never worse than it says, and put on the drill's once."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from servedrill.history import clocks as c
from servedrill.history import events as e
from servedrill.history.history import History

SECOND_NS = 10**9
MS = 10**6
DRIFT = st.floats(-c.DRIFT_RATIO_MAX, c.DRIFT_RATIO_MAX)


def offset(t_ns: int, offset_ns: int, error_ns: int = 0, *, clock: str = "w") -> e.ClockOffset:
    return e.ClockOffset(t_ns=t_ns, clock=clock, offset_ns=offset_ns, error_ns=error_ns)


def noted(t_ns: int, *, host: str = "w", name: str = "n") -> e.Observed:
    return e.Observed(t_ns=t_ns, host=host, name=name, value=1)


# ---- measuring


@settings(deadline=None)
@given(
    st.integers(-(2**62), 2**62),
    st.lists(st.tuples(*[st.integers(0, 10 * SECOND_NS)] * 3), min_size=1, max_size=9),
)
def test_the_true_offset_lies_within_the_error(true_ns: int, delays: list[tuple[int, int, int]]) -> None:
    """However long the way there and back is, and however unequal."""
    trips = [c.Trip(at, at + there + true_ns, at + there + back) for at, there, back in delays]
    found = c.measured("w", trips)
    assert abs(found.offset_ns - true_ns) <= found.error_ns
    assert found.error_ns == math.ceil(min(there + back for _, there, back in delays) / 2)


def test_the_shortest_trip_counts() -> None:
    """It says most; its middle is when the clock was looked at."""
    trips = [c.Trip(0, 5_000, 9_000), c.Trip(10_000, 15_150, 10_400), c.Trip(20_000, 25_000, 29_000)]
    assert c.measured("w", trips) == offset(10_200, 4_950, 200)


@pytest.mark.parametrize("trips", [[], [c.Trip(10, 5, 9)]])
def test_no_trip_measures_nothing(trips: list[c.Trip]) -> None:
    """Nor does one that came back before it began."""
    with pytest.raises(ValueError):
        c.measured("w", trips)


# ---- converting


@settings(deadline=None)
@given(
    st.integers(-(2**60), 2**60),
    st.lists(st.tuples(st.integers(1, 100 * SECOND_NS), DRIFT, st.floats(-1, 1), st.integers(0, 20 * MS)), min_size=1),
    st.data(),
)
def test_a_converted_instant_is_never_further_off_than_it_says(
    start_ns: int, parts: list[tuple[int, float, float, int]], data: st.DataObject
) -> None:
    """Whatever a clock's drift does, within what is allowed, between measurements that are off by their error."""
    at_ns, true_ns = 0, float(start_ns)
    corners, offsets = [], []
    for length_ns, drift, off, error_ns in parts:
        corners.append((at_ns, true_ns, drift))
        offsets.append(offset(at_ns, round(true_ns + off * error_ns), error_ns + 1))
        at_ns, true_ns = at_ns + length_ns, true_ns + drift * length_ns
    clock = c.Clock(offsets)
    assert not clock.jumped
    for t_ns in data.draw(st.lists(st.integers(0, at_ns), min_size=1, max_size=20)):
        begin_ns, then_ns, drift = next(corner for corner in reversed(corners) if corner[0] <= t_ns)
        remote_ns = t_ns + round(then_ns + drift * (t_ns - begin_ns))
        assert abs(clock.drill_ns(remote_ns) - t_ns) <= clock.error_ns(remote_ns, remote_ns) + 2**8  # floats


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**60), st.integers(-(2**60), 2**60)), min_size=1), st.data())
def test_order_is_kept(measurements: list[tuple[int, int]], data: st.DataObject) -> None:
    """What a machine did first stays first, whatever was measured; unless its clock jumped, which is said."""
    clock = c.Clock([offset(t_ns, by_ns, SECOND_NS) for t_ns, by_ns in sorted(measurements)])
    assume(not clock.jumped)
    first, second = sorted(data.draw(st.tuples(*[st.integers(-(2**61), 2**61)] * 2)))
    assert clock.drill_ns(first) <= clock.drill_ns(second)


def test_between_two_measurements_the_offset_is_interpolated() -> None:
    """Before the first and after the last it stands still."""
    clock = c.Clock([offset(0, 1000), offset(1_000_000, 1200)])
    assert [clock.drill_ns(at) for at in (0, 1000, 501_100, 1_001_200, 2_001_200)] == [
        -1000, 0, 500_000, 1_000_000, 2_000_000
    ]  # fmt: skip


def test_the_error_grows_with_the_time_between_measurements() -> None:
    """A minute apart: half of what clocks may drift in it; beyond the last: all of it."""
    clock = c.Clock([offset(0, 0, 2 * MS), offset(60 * SECOND_NS, 0, 1 * MS)])
    within, beyond = clock.error_ns(0, 60 * SECOND_NS), clock.error_ns(0, 120 * SECOND_NS)
    assert within == pytest.approx(17 * MS, rel=0.02)
    assert beyond == pytest.approx(32 * MS, rel=0.02)


def test_a_clock_that_jumped_is_not_known() -> None:
    """No drift explains it: the machine was started anew, or slept."""
    clock = c.Clock([offset(0, 0, MS), offset(SECOND_NS, 10 * MS, MS)])
    assert clock.jumped
    assert clock.error_ns(0, 1) == math.inf


# ---- histories


EVERY_STRUCT = (*get_args(e.KnownEvent), e.Unknown, e.Attempt)


@pytest.mark.parametrize("kind", EVERY_STRUCT, ids=lambda kind: kind.__name__)
def test_every_instant_of_an_event_is_converted(kind: type[msgspec.Struct]) -> None:
    """A field that ends in ``_ns`` is a whole number and an instant, or named as a duration."""
    named = {field.name: field.type for field in msgspec.structs.fields(kind) if field.name.endswith("_ns")}
    assert set(c.instants(kind)) == set(named) - c.DURATIONS
    assert {named[name] for name in c.instants(kind)} <= {int, int | None}


def test_an_event_of_another_machine_is_on_the_drills_clock_with_all_in_it() -> None:
    """Its tries too, while durations stay as they are; and events are in the order of the drill's time."""
    attempt = e.Attempt(t_send_ns=SECOND_NS + 1, t_end_ns=SECOND_NS + 2, address="a")
    fields: dict[str, Any] = {"cls": "chat", "route": "chat", "stream": True, "model": "m", "prompt": "p"}
    request = e.RequestRecord(
        **fields, host="w", id="r", prompt_tokens=1, max_tokens=1, deadline_s=1.0, t_ns=SECOND_NS + 4,
        t_int_ns=SECOND_NS, t_send_ns=None, t_first_ns=SECOND_NS + 3, t_end_ns=SECOND_NS + 4, gaps_ns=[7],
        attempts=[attempt],
    )  # fmt: skip
    written = [offset(0, SECOND_NS), noted(3, host=""), noted(SECOND_NS + 2), request]
    history = History(written)
    assert [event.t_ns for event in history.events] == [0, 2, 3, 4]
    [found] = history.of(e.RequestRecord)
    assert (found.t_int_ns, found.t_send_ns, found.t_first_ns, found.t_end_ns, found.gaps_ns) == (0, None, 3, 4, [7])
    assert [(one.t_send_ns, one.t_end_ns) for one in found.attempts] == [(1, 2)]
    assert written[3] is request and request.t_int_ns == SECOND_NS


def test_each_machine_has_a_clock_of_its_own() -> None:
    """Errors are those of machines that wrote something; one that nobody measured is not known."""
    events = [offset(0, 10, 5, clock="a"), offset(0, 20, 3, clock="b"), offset(0, 0, clock="silent")]
    history = History([*events, noted(11, host="a"), noted(22, host="b"), noted(9, host="lost"), noted(1, host="")])
    assert [(event.host, event.t_ns) for event in history.of(e.Observed)] == [("a", 1), ("", 1), ("b", 2), ("lost", 9)]
    errors_ns = history.clocks.errors_ns
    assert errors_ns == {"a": pytest.approx(6, abs=1), "b": pytest.approx(4, abs=1), "lost": math.inf}
    assert history.clocks.why_unknown("lost") == "nobody measured the clock of lost"


def test_a_history_can_be_seen_with_clocks_elsewhere() -> None:
    """Later by what is given, and the history that was asked stays as it is."""
    history = History([offset(0, 10), noted(10), noted(5, host="")])
    assert [event.t_ns for event in history.moved({"w": 7}).of(e.Observed)] == [5, 7]
    assert [event.t_ns for event in history.of(e.Observed)] == [0, 5]


def test_with_one_clock_nothing_is_touched() -> None:
    """Events are the very same, and a line does not grow."""
    events = [noted(1, host=""), noted(2, host="")]
    history = History(events)
    assert history.events == events
    assert history.clocks.errors_ns == {}
    assert b"host" not in msgspec.json.encode(events[0])
