"""The judge: three answers, one of which is the drill's; the same history, the same verdict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import made_up
import msgspec
import plants_conservation
import pytest
from made_up import (
    END_S,
    PHASES,
    alert,
    answered,
    at,
    changed,
    clean_run,
    cut,
    fault,
    finding,
    history,
    many,
    observed,
    refused,
    sampled,
)
from starving import waits

from servedrill.checkers.answered import ErrorsFast, NoFailures
from servedrill.checkers.checker import Checker, read_checker
from servedrill.checkers.finding import EVIDENCE_MAX, Answer, Finding
from servedrill.checkers.integrity import TokenExact
from servedrill.checkers.replicas import AlertFired
from servedrill.checkers.streaming import StallBounded
from servedrill.checkers.swap import ProbeSaid
from servedrill.errors import UsageError
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.journal import write_events
from servedrill.judging.catalogue import ALWAYS
from servedrill.judging.timeline import Times, timeline
from servedrill.judging.verdict import Verdict, interrupted, judge
from servedrill.runs.layout import HISTORY, VERDICT
from servedrill.runs.verdicts import judge_folder

HELD = ProbeSaid(name="held", at_least=1, what="It held.").expected(at(END_S))
REFUTED = ProbeSaid(name="held", at_most=0, what="It did not hold.").expected(at(END_S))
UNKNOWN = ProbeSaid(name="never measured", at_least=1, what="Who knows.").expected(at(END_S))
MEASURED = observed("held", 1)
STALLS = StallBounded(window="baseline", stall_s_max=1.0).expected(at(END_S))
STALLED = answered(1, gap_s=2.0)


class Crashing(Checker, frozen=True, kw_only=True):
    """Always breaks."""

    def __call__(self, history: History) -> Finding:
        raise ZeroDivisionError("nothing to divide by")


class Refuting(Checker, frozen=True, kw_only=True):
    """Never holds."""

    window: str

    def __call__(self, history: History) -> Finding:
        return self.says(False, "it did not")


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        pytest.param([], Answer.PASS, id="nothing-more"),
        pytest.param([HELD], Answer.PASS, id="proven"),
        pytest.param([HELD, UNKNOWN], Answer.INCONCLUSIVE, id="one-unknown"),
        pytest.param([HELD, REFUTED], Answer.FAIL, id="one-refuted"),
        pytest.param([UNKNOWN, REFUTED, HELD], Answer.FAIL, id="one-of-each"),
        pytest.param([REFUTED, UNKNOWN], Answer.FAIL, id="refuted-first"),
    ],
)
def test_the_worst_word_counts(expected: list[e.Expected], answer: Answer) -> None:
    """A refutation beats a doubt, and a doubt beats any number of proofs."""
    verdict = judge(clean_run(MEASURED, *expected))
    assert verdict.answer is answer
    assert len(verdict.findings) == len(ALWAYS) + len(expected)
    assert {found.answer for found in verdict.of(answer)} == {answer}


def test_a_clean_run_passes() -> None:
    """Faults that bit and healed, load on time, traffic, data, right answers: nothing is left to doubt."""
    verdict = judge(clean_run())
    assert (verdict.answer, verdict.of(Answer.FAIL), verdict.of(Answer.INCONCLUSIVE)) == (Answer.PASS, [], [])
    assert (verdict.drill, verdict.hypothesis, verdict.seed, verdict.control) == ("made_up", "It holds.", 1, False)


@pytest.mark.parametrize(
    ("events", "how", "doubt"),
    [
        pytest.param([*fault("down", took_effect=False)], {}, "FaultsTookEffect", id="a-fault-touched-nothing"),
        pytest.param([*fault("down", took_effect=None)], {}, "FaultsTookEffect", id="no-evidence"),
        pytest.param([], {"interrupted": "KeyboardInterrupt"}, "RanToItsEnd", id="interrupted"),
        pytest.param([], {"without": e.RequestRecord}, "TrafficFlowed", id="no-traffic"),
        pytest.param(sampled("engine-9", health=None), {}, "SignalsHadData", id="a-silent-replica"),
        pytest.param(made_up.late(), {}, "LoadKeptSchedule", id="late-load"),
        pytest.param([*fault("down", healed=False), *waits(0.8)], {}, "StackNotStarved", id="starved"),
    ],
)
def test_without_proof_there_is_no_pass(events: list[Any], how: dict[str, Any], doubt: str) -> None:
    """Whatever a drill expects, it is not green when its fault, its traffic or its signals cannot be shown."""
    verdict = judge(clean_run(*events, **how))
    assert verdict.answer is Answer.INCONCLUSIVE
    assert doubt in {found.checker for found in verdict.of(Answer.INCONCLUSIVE)}


def test_what_never_healed_is_a_failure() -> None:
    """A fault that is still there is worse than a doubt."""
    assert judge(clean_run(*fault("down", healed=False))).answer is Answer.FAIL


def test_a_late_client_takes_back_claims_about_time() -> None:
    """Where the load generator was late, a slow answer may be its own fault: no refutation, and no proof."""
    verdict = judge(clean_run(STALLED, STALLS, *made_up.late()))
    assert verdict.answer is Answer.INCONCLUSIVE
    found = finding(verdict.findings, "StallBounded")
    assert found.answer is Answer.INCONCLUSIVE
    assert "load generator was late" in found.observed
    assert judge(clean_run(STALLED, STALLS)).answer is Answer.FAIL


def test_a_late_client_takes_back_nothing_else() -> None:
    """A wrong word is wrong whenever it was sent."""
    wrong = changed(answered(1), fingerprints=["v2"])
    verdict = judge(clean_run(STALLED, STALLS, wrong, *made_up.late()))
    assert verdict.answer is Answer.FAIL
    assert {found.checker for found in verdict.of(Answer.FAIL)} == {"TokenExact"}


def test_timing_that_passed_still_passes_with_a_late_client() -> None:
    """Lateness only ever makes a stack look worse."""
    found = finding(judge(clean_run(STALLS, *made_up.late())).findings, "StallBounded")
    assert found.answer is Answer.PASS


def test_a_checker_that_crashes_has_no_opinion() -> None:
    """Its error is told, and the drill is not green."""
    verdict = judge(clean_run(Crashing().expected(at(1))))
    found = finding(verdict.findings, f"{__name__}:Crashing")
    assert (verdict.answer, found.answer) == (Answer.INCONCLUSIVE, Answer.INCONCLUSIVE)
    assert found.observed == "the checker broke: ZeroDivisionError: nothing to divide by"


def test_a_window_that_never_opened_cannot_be_judged() -> None:
    """A drill that ended before a window of its own was reached gets no verdict about it."""
    found = judge(clean_run(NoFailures(window="later").expected(at(1)))).findings[-1]
    assert found.answer is Answer.INCONCLUSIVE
    assert "later" in found.observed


CHECKERS = {type(plant.checker).__name__: plant.checker for plant in plants_conservation.PLANTS} | {
    type(checker).__name__: checker
    for checker in (
        *ALWAYS,
        ErrorsFast(window="inject", median_s=1.0, worst_s=2.0),
        NoFailures(window="a b", classes=["chat", "ü"], requests_min=3),
        ProbeSaid(name="freed", at_least=1.5, what="Sleep gives memory back."),
        AlertFired(alert="A", replica="r", window="w", within_s=0.1, resolves_within_s=1e9),
    )
}


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
def test_a_stored_history_names_its_checkers(checker: Checker) -> None:
    """Written down, encoded, read back: the same checker with the same parameters."""
    line = msgspec.json.encode(checker.expected(5))
    assert read_checker(msgspec.json.decode(line, type=e.Expected)) == checker


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        pytest.param(e.Expected(t_ns=1, checker="NoSuch"), "no checker 'NoSuch'", id="unknown"),
        pytest.param(e.Expected(t_ns=1, checker="json:NoSuch"), "no checker 'json:NoSuch'", id="of-a-stranger"),
        pytest.param(
            e.Expected(t_ns=1, checker="NoFailures"),
            "parameters of NoFailures: Object missing required field `window`",
            id="missing-parameter",
        ),
        pytest.param(
            e.Expected(t_ns=1, checker="NoFailures", params={"window": "inject", "but": [1]}),
            "parameters of NoFailures: it has no but",
            id="new-parameter",
        ),
        pytest.param(
            e.Expected(t_ns=1, checker="NoFailures", params={"window": 3}),
            "parameters of NoFailures: Expected `str`, got `int` - at `$.window`",
            id="wrong-type",
        ),
    ],
)
def test_a_checker_of_another_version_is_one_doubt(expected: e.Expected, says: str) -> None:
    """What this version cannot judge is named, and every other finding stays as it is."""
    verdict = judge(clean_run(MEASURED, HELD, changed(expected, t_ns=at(END_S))))
    assert verdict.findings[:-1] == judge(clean_run(MEASURED, HELD, HELD)).findings[:-1]
    found = verdict.findings[-1]
    assert (verdict.answer, found.answer) == (Answer.INCONCLUSIVE, Answer.INCONCLUSIVE)
    assert (found.checker, found.claim, found.observed) == (expected.checker, expected.checker, says)


def test_a_doubt_says_which_version_asked() -> None:
    """Somebody has to know what to judge the history with instead."""
    asked = e.Expected(t_ns=at(END_S), checker="NoSuch", params={"window": "inject"})
    first, *rest = clean_run(asked).events
    found = judge(History([changed(first, version="9.1"), *rest])).findings[-1]
    assert (found.observed, found.window) == ("no checker 'NoSuch'; servedrill 9.1 asked for it", "inject")


@pytest.mark.parametrize("check", ["Refuting", f"{__name__}:Refuting", "Refuting:inject"])
def test_a_weakness_names_a_checker_of_another_package(check: str) -> None:
    """By its bare name or by its id, like one of servedrill's own."""
    first, *rest = clean_run(Refuting(window="inject").expected(at(END_S))).events
    weak = e.DeclaredWeakness(checks=[check], because="It is known.")
    verdict = judge(History([changed(first, weaknesses=[weak]), *rest]))
    assert [found.checker for found in verdict.weaknesses] == [f"{__name__}:Refuting"]


