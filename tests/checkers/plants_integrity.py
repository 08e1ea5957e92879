"""Planted bugs for the checkers of `servedrill.checkers.integrity`."""

from __future__ import annotations

from collections.abc import Callable

from made_up import GREEDY, PHASES, Plant, answered, cancelled, changed, cut, golden, history, many, refused, silent

from servedrill.checkers import integrity as c
from servedrill.history.events import RequestRecord

CLEAN = many(5, 0, 4)


def said(record: RequestRecord, edit: Callable[[list[str]], list[str]], **fields: object) -> RequestRecord:
    """The record with its first choice's words another way, and accounted for as such."""
    words = edit(record.texts[0].split())
    texts = ["".join(f" {word}" for word in words), *record.texts[1:]]
    count = sum(len(text.split()) for text in texts)
    return changed(record, **{"texts": texts, "completion_tokens": count, **fields})  # type: ignore[no-any-return]


SAMPLED = {"temperature": 0.7, "seed": 11}
BUGS = {
    "a-word-changed": said(answered(1), lambda words: [*words[:2], "baba", *words[3:]]),
    "a-word-doubled": said(answered(1), lambda words: [*words[:2], words[1], *words[2:]]),
    "a-word-lost": said(answered(1), lambda words: [*words[:2], *words[3:]]),
    "two-words-swapped": said(answered(1), lambda words: [words[1], words[0], *words[2:]]),
    "words-without-end": said(answered(1), lambda words: [*words, "baba"]),
    "ended-early": said(answered(1), lambda words: words[:3], finish_reasons=["stop"]),
    "another-version's-words": changed(answered(1), fingerprints=["v2"]),
    "begun-by-one-version-ended-by-another": changed(answered(1), fingerprints=["v1", "v2"]),
    "no-version": changed(answered(1), fingerprints=[]),
    "two-models": changed(answered(1), models=["a", "b"]),
    "not-the-model-that-was-asked-for": changed(answered(1), models=["another"]),
    "second-preamble": changed(answered(1), preambles=2),
    "no-preamble": changed(answered(1), preambles=0),
    "no-terminal-frame": changed(answered(1), done_frames=0),
    "two-terminal-frames": changed(answered(1), done_frames=2),
    "accounts-for-more": changed(answered(1), completion_tokens=7),
    "wrong-reason": changed(answered(1), finish_reasons=["stop"]),
    "no-reason": changed(answered(1), finish_reasons=[None]),
    "another-seed's-words": changed(answered(1, params=SAMPLED), params={**SAMPLED, "seed": 12}),
    "another-temperature": changed(answered(1, params=SAMPLED), params={**SAMPLED, "temperature": 0.8}),
    "second-choice-as-the-first": changed(
        both := answered(1, params=SAMPLED, n=2), texts=[both.texts[0], both.texts[0]]
    ),
    "other-route's-words": changed(answered(1, stream=False), route="completions"),
    "cut-and-wrong": said(cut(1), lambda words: [*words[:1], "baba"], completion_tokens=None),
    "cancelled-and-wrong": said(cancelled(1), lambda words: [*words, words[-1]], completion_tokens=None),
}

ENDED_BY_ITSELF = [changed(record, params=GREEDY) for record in many(5, 0, 4, tokens=400, params={"temperature": 0})]

PLANTS = [
    Plant(
        checker=c.TokenExact(),
        clean={
            "greedy": history(*CLEAN),
            "sampled": history(*many(5, 0, 4, params=SAMPLED)),
            "until-the-model-ends": history(*many(5, 0, 4, tokens=400, params={"temperature": 0})),
            "ignore_eos-dropped-on-the-way": history(*ENDED_BY_ITSELF),
            "several-choices": history(*many(5, 0, 4, params=SAMPLED, n=3)),
            "completions": history(*many(5, 0, 4, route="completions")),
            "not-streamed": history(*many(5, 0, 4, stream=False), *many(5, 0, 4, stream=False, route="completions")),
            "two-versions": history(*many(5, 0, 4), *many(5, 4, 8, version="v2+adapters/a")),
            "cut-short": history(
                cut(1), cut(2, "error_event"), cancelled(3), cancelled(3, kept=0), refused(4), answered(5)
            ),
            "the-version's-own-name": history(
                changed(answered(1), models=["v1"]), answered(2, version="v1+adapters/a", models=["v1"])
            ),
            "default-temperature": history(
                changed(answered(1, params={"temperature": 0.5}), params={}),
                promises={"default_temperature": 0.5, "default_max_tokens": 256},
            ),
            "default-length": history(
                changed(answered(1, tokens=9), max_tokens=None),
                promises={"default_temperature": 1.0, "default_max_tokens": 9},
            ),
        },
        bugs={
            **{what: history(*CLEAN, record) for what, record in BUGS.items()},
            "ignore_eos-dropped-now-and-then": history(*ENDED_BY_ITSELF, answered(5, tokens=1600)),
            "not-the-default-temperature": history(
                changed(answered(1, params={"temperature": 0.7}), params={}),
                promises={"default_temperature": 0.5, "default_max_tokens": 256},
            ),
            "shorter-than-the-default": history(
                changed(answered(1, tokens=9), max_tokens=None),
                promises={"default_temperature": 1.0, "default_max_tokens": 12},
            ),
        },
        too_little={"no-answer": history(refused(1), silent(2)), "nothing": history()},
    ),
    Plant(
        checker=c.GoldenAnswersRight(window="inject"),
        clean={"all-right": history(*PHASES, *(golden(4 + q / 10, q) for q in range(8)))},
        bugs={
            "one-wrong": history(*PHASES, *(golden(4 + q / 10, q, right=q != 3) for q in range(8))),
            "one-cut-to-length": history(
                *PHASES, *(golden(4 + q / 10, q) for q in range(8)), changed(golden(5, 9), finish_reasons=["length"])
            ),
        },
        too_little={
            "few": history(*PHASES, *(golden(4 + q / 10, q) for q in range(3))),
            "before": history(*PHASES, *(golden(q / 10, q) for q in range(8))),
        },
    ),
    Plant(
        checker=c.GoldenAnswersRight(window="inject", ratio_min=0.75),
        clean={"few-enough-wrong": history(*PHASES, *(golden(4 + q / 10, q, right=q > 1) for q in range(8)))},
        bugs={"too-many-wrong": history(*PHASES, *(golden(4 + q / 10, q, right=q > 2) for q in range(8)))},
    ),
    Plant(
        checker=c.OutputBounded(window="inject", classes=["hog"], cap=10),
        clean={
            "bounded": history(*PHASES, *many(3, 4, 8, cls="hog", tokens=10)),
            "asked-for-less": history(*PHASES, answered(5, cls="hog", tokens=4)),
        },
        bugs={
            "above-the-cap": history(*PHASES, answered(5, cls="hog", tokens=11)),
            "more-than-asked-for": history(*PHASES, changed(answered(5, cls="hog", tokens=8), max_tokens=5)),
            "endless": history(*PHASES, answered(5, cls="hog"), cut(5, "deadline", cls="hog")),
        },
        too_little={"none-ended": history(*PHASES, cut(5, cls="hog")), "none": history(*PHASES, *CLEAN)},
    ),
]
