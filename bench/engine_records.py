"""What is measured of one engine: see `engine_measures`."""

from __future__ import annotations

from typing import Any

import msgspec


class Times(msgspec.Struct, kw_only=True):
    """Medians in seconds: first tokens by length of the prompt (tokens), gaps by number of sequences that run."""

    ttft_s: dict[int, float]
    itl_s: dict[int, float]


class Queueing(msgspec.Struct, kw_only=True):
    """More requests at once than run at once; times in seconds."""

    sent: int
    ttft_s_first_batch: float
    ttft_s_queued: float
    """Medians: of those that could run at once, and of those that had to wait."""
    running_peak: float
    waiting_peak: float
    in_order: bool
    """Whether nobody who came later than the first batch was served before it."""


class KvFull(msgspec.Struct, kw_only=True):
    """Sequences that together need more blocks than there are."""

    usage_peak: float
    preemptions: float
    finished: int
    sent: int
    end_s: float
    generated: float
    received: int
    stall_s_max: float
    """The longest that a stream stood still: a preempted one is computed again."""


class Aborts(msgspec.Struct, kw_only=True):
    """Streams that were hung up on while they ran or waited."""

    sent: int
    cancelled: int
    idle_after_s: float
    """From the last cancel to running, waiting and KV usage at 0, as the metrics page says it (50 ms apart)."""
    generated: float
    received: int
    """Tokens; the difference was generated for nobody."""
    counted_as_abort: float


class Refusals(msgspec.Struct, kw_only=True):
    """How many were refused by a full queue, and what that looked like: ``stream/whole: status, how`` -> requests."""

    sent: int
    answers: dict[str, int]
    error: dict[str, Any]
    """One refused request's error object: its keys and their values."""
    bad: dict[str, str]
    """Bad request -> status and error type, streamed and whole."""


class Choices(msgspec.Struct, kw_only=True):
    """One request for three choices, as the counters have it."""

    requests: float
    tokens: float
    received: int


class Names(msgspec.Struct, kw_only=True):
    """Metric -> its type and labels, as the page has them."""

    metrics: dict[str, str]


class Frames(msgspec.Struct, kw_only=True):
    """Answers, taken apart: kinds of frames in their order, and which fields each has."""

    streams: dict[str, list[str]]
    fields: dict[str, list[str]]
    headers: dict[str, str]
    finish: dict[str, str]


class Measured(msgspec.Struct, kw_only=True):
    """Everything about one engine."""

    times: Times
    queueing: Queueing
    kv: KvFull
    aborts: Aborts
    refusals: Refusals
    choices: Choices
    names: Names
    frames: Frames