def test_a_history_of_no_drill_is_refused() -> None:
    """There is no hypothesis in it that could be judged."""
    with pytest.raises(UsageError, match="no drill in it"):
        judge(History([]))


def test_the_verdict_lies_beside_the_history(tmp_path: Path) -> None:
    """Judging a folder twice writes the same bytes twice, whatever order the lines came in."""
    events = list(clean_run(MEASURED, HELD, changed(UNKNOWN, t_ns=at(1.23))).events)
    write_events(tmp_path / HISTORY, reversed(events))
    verdict = judge_folder(tmp_path)
    first = (tmp_path / VERDICT).read_bytes()
    assert judge_folder(tmp_path) == verdict == judge(History(events))
    assert (tmp_path / VERDICT).read_bytes() == first
    assert msgspec.json.decode(first, type=Verdict) == verdict


def test_a_verdict_with_an_infinite_figure_can_be_read_again(tmp_path: Path) -> None:
    """An alert that never resolved lasted for ever; its verdict is still a verdict."""
    down = [*fault("down"), *alert("ReplicaDown", "engine-0", 5, None)]
    expected = AlertFired(alert="ReplicaDown", replica="engine-0", window="inject", within_s=2, resolves_within_s=5)
    write_events(tmp_path / HISTORY, clean_run(*down, expected.expected(at(12))).events)
    verdict = judge_folder(tmp_path)
    assert verdict.answer is Answer.FAIL
    assert msgspec.json.decode((tmp_path / VERDICT).read_bytes(), type=Verdict) == verdict


