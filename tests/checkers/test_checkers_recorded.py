"""Answers of a real model against recorded ones, declared weaknesses, parts left out, metrics that are not there."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import END_S, PHASES, answered, at, changed, clean_run, history, many, on_time, sampled

from servedrill.checkers.answered import AdmissionBounded, NoFailures
from servedrill.checkers.conservation import NothingLeft
from servedrill.checkers.finding import Answer
from servedrill.checkers.integrity import GoldenAnswersRight, TokenExact
from servedrill.checkers.validity import SignalsHadData
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.measurements import NOT_RECORDED
from servedrill.judging.verdict import judge

PROMISES = {"oracle": "recorded", "max_tokens_cap": 128, "max_model_len": 512}
SAID = " once upon a time there was an engine"


def said(text: str, *, t: float = 1, prompt: str = "tell", **more: Any) -> e.RequestRecord:
    """A greedy answer of a real model: words that no formula of ours gives."""
    words = len(text.split())
    return answered(t, **{"prompt": prompt, "texts": [text], "max_tokens": words, "completion_tokens": words, **more})


def reference(text: str = SAID, *, version: str = "v1", prompt: str = "tell", source: str = "engine-0") -> e.Reference:
    return e.Reference(
        t_ns=at(0.1), version=version, source=source, route="chat", prompt=prompt, text=text, finish_reason="length"
    )


def exact(*events: e.AnyEvent) -> tuple[Answer, str]:
    found = TokenExact()(history(*on_time(), *events, promises=PROMISES))
    return found.answer, found.observed


# ---- the recorded oracle


def test_an_empty_reference_makes_nothing_exact() -> None:
    """As earlier versions wrote them; what was said instead is told."""
    refused = e.Observed(t_ns=at(0.1), name=NOT_RECORDED, value=None, detail={"prompt": "tell", "seen": "HTTP 503"})
    answer, seen = exact(reference(""), refused, said(SAID))
    assert answer is Answer.INCONCLUSIVE
    assert "1 without a recorded one" in seen and "1 x HTTP 503" in seen


def test_no_more_are_wrong_than_there_were() -> None:
    """Those that were wrong in their frame alone are answers, too."""
    twice = said(SAID, fingerprints=["v1", "v2"])
    answer, seen = exact(reference(), said(SAID), twice, said(" once upon a bug", version="v9"))
    assert answer is Answer.FAIL
    assert seen.startswith("2 of 3 answers: ")


def test_a_version_without_a_name_is_called_what_it_is() -> None:
    answer, seen = exact(reference(version=""), said(" once upon a bug", fingerprints=[]))
    assert answer is Answer.FAIL and "differs from what was recorded from byte 13 on" in seen


@pytest.mark.parametrize(
    "answer",
    [
        said(SAID),
        said(" once upon a time"),
        said(SAID, fingerprints=[]),
        said(" once upon", max_tokens=8, usage_prompt_tokens=510),  # all that the context had room for
        said(SAID + " and it ran"),  # longer than what was recorded: the common part counts
        said(" once upon", failure="cut", finish_reasons=[None], done_frames=0, max_tokens=8),
    ],
    ids=["whole", "shorter limit", "no version named", "context full", "longer", "cut short"],
)
def test_what_the_model_said_before_is_exact(answer: e.RequestRecord) -> None:
    assert exact(reference(), answer)[0] is Answer.PASS


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (said(" once upon a tile there was an engine"), "differs from v1 from byte 15 on"),
        (said(" upon a time there was an engine"), "differs from v1 from byte 1 on"),
        (said(" once once upon a time there was an"), "differs from v1 from byte 6 on"),
        (said(" once upon a time", max_tokens=8), "has 4 tokens and ended with 'length', 8 were asked for"),
        (said(SAID, fingerprints=["v1", "v2"]), "names 2 versions"),
        (said(SAID, preambles=2), "2 preambles, 1 expected"),
        (said(SAID, done_frames=2), "2 terminal frames"),
        (said(" once upon a tile", failure="cut", finish_reasons=[None], max_tokens=8), "differs from v1"),
    ],
    ids=["changed", "lost", "doubled", "short", "two versions", "two beginnings", "two ends", "changed, cut short"],
)
def test_anything_else_is_not(answer: e.RequestRecord, says: str) -> None:
    found, seen = exact(reference(), answer)
    assert found is Answer.FAIL
    assert says in seen


def test_a_version_is_held_to_its_own_words() -> None:
    """An answer that names v2 and says what v1 says is wrong, though somebody says it."""
    both = [reference(), reference(" another tale", version="v2")]
    assert exact(*both, said(" another tale", fingerprints=["v2"]))[0] is Answer.PASS
    found, seen = exact(*both, said(SAID, fingerprints=["v2"]))
    assert found is Answer.FAIL
    assert "differs from v2" in seen


def test_an_answer_without_a_version_is_held_to_one_of_them_throughout() -> None:
    """The beginning of one and the end of the other is neither."""
    both = [reference(), reference(" another tale about", version="v2")]
    mixed = said(" once upon tale about", fingerprints=[])
    assert exact(*both, mixed)[0] is Answer.FAIL


def test_without_a_reference_nothing_is_called_exact() -> None:
    found, seen = exact(reference(), said(SAID), said(SAID, prompt="else"))
    assert found is Answer.INCONCLUSIVE
    assert "1 without a recorded one" in seen


def test_engines_that_contradict_each_other_leave_nothing_to_compare_with() -> None:
    found, seen = exact(reference(), reference(" twice upon", source="engine-1"), said(SAID))
    assert found is Answer.INCONCLUSIVE
    assert "engine-0 and engine-1 on tell (v1)" in seen


def test_sampled_answers_are_counted_and_only_their_frame_is_checked() -> None:
    sampled_one = said(" whatever", params={"temperature": 0.7})
    found, seen = exact(reference(), said(SAID), sampled_one)
    assert found is Answer.PASS
    assert "1 answers compared with 1 recorded ones, 1 sampled ones" in seen
    assert exact(reference(), said(SAID), changed(sampled_one, done_frames=2))[0] is Answer.FAIL
    assert exact(reference(), sampled_one)[0] is Answer.INCONCLUSIVE


def test_golden_questions_have_the_answers_that_were_recorded() -> None:
    asked = [said(SAID, t=1 + i / 10, cls="golden", prompt="golden:1") for i in range(6)]
    known = reference(prompt="golden:1")
    golden = GoldenAnswersRight(window="baseline")
    assert golden(history(*PHASES, known, *asked, promises=PROMISES)).answer is Answer.PASS
    wrong = said(" twice upon", t=2, cls="golden", prompt="golden:1")
    assert golden(history(*PHASES, known, *asked, wrong, promises=PROMISES)).answer is Answer.FAIL
    assert golden(history(*PHASES, *asked, promises=PROMISES)).answer is Answer.FAIL


# ---- declared weaknesses and parts that are skipped


def weak(run: History, *checks: str) -> History:
    """The same run on a stack that declares a weakness."""
    declared = [e.DeclaredWeakness(checks=list(checks), because="It does not do that.")]
    return History([changed(run.events[0], weaknesses=declared), *run.events[1:]])


FAILING = clean_run(
    changed(answered(5), failure="http_503", status=503, texts=[]),
    NoFailures(window="inject").expected(at(END_S)),
)


@pytest.mark.parametrize("named", ["NoFailures", "NoFailures:inject"])
def test_a_declared_weakness_is_shown_and_does_not_fail_the_drill(named: str) -> None:
    verdict = judge(weak(FAILING, named))
    assert judge(FAILING).answer is Answer.FAIL
    assert verdict.answer is Answer.PASS
    [shown] = verdict.weaknesses
    assert (shown.checker, shown.answer, shown.declared) == ("NoFailures", Answer.FAIL, "It does not do that.")
    assert verdict.of(Answer.FAIL) == []


@pytest.mark.parametrize("named", ["NoFailures:baseline", "SloMet"])
def test_a_weakness_excuses_nothing_but_what_it_names(named: str) -> None:
    verdict = judge(weak(FAILING, named))
    assert verdict.answer is Answer.FAIL
    assert verdict.weaknesses == []


def test_what_could_not_be_judged_is_no_weakness() -> None:
    run = clean_run(NoFailures(window="inject", requests_min=1000).expected(at(END_S)))
    assert judge(weak(run, "NoFailures")).answer is Answer.INCONCLUSIVE


def test_a_weakness_that_did_not_show_is_not_in_the_verdict() -> None:
    run = clean_run(NoFailures(window="baseline").expected(at(END_S)))
    verdict = judge(weak(run, "NoFailures"))
    assert (verdict.answer, verdict.weaknesses) == (Answer.PASS, [])


def test_parts_that_were_left_out_are_in_the_verdict_with_their_reason() -> None:
    verdict = judge(clean_run(e.PartSkipped(t_ns=at(1), part="Somebody is told.", reason="no alert endpoint")))
    assert [(one.part, one.reason) for one in verdict.skipped] == [("Somebody is told.", "no alert endpoint")]


# ---- metrics that are not there


def page(source: str, vendor: str = "vLLM", *, missing: list[str] | None = None, **more: Any) -> e.SourceSeen:
    words = {"running": "vllm:num_requests_running", "kv_usage": "vllm:kv_cache_usage_perc"}
    about: dict[str, Any] = {"version": "0.40.0", "words": words, "missing": missing or []}
    role = "engine" if source.startswith("engine") else "gateway"
    return e.SourceSeen(t_ns=at(0.1), source=source, role=role, vendor=vendor, **{**about, **more})


def without(source: str, *words: str) -> list[Any]:
    return [
        changed(sample, values={key: value for key, value in sample.values.items() if key not in words})
        for sample in sampled(source)
    ]


@pytest.mark.parametrize(
    "checker",
    [NothingLeft(window="recover"), AdmissionBounded(window="inject", engine_max=9, gateway_max=9), SignalsHadData()],
    ids=lambda checker: type(checker).__name__,
)
def test_a_metric_that_was_renamed_is_named_and_never_a_pass(checker: Any) -> None:
    events = [*PHASES, *without("engine-0", "running"), *many(30, 0, END_S), page("engine-0", missing=["running"])]
    found = checker(history(*events))
    assert found.answer is Answer.INCONCLUSIVE
    assert "engine-0: no vllm:num_requests_running on the page of vLLM 0.40.0" in found.observed


def test_a_word_that_a_vendor_never_had_is_said_and_not_asked_for() -> None:
    """The rest of what it publishes is judged as ever."""
    rest = without("engine-0", "waiting", "generated_tokens")
    found = NothingLeft(window="recover")(history(*PHASES, *rest, page("engine-0")))
    assert found.answer is Answer.PASS
    assert "engine-0: vLLM 0.40.0 publishes no 'waiting'" in found.observed
    busy = [changed(sample, values=sample.values | {"running": 1.0}) for sample in rest]
    assert NothingLeft(window="recover")(history(*PHASES, *busy, page("engine-0"))).answer is Answer.FAIL


def test_a_version_whose_names_nobody_checked_is_said() -> None:
    found = SignalsHadData()(clean_run(page("engine-0", known=False)))
    assert found.answer is Answer.PASS
    assert "engine-0: names of vLLM 0.40.0 were never checked" in found.observed
