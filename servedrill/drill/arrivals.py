"""Real arrivals for drills: a recorded trace, or a model of two published ones, in place of Poisson and even lengths.

Figures are of Azure's LLM inference traces of November 2023, one hour of two production services
(github.com/Azure/AzurePublicDataset, CC-BY 4.0; Patel et al., Splitwise, ISCA 2024). The traces themselves are not
shipped; what a model has of them are the quantiles below, which `tests/drill/test_drill_arrivals.py` compares with the
files where it finds them.
"""

from __future__ import annotations

import random
import statistics
from typing import Any

import msgspec

from servedrill.drill.traffic import chat, code
from servedrill.errors import UsageError
from servedrill.load.arrivals import Constant, Gamma, Interrupted, Poisson, Trace
from servedrill.load.lengths import Length, Quantiles, draw
from servedrill.load.plan import RequestClass
from servedrill.load.recording import Recording, read_recording
from servedrill.oracle.tokens import hash64

CONVERSATION_RATE, CONVERSATION_CV = 5.53, 1.09
CODE_RATE, CODE_CV = 2.57, 13.15
CODE_SILENT = 0.75
"""Fitted: with it, in 73% of all seconds nothing comes, as in the trace (see `azure_code`)."""

_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""The last quantile is that of 0.999: what a single request in thousands asked for is no figure of the service."""
CONVERSATION_PROMPT = Quantiles(tuple(zip(_SHARES, (2, 207, 396, 1020, 1189, 2734, 4083, 4142, 6212), strict=True)))
CONVERSATION_OUTPUT = Quantiles(tuple(zip(_SHARES, (7, 54, 85, 129, 395, 424, 451, 601, 954), strict=True)))
CODE_PROMPT = Quantiles(tuple(zip(_SHARES, (3, 147, 578, 1469, 2744, 5188, 7303, 7436, 7437), strict=True)))
CODE_OUTPUT = Quantiles(tuple(zip(_SHARES, (6, 7, 9, 13, 24, 55, 90, 249, 831), strict=True)))

_TEMPLATE_TOKENS = 16
"""Left free for what a chat template puts around a prompt."""
_OUTPUT_SHARE = 0.25
"""Of the context, for the answer."""


def azure_conversation(
    *, rate: float = CONVERSATION_RATE, max_model_len: int = 2048, name: str = "conversation", **more: Any
) -> RequestClass:
    """People who chat, as in the conversation trace: 19,366 requests in 3,502 s, CV of the gaps 1.09.

    Prompts of 1,020 tokens at p50, 4,083 at p95, 4,142 at p99, answers of 129, 451, 601; scaled by one factor so that
    p99 fits ``max_model_len``. Gaps are gamma: no more than 2.5% between its distribution and the trace's
    (Kolmogorov-Smirnov). What it leaves out is the rate's slow change over minutes: counts of 60 s vary 20 times as
    much as Poisson's in the trace, 1.2 times here.
    """
    arrivals = Gamma(rate=rate, cv=CONVERSATION_CV)
    lengths = _fitted(CONVERSATION_PROMPT, CONVERSATION_OUTPUT, max_model_len)
    return chat(rate=rate, name=name, **{"arrivals": arrivals, "prefix_words": 0, **lengths, **more})


def azure_code(*, rate: float = CODE_RATE, max_model_len: int = 2048, name: str = "code", **more: Any) -> RequestClass:
    """Code completion, as in the code trace: 8,819 requests in 3,436 s, CV of the gaps 13.15.

    Prompts of 1,469 tokens at p50, 7,302 at p95, 7,436 at p99, answers of 13, 90, 249; scaled by one factor so that p99
    fits ``max_model_len``.

    One gamma cannot describe such gaps: with a CV of 13.15, half of them are 0 s and the rest minutes, in 93% of all
    seconds nothing comes, and its distribution is 91% from the trace's (Kolmogorov-Smirnov). Poisson spells with
    silences between them (`Interrupted`) have the same rate and CV and one more parameter, the share of silence: 73% of
    all seconds are empty, in the trace 73%; of 10 s stretches 59%, in the trace 56%; counts of 10 s vary 59 times as
    much as Poisson's, in the trace 71, with gamma 108; 30% from the trace's distribution. What is left of that are
    pairs and triples of requests within a few milliseconds, a quarter of the trace. At ``rate`` the silences are 115 /
    ``rate`` seconds long on average.
    """
    arrivals = Interrupted(rate=rate, cv=CODE_CV, silent=CODE_SILENT)
    lengths = _fitted(CODE_PROMPT, CODE_OUTPUT, max_model_len)
    return code(rate=rate, name=name, **{"arrivals": arrivals, **lengths, **more})


def replay(
    path: str,
    *,
    rate: float | None = None,
    seconds: float | None = None,
    skip: int = 0,
    max_model_len: int = 2048,
    name: str = "replay",
    **more: Any,
) -> RequestClass:
    """Chats that come and are as long as in a recorded trace, up to ``seconds`` of it.

    ``rate`` is the mean over the whole recording and scales time; None: as recorded. Lengths are scaled by one factor
    so that p99 fits ``max_model_len``, and what is longer is cut. Raises `UsageError` with the line of what cannot be
    read.
    """
    recording = read_recording(path)
    prompts, outputs = _lengths(recording)
    scale, lengths = _fit(prompts, max_model_len), _fitted(prompts, outputs, max_model_len)
    arrivals = Trace(
        path=path,
        time_scale=1.0 if rate is None else _time_scale(recording, rate, path),
        prompt_scale=scale,
        output_scale=scale,
        prompt_words_max=lengths["prompt_words"].hi,
        output_tokens_max=lengths["output_tokens"].hi,
        skip=skip,
        stop_s=seconds,
    )
    return chat(rate=1, name=name, **{"arrivals": arrivals, "prefix_words": 0, **lengths, **more})


def as_recorded(cls: RequestClass, path: str, *, max_model_len: int = 2048) -> RequestClass:
    """The class with the arrivals and lengths of a recorded trace: as many requests and tokens a second, unevenly.

    For classes with a steady rate; bursts, ramps, users and traces are what a drill means them to be, and stay. Each
    class begins at a place of the recording that follows from its name, or those of one drill would move in step, and
    the recording begins again when it is over. No prompt is shorter than the class's shared prefix. Lengths stay where
    they carry a meaning: fixed prompts, and answers without a limit.
    """
    arrivals = cls.arrivals
    recording = read_recording(path)
    if not isinstance(arrivals, Constant | Poisson | Gamma | Interrupted):
        return cls
    trace = Trace(
        path=path,
        time_scale=_time_scale(recording, arrivals.rate, path),
        skip=hash64(cls.name) % len(recording.rows),
        repeat=True,
        lengths=False,
        start_s=arrivals.start_s,
        stop_s=arrivals.stop_s,
        count=arrivals.count,
    )
    if cls.prompts or cls.output_tokens is None:
        return msgspec.structs.replace(cls, arrivals=trace)
    prompt_max, output_max = _room(max_model_len)
    prompt_scale = (cls.prefix_words + _mean(cls.prompt_words)) / recording.prompt_words_mean
    output_scale = _mean(cls.output_tokens) / recording.output_tokens_mean
    prompts, outputs = _lengths(recording)
    trace = msgspec.structs.replace(
        trace,
        lengths=True,
        prompt_scale=prompt_scale,
        output_scale=output_scale,
        prompt_words_max=prompt_max,
        output_tokens_max=output_max,
    )
    # The recording says how long each request is; the class says the same to whoever asks it, as the recorder of
    # answers does.
    prompts = prompts.scaled(prompt_scale, longest=prompt_max)
    own = Quantiles(tuple((share, max(1, words - cls.prefix_words)) for share, words in prompts.points))
    outputs = outputs.scaled(output_scale, longest=output_max)
    return msgspec.structs.replace(cls, arrivals=trace, prompt_words=own, output_tokens=outputs)


def _time_scale(recording: Recording, rate: float, path: str) -> float:
    if not rate > 0:
        raise UsageError(f"rate is {rate}", where="replay", expected="a rate above 0 requests a second")
    if not recording.rate:
        raise UsageError(
            "all requests come at one instant", where=path, expected="a recording that lasts, to scale its time"
        )
    return recording.rate / rate


def _room(max_model_len: int) -> tuple[int, int]:
    """The longest prompt and the longest answer."""
    output = max(1, int(max_model_len * _OUTPUT_SHARE))
    prompt = max_model_len - output - _TEMPLATE_TOKENS
    if prompt < 1:
        raise UsageError(f"max_model_len is {max_model_len}", expected=f"more than {_TEMPLATE_TOKENS} tokens")
    return prompt, output


def _fit(prompts: Quantiles, max_model_len: int) -> float:
    return min(1.0, _room(max_model_len)[0] / prompts.at(0.99))


def _fitted(prompts: Quantiles, outputs: Quantiles, max_model_len: int) -> dict[str, Quantiles]:
    """Both lengths times one factor, by which the prompts' p99 fits; what is longer is cut."""
    scale, (prompt_max, output_max) = _fit(prompts, max_model_len), _room(max_model_len)
    return {
        "prompt_words": prompts.scaled(scale, longest=prompt_max),
        "output_tokens": outputs.scaled(scale, longest=output_max),
    }


def _lengths(recording: Recording) -> tuple[Quantiles, Quantiles]:
    """Prompts and answers of a recording, by their quantiles at the shares of the tables above."""

    def quantiles(lengths: list[int]) -> Quantiles:
        lengths.sort()
        return Quantiles(tuple((share, max(1, lengths[round(share * (len(lengths) - 1))])) for share in _SHARES))

    rows = recording.rows
    return quantiles([row.prompt_words for row in rows]), quantiles([row.output_tokens for row in rows])


def _mean(length: Length) -> float:
    chance = random.Random(1)
    return statistics.fmean(draw(length, chance) for _ in range(2000))
