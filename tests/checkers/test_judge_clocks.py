"""Verdicts where events are of several machines: what hangs on how their clocks stand is not judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import at, changed, clean_run, fault, finding

from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import Answer, Finding
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.judging.clocks import _far_apart
from servedrill.judging.verdict import Verdict, judge


class NotedAfter(Checker, frozen=True, kw_only=True):
    """One measurement came so long after another."""

    timing = True

    first: str
    then: str
    within_s: float

    def __call__(self, history: History) -> Finding:
        first, then = history.observed(self.first), history.observed(self.then)
        if first is None or then is None:
            return self.cannot_say("nothing was measured")
        took_s = (then.t_ns - first.t_ns) / 1e9
        return self.says(took_s <= self.within_s, f"{took_s:.3f} s", threshold=f"{self.within_s} s")


class NotedIn(Checker, frozen=True, kw_only=True):
    """A measurement was made in a window."""

    window: str
    name: str

    def __call__(self, history: History) -> Finding:
        found = history.observed(self.name)
        return self.says(found is not None and found.t_ns in history.windows[self.window], "seen")


def noted(name: str, seconds: float, *, host: str = "", ahead_s: float = 0.0) -> e.Observed:
    return e.Observed(t_ns=at(seconds + ahead_s), host=host, name=name, value=1)


def measured(host: str, *, ahead_s: float, error_s: float) -> list[Any]:
    """The offset of a machine every half second of the made-up run, so that drift between is next to nothing."""
    by_ns, error_ns = round(ahead_s * 1e9), round(error_s * 1e9)
    return [e.ClockOffset(t_ns=at(t / 2), clock=host, offset_ns=by_ns, error_ns=error_ns) for t in range(28)]


def judged(*events: Any) -> Verdict:
    return judge(clean_run(*events))


WITHIN = NotedAfter(first="a", then="b", within_s=0.5)
ASKED = WITHIN.expected(at(12))


@pytest.mark.parametrize(
    ("took_s", "answer"),
    [
        pytest.param(0.40, Answer.PASS, id="well-within"),
        pytest.param(0.49, Answer.INCONCLUSIVE, id="within-by-less-than-the-error"),
        pytest.param(0.51, Answer.INCONCLUSIVE, id="beyond-by-less-than-the-error"),
        pytest.param(0.60, Answer.FAIL, id="well-beyond"),
    ],
)
def test_a_claim_that_is_tighter_than_the_clocks_is_not_judged(took_s: float, answer: Answer) -> None:
    """Its answer has to be the same wherever within the error the other clock stands."""
    times = [noted("a", 5), noted("b", 5 + took_s, host="w", ahead_s=100)]
    found = finding(judged(*times, *measured("w", ahead_s=100, error_s=0.02), ASKED).findings, WITHIN.id)
    assert found.answer is answer
    assert found.observed.startswith(f"{took_s:.3f} s")
    told = "(not judged: the clock of w is known to within 20.3 ms)" in found.observed
    assert told == (answer is Answer.INCONCLUSIVE)


@settings(max_examples=40, deadline=None)
@given(st.integers(-30, 30), st.integers(400, 600))
def test_no_word_is_false_wherever_the_clock_stands(off_ms: int, took_ms: int) -> None:
    """The measured offset is off by up to its error: a word that is said is the true one."""
    ahead_s = 100 + off_ms / 1e3
    times = [noted("a", 5), noted("b", 5 + took_ms / 1e3, host="w", ahead_s=ahead_s)]
    history = clean_run(*times, *measured("w", ahead_s=100, error_s=0.03), ASKED)
    found = finding(judge(history).findings, WITHIN.id)
    assert found.answer in (Answer.INCONCLUSIVE, Answer.PASS if took_ms <= 500 else Answer.FAIL)
    assert found.answer is not Answer.INCONCLUSIVE or abs(took_ms - 500) <= 62


def test_the_edge_of_a_window_is_no_sharper_than_the_clocks() -> None:
    """A claim that is not about time may hang on which side of an edge something happened."""
    clock = measured("w", ahead_s=-3, error_s=0.02)
    edge, inside = (
        [noted("n", t, host="w", ahead_s=-3), NotedIn(window="inject", name="n").expected(at(12))] for t in (4.01, 4.1)
    )
    name = f"{__name__}:NotedIn"
    assert finding(judged(*clock, *edge).findings, name).answer is Answer.INCONCLUSIVE
    assert finding(judged(*clock, *inside).findings, name).answer is Answer.PASS


def test_a_window_that_is_shorter_than_the_clocks_are_apart_is_not_judged() -> None:
    """Something could have happened before it, in it and after it, and look the same with clocks at either end."""
    brief = [e.WindowOpened(t_ns=at(5), window="brief"), e.WindowClosed(t_ns=at(5.01), window="brief")]
    asked = NotedIn(window="brief", name="n").expected(at(12))
    here, there = noted("n", 5.005), noted("m", 5, host="w")
    found = finding(judged(*brief, here, there, *measured("w", ahead_s=0, error_s=0.02), asked).findings, NotedIn.id)
    assert found.answer is Answer.INCONCLUSIVE
    assert finding(judged(*brief, here, asked).findings, NotedIn.id).answer is Answer.PASS


def test_two_other_machines_may_be_apart_by_both_errors() -> None:
    """Each is known to 20 ms, so an order of events 30 ms apart is not."""
    clocks = [*measured("v", ahead_s=1, error_s=0.02), *measured("w", ahead_s=2, error_s=0.02)]
    for took_s, answer in ((0.45, Answer.PASS), (0.47, Answer.INCONCLUSIVE), (0.53, Answer.INCONCLUSIVE)):
        times = [noted("a", 5, host="v", ahead_s=1), noted("b", 5 + took_s, host="w", ahead_s=2)]
        assert finding(judged(*clocks, *times, ASKED).findings, WITHIN.id).answer is answer


@pytest.mark.parametrize(
    ("clock", "why"),
    [
        pytest.param([], "nobody measured the clock of w", id="never-measured"),
        pytest.param(
            [measured("w", ahead_s=0, error_s=0.001)[0], measured("w", ahead_s=9, error_s=0.001)[9]],
            "the clock of w jumped",
            id="jumped",
        ),
    ],
)
def test_with_a_clock_that_nobody_knows_no_time_is_judged(clock: list[Any], why: str) -> None:
    """Neither limits nor windows, while what is not about time stands."""
    verdict = judged(*fault(), *clock, noted("a", 5), noted("b", 5.1, host="w"), ASKED)
    found = finding(verdict.findings, WITHIN.id)
    assert found.answer is Answer.INCONCLUSIVE
    assert found.observed.endswith(f"(not judged: {why})")
    assert verdict.answer is Answer.INCONCLUSIVE
    assert finding(verdict.findings, "TokenExact").answer is Answer.PASS
    assert (verdict.detect_s, verdict.recover_s, verdict.restored) == (None, None, [])


def test_requests_of_a_worker_elsewhere_are_judged_like_those_of_here() -> None:
    """The whole made-up run as another machine's client saw it: the same findings."""
    here = clean_run(*fault(), ASKED)
    ahead_ns = 7 * 10**9
    there = [
        changed(event, host="w", **{n: v + ahead_ns for n, v in times(event).items()}, attempts=[
            changed(one, **{n: v + ahead_ns for n, v in times(one).items()}) for one in event.attempts
        ]) if isinstance(event, e.RequestRecord) else event
        for event in here.events
    ]  # fmt: skip
    verdict = judge(History([*there, *measured("w", ahead_s=7, error_s=0.001)]))
    wanted = judge(here)
    assert verdict.findings[1:] == wanted.findings[1:]
    assert (verdict.answer, verdict.restored) == (wanted.answer, wanted.restored)


def times(thing: Any) -> dict[str, int]:
    """The instants of a record."""
    names = [name for name in thing.__struct_fields__ if name.endswith("_ns") and name != "gaps_ns"]
    return {name: getattr(thing, name) for name in names if getattr(thing, name) is not None}


@pytest.mark.parametrize(("machines", "ways"), [(1, 2), (2, 4), (3, 8), (5, 12)])
def test_any_two_machines_are_once_as_far_apart_as_they_may_be(machines: int, ways: int) -> None:
    """In either direction, the drill's own machine included."""
    errors = {f"w{number}": 10 * (number + 1) for number in range(machines)}
    found = _far_apart(errors)
    assert len(found) == ways
    for one in errors:
        assert {way[one] for way in found} == {errors[one], -errors[one]}
        for other in errors.keys() - {one}:
            assert errors[one] + errors[other] in {way[one] - way[other] for way in found}