def test_why_a_drill_did_not_end() -> None:
    """Its own reason, or that there is no end at all."""
    assert interrupted(history()) is None
    assert interrupted(history(interrupted="Ctrl-C")) == "Ctrl-C"
    assert interrupted(History(history().events[:1])) == "the history has no end"


def test_evidence_is_bounded() -> None:
    """Thousands of wrong answers are counted, and the first few are named."""
    found = TokenExact()(history(*many(50, 0, 4, fingerprints=["v9"])))
    assert (found.figures["wrong"], len(found.evidence)) == (50, EVIDENCE_MAX)


# ---- the three times


@pytest.mark.parametrize(
    ("told", "times"),
    [
        pytest.param(history(*PHASES, *many(60, 0, 12)), Times(), id="no-fault"),
        pytest.param(history(*PHASES, *fault(), *many(60, 0, 12)), Times(None, 0.0, 0.0), id="nobody-noticed"),
        pytest.param(
            history(*PHASES, *fault(), refused(5.5), *many(60, 0, 12)), Times(None, 1.5, 0.0), id="failures-until"
        ),
        pytest.param(
            history(*fault(), *alert("ReplicaDown", "engine-0", 4.8, 9)), Times(0.8, 0.0, None), id="an-alert-first"
        ),
        pytest.param(
            history(
                *fault(), *sampled("gateway-0", 0, 5), *sampled("gateway-0", 5, 12, values={"breaker/engine-0": 1})
            ),
            Times(1.0, 0.0, None),
            id="a-breaker-first",
        ),
        pytest.param(
            history(
                *fault(), *sampled("gateway-0", 0, 12, values={"healthy/engine-0": 0}), *alert("X", "engine-0", 7, 9)
            ),
            Times(0.5, 0.0, None),
            id="ejected-first",
        ),
        pytest.param(
            history(*fault(), *many(10, 8.01, 9.2, refused), *many(40, 9.5, 12)),
            Times(None, 0.0, 1.5),
            id="bad-for-a-while",
        ),
        pytest.param(
            history(*fault(), *many(10, 8.01, 9, cut), *many(40, 9, 12)), Times(None, 0.0, 1.0), id="cut-for-a-while"
        ),
        pytest.param(history(*fault(end=None), *many(40, 4, 12)), Times(None, 0.0, None), id="never-healed"),
    ],
)
def test_times(told: History, times: Times) -> None:
    """Detected at the first sign after the fault, failed over with the last failure in it.

    Recovered with the last bad half second after it.
    """
    assert _near(timeline(told), times), timeline(told)


