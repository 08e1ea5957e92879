"""What the machine did to a run is no refutation: a client that was late, a stack without cores."""

from __future__ import annotations

import made_up
from made_up import END_S, answered, at, changed, clean_run, fault, finding, many, refused
from starving import waits

from servedrill.checkers.answered import NoFailures
from servedrill.checkers.finding import Answer
from servedrill.checkers.streaming import StallBounded
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.measurements import NOT_FIRST, UNWATCHED
from servedrill.judging.verdict import judge

STALLS = StallBounded(window="baseline", stall_s_max=1.0).expected(at(END_S))
STALLED = answered(1, gap_s=2.0)


def test_a_late_client_says_what_lets_it_be_on_time() -> None:
    """Where the system does not let it run first, what allows that is told; else it would be no help."""
    refused = e.Observed(t_ns=at(1), name=NOT_FIRST, value=1, detail={"because": "Operation not permitted"})
    told = finding(judge(clean_run(refused, *made_up.late())).findings, "LoadKeptSchedule").observed
    assert "(Operation not permitted): `sudo prlimit --pid $$ --rtprio=1:1`" in told
    assert "--cap-add SYS_NICE" in told
    assert "prlimit" not in finding(judge(clean_run(*made_up.late())).findings, "LoadKeptSchedule").observed


def test_a_starved_stack_is_not_refuted() -> None:
    """Without cores engines answer nobody and gateways eject them: that is the neighbours' doing, and no bug."""
    failing = NoFailures(window="baseline").expected(at(END_S))
    never = fault("down", healed=False)
    verdict = judge(clean_run(*many(30, 1, 3, refused), STALLED, STALLS, failing, *never, *waits(0.8)))
    assert verdict.answer is Answer.INCONCLUSIVE
    for checker in ("NoFailures", "StallBounded", "FaultsHealed"):
        assert "waited for cores" in finding(verdict.findings, checker).observed
    fed = judge(clean_run(*many(30, 1, 3, refused), STALLED, STALLS, failing, *never, *waits(0.2)))
    assert {found.checker for found in fed.of(Answer.FAIL)} >= {"NoFailures", "StallBounded", "FaultsHealed"}


def test_what_a_starved_stack_held_all_the_same_is_proven() -> None:
    """Want of cores makes nobody look better: it doubts refutations, and where there is none, nothing."""
    verdict = judge(clean_run(*waits(0.8)))
    assert verdict.answer is Answer.PASS
    assert "nothing was refuted that it could have caused" in finding(verdict.findings, "StackNotStarved").observed


def test_a_weakness_that_is_declared_is_seen_on_a_starved_stack_too() -> None:
    """It is not held against the stack anyway, so there is nothing to doubt."""
    failing = NoFailures(window="baseline").expected(at(END_S))
    run = clean_run(*many(30, 1, 3, refused), failing, *waits(0.8))
    assert run.drill is not None
    weak = [e.DeclaredWeakness(checks=["NoFailures"], because="It does not do that.")]
    events = [changed(one, weaknesses=weak) if one is run.drill else one for one in run.events]
    assert judge(History(events)).answer is Answer.PASS


def test_of_a_drill_that_nobody_watched_nothing_is_held_against_the_stack() -> None:
    """Not even what was said: the watchdog may have ended the stack in the middle of an answer. What was proven stays,
    and a clean run is no less a doubt."""
    gone = e.Observed(t_ns=at(5), name=UNWATCHED, value=1, detail={"because": "it stood still for 35 s"})
    failing = NoFailures(window="baseline").expected(at(END_S))
    wrong = changed(answered(31), fingerprints=["v2"])
    for events in ([], [*many(30, 1, 3, refused), failing, wrong]):
        assert judge(clean_run(*events)).answer is (Answer.FAIL if events else Answer.PASS)
        verdict = judge(clean_run(*events, gone))
        assert verdict.answer is Answer.INCONCLUSIVE
        assert verdict.unwatched
        assert finding(verdict.findings, "DrillWatched").observed == "it stood still for 35 s"


def test_a_starved_stack_still_may_not_say_what_is_wrong() -> None:
    """Want of cores makes nobody say the words of another version."""
    verdict = judge(clean_run(changed(answered(1), fingerprints=["v2"]), *waits(0.8)))
    assert {found.checker for found in verdict.of(Answer.FAIL)} == {"TokenExact"}
