"""Whether a model answers as it did and is as sure as it is right, by golden questions with log-probabilities.

    with quality_observed(drill):
        ...                        a swap, a restart, whatever may change a model

Every engine is asked directly. What comes of it is written down by the names that SLO files use
(fixtures/data/slos/model-quality.json): ``logprob_drift_nats`` of each engine, after against before, and
``calibration_error`` of each engine both times. An engine that gave log-probabilities before and does not answer after
has a drift without a value, which is a bad event.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

import httpx
import msgspec

from servedrill.control.bounded import client, read
from servedrill.dialect import openai
from servedrill.drill.context import Drill
from servedrill.oracle.prompts import expand, golden_prompt
from servedrill.oracle.tokens import golden_answer
from servedrill.slo.quality import calibration_error, logprob_drift_nats

QUESTIONS = 20
DRIFT, CALIBRATION = "logprob_drift_nats", "calibration_error"
PART = "Drift of log-probabilities, and calibration."
_AT_ONCE = 4
_TOKENS_MAX = 8
_TIMEOUT_S = 30.0


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to one question."""

    version: str
    text: str
    tokens: list[str]
    logprobs: list[float]

    @property
    def confidence(self) -> float:
        """Geometric mean of the tokens' probabilities."""
        return math.exp(math.fsum(self.logprobs) / len(self.logprobs))


class _Logprobs(msgspec.Struct, frozen=True):
    tokens: list[str] = []
    token_logprobs: list[float | None] = []


class _Told(msgspec.Struct, frozen=True):
    text: str = ""
    logprobs: _Logprobs | None = None


class _Whole(msgspec.Struct, frozen=True):
    choices: list[_Told] = []
    model: str | None = None
    system_fingerprint: str | None = None


@contextlib.contextmanager
def quality_observed(drill: Drill, *, questions: int = QUESTIONS) -> Iterator[None]:
    """Ask before and after the block; nothing is asked after one that raised.

    On a stack whose engines give no log-probabilities the part is skipped.
    """
    before = _ask_all(drill, questions)
    mute = [name for name, said in before.items() if not any(said)]
    if mute or not before:
        drill.skip(PART, f"no log-probabilities from {', '.join(mute) or 'any engine'}")
        yield
        return
    _observe_calibration(drill, before)
    yield
    after = _ask_all(drill, questions)
    for name, was in before.items():
        now = after.get(name, [None] * questions)
        drill.observe(
            DRIFT, drift_nats(was, now), "nats", engine=name, before=_versions(was), after=_versions(now)
        )  # fmt: skip
    _observe_calibration(drill, after)


def drift_nats(before: list[Said | None], after: list[Said | None]) -> float:
    """Over the tokens that both gave, question by question, up to where they part ways; NaN where there are none."""
    was, now = [], []
    for one, other in zip(before, after, strict=True):
        if one is not None and other is not None:
            together = zip(one.tokens, other.tokens, one.logprobs, other.logprobs, strict=False)
            for _, _, old, new in takewhile(lambda pair: pair[0] == pair[1], together):
                was.append(old)
                now.append(new)
    return logprob_drift_nats(was, now)


def _observe_calibration(drill: Drill, asked: dict[str, list[Said | None]]) -> None:
    """Of models whose right answers are known; a real model has never heard of these questions."""
    if drill.promises.oracle == "recorded":
        return
    for name, said in asked.items():
        answers = [
            (one.confidence, one.text == golden_answer(number)) for number, one in enumerate(said) if one is not None
        ]
        drill.observe(CALIBRATION, calibration_error(answers), engine=name, version=_versions(said))


def _versions(said: list[Said | None]) -> str:
    return ", ".join(sorted({one.version for one in said if one is not None}))


def _ask_all(drill: Drill, questions: int) -> dict[str, list[Said | None]]:
    """Engine -> its answers; None for one that did not come with log-probabilities."""
    engines = [replica for replica in drill.stack.replicas() if replica.role == "engine"]
    with (
        client(timeout_s=_TIMEOUT_S) as http,
        ThreadPoolExecutor(_AT_ONCE * max(1, len(engines))) as pool,
    ):
        asked = {}
        for engine in engines:
            model = _served_model(http, engine.url) or drill.promises.direct_model
            asked[engine.name] = [pool.submit(_ask, http, engine.url, model, number) for number in range(questions)]
        return {name: [future.result() for future in futures] for name, futures in asked.items()}


def _ask(http: httpx.Client, url: str, model: str, question: int) -> Said | None:
    """One question by the completions route, whose prompt is the question alone on every engine."""
    asked = openai.question("completions", model, expand(golden_prompt(question)))
    body = asked | {"max_tokens": _TOKENS_MAX, "temperature": 0, "logprobs": 0}
    try:
        response = http.post(f"{url}{openai.PATHS['completions']}", json=body)
        answer = read(response, _Whole) if response.status_code == 200 else _Whole()
    except httpx.HTTPError:
        return None
    choice = answer.choices[0] if answer.choices else _Told()
    told = choice.logprobs or _Logprobs()
    tokens, logprobs = told.tokens, [one for one in told.token_logprobs if one is not None]
    if not logprobs or not len(tokens) == len(logprobs) == len(told.token_logprobs):
        return None
    version = answer.system_fingerprint or answer.model or ""
    return Said(version=version, text=choice.text, tokens=tokens, logprobs=logprobs)


def _served_model(http: httpx.Client, url: str) -> str:
    """The name that the engine has its model by now: a swap may have changed it."""
    try:
        return read(http.get(f"{url}{openai.MODELS}"), openai.Models).data[0].id
    except (httpx.HTTPError, IndexError):
        return ""