def _near(seen: Times, wanted: Times) -> bool:
    pairs = zip(
        (seen.detect_s, seen.failover_s, seen.recover_s),
        (wanted.detect_s, wanted.failover_s, wanted.recover_s),
        strict=True,
    )
    return all((a is None) == (b is None) and (a is None or math.isclose(a, b or 0.0, abs_tol=1e-6)) for a, b in pairs)


def restorations(*events: Any) -> tuple[list[tuple[str, float | None]], float | None]:
    found = timeline(history(*PHASES, *events))
    return [(one.outcome, one.seconds) for one in found.restored], found.mttr_s


WELL, BAD = ("restored", 0.0), ("never", None)


@pytest.mark.parametrize(
    ("events", "each", "mttr_s"),
    [
        pytest.param([*many(60, 0, 12)], [], None, id="no-fault"),
        pytest.param([*fault(), *many(60, 0, 12)], [WELL], 0.0, id="nobody-noticed"),
        pytest.param(
            [*fault(start=4, end=8), *many(20, 0, 4), *many(10, 4, 4.9, refused), *many(40, 5, 12)],
            [("restored", 1.0)], 1.0, id="routed-around-while-it-lasts",
        ),
        pytest.param(
            [
                *fault(start=2, end=3), *many(10, 2, 2.9, refused), *fault(start=6, end=7), *many(30, 6, 7.9, refused),
                *many(30, 3, 5.9), *many(40, 8, 12),
            ],
            [("restored", 1.0), ("restored", 2.0)], 1.5, id="each-by-its-own-injection",
        ),
        pytest.param(
            [*fault(start=2, end=3), *fault(start=4, end=5), *many(40, 2, 5.9, refused), *many(40, 6, 12)],
            [("restored", 4.0), ("restored", 2.0)], 3.0, id="what-goes-on-is-still-the-first-ones",
        ),
        pytest.param(
            [*fault(start=4, end=8), *fault("kill", start=5, end=6), *many(20, 4, 5.9, refused), *many(40, 6, 12)],
            [("restored", 2.0), ("restored", 1.0)], 1.5, id="overlapping",
        ),
        pytest.param(
            [*fault(start=2, end=3), *many(30, 3, 5.9), *fault("kill", start=6, end=7), *many(60, 6, 11.9, refused)],
            [WELL, BAD], None, id="one-that-users-never-came-back-from",
        ),
        pytest.param([*fault(end=None), *many(40, 4, 12)], [WELL], 0.0, id="not-healed-but-routed-around"),
        pytest.param(
            [*fault(), *fault("kill", took_effect=False), *many(40, 4, 12)],
            [WELL, ("unknown", None)], None, id="one-without-effect",
        ),
        pytest.param([*fault(took_effect=None), *many(40, 4, 12)], [("unknown", None)], None, id="no-evidence"),
        pytest.param(
            [*fault(), *many(40, 4, 12), *many(10, 9, 12, refused, cls="bad")], [WELL], 0.0, id="meant-to-be-refused"
        ),
        pytest.param([*fault(), *many(40, 0, 3.9)], [("unknown", None)], None, id="no-traffic"),
    ],
)  # fmt: skip
def test_mean_time_to_restore(events: list[Any], each: list[tuple[str, float | None]], mttr_s: float | None) -> None:
    """Every fault counts, by its own injection; one that was never restored, or cannot be timed, leaves no mean."""
    assert restorations(*events) == (each, mttr_s)


def test_a_verdict_says_how_often_users_never_came_back() -> None:
    """In words of its own: JSON has none for infinity."""
    told = history(*PHASES, *fault(), *many(60, 4, 11.9, refused))
    found = judge(told)
    assert (found.mttr_s, found.never_restored) == (None, 1)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found
