"""What a run writes down: one typed, immutable event a line.

Every time is `servedrill.host.clock.now_ns` (monotonic nanoseconds) of the machine that wrote it. Field names that end
in ``_ns`` are instants, but for `servedrill.history.clocks.DURATIONS`; ``_s`` durations in seconds. Events are only
ever added to a history, never changed.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import msgspec

FORMAT = 3
"""The format that this version writes, in a history's first line. 1: before formats were numbered. It rises when an
event, a field or a meaning is added that an older version could not judge without."""


def finite(figures: dict[str, float]) -> dict[str, float]:
    """The figures that are numbers: JSON has no word for the others, and a gauge that is NaN says nothing."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Anything that happened, and when it was written down."""

    t_ns: int
    host: str = ""
    """The machine that wrote it, and whose clock its instants are of; empty: the one that the drill runs on."""
    extra: dict[str, Any] | None = None
    """What a newer version wrote into the event and this one does not know: fields of the line."""


class DeclaredWeakness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the stack is known not to do, and why: a refutation by these checkers is shown and not held against it."""

    checks: list[str]
    """``Name`` or ``Name:window``."""
    because: str


class DrillStarted(Event, frozen=True, kw_only=True, tag="drill_started"):
    """A drill began: what it claims, on which stack, from which seed."""

    format: int = 1
    """`FORMAT` of who wrote it."""
    version: str = ""
    drill: str
    hypothesis: str
    seed: int
    control: bool = False
    wall_time: str = ""
    """UTC, ISO 8601, at ``t_ns``: the anchor that turns every other instant into wall time."""
    stack: str = ""
    promises: dict[str, Any] = {}
    """What the stack's description promises (timeouts, budgets, TTLs), as its file or itself states it."""
    defects: list[str] = []
    weaknesses: list[DeclaredWeakness] = []


class DialectSeen(Event, frozen=True, kw_only=True, tag="dialect"):
    """How the stack talks, before anything was broken: a `servedrill.history.dialect.Spoken`."""

    dialect: dict[str, Any]
    pinned: bool = True
    notes: dict[str, str] = {}


class ObjectivesGiven(Event, frozen=True, kw_only=True, tag="objectives"):
    """The SLOs that the drill is held to instead of the built-in ones; the last such event holds."""

    source: str
    """The file that they are from."""
    slos: list[dict[str, Any]] = []
    """Each as `servedrill.slo.slo.Slo`."""


class PhaseStarted(Event, frozen=True, kw_only=True, tag="phase"):
    """A phase (baseline, inject, heal, recover, judge) or a named step of one began."""

    phase: str
    step: str = ""


class WindowOpened(Event, frozen=True, kw_only=True, tag="window_opened"):
    """A named stretch of time that checks refer to began."""

    window: str


class WindowClosed(Event, frozen=True, kw_only=True, tag="window_closed"):
    """A named stretch of time ended."""

    window: str


class FaultInjected(Event, frozen=True, kw_only=True, tag="fault_injected"):
    """A lease was taken: the fault is in place from now on."""

    lease: str
    fault: str
    target: str
    deadline_ns: int
    attributes: dict[str, Any] = {}


class FaultEvidence(Event, frozen=True, kw_only=True, tag="fault_evidence"):
    """What was measured about a fault's effect; ``took_effect`` false makes a drill INCONCLUSIVE."""

    lease: str
    took_effect: bool
    observed: str
    figures: dict[str, float] = {}

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "figures", finite(self.figures))


class FaultHealed(Event, frozen=True, kw_only=True, tag="fault_healed"):
    """A lease ended, and how that was proven."""

    lease: str
    proven: bool
    proof: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try of the load client (a client with retries makes several for one request)."""

    t_send_ns: int
    """Just before the request was written."""
    t_end_ns: int
    address: str
    """``ip:port`` that was connected to."""
    status: int | None = None
    retry_after_s: float | None = None
    request_id: str | None = None
    served_by: str | None = None
    via: str | None = None
    error: str | None = None
    """Why there was no whole answer: connect, reset, closed, first_token_timeout, idle_timeout, deadline ..."""


class CancelPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When the client hangs up on purpose."""

    at: Literal["queued", "prefill", "tokens", "after_s"]
    tokens: int = 0
    after_s: float = 0.0


class RequestRecord(Event, frozen=True, kw_only=True, tag="request"):
    """One request as its client saw it, written when it ended; ``t_ns`` equals ``t_end_ns``."""

    id: str
    cls: str
    """Request class: chat, code, summary, probe ..."""
    route: Literal["chat", "completions"]
    stream: bool
    n: int = 1
    model: str
    prompt: str
    """In its short form, see `servedrill.oracle.prompts`; ``sha:`` + digest where it is longer than a line."""
    prompt_tokens: int
    max_tokens: int | None
    params: dict[str, Any] = {}
    """Sampling parameters that were sent (seed, temperature, stop, ignore_eos ...)."""
    t_int_ns: int
    """The scheduled instant."""
    t_send_ns: int | None
    """First attempt; None when nothing was ever written."""
    t_first_ns: int | None = None
    """First non-empty content delta (of any choice), of the attempt that gave the answer."""
    t_last_ns: int | None = None
    t_end_ns: int
    deadline_s: float
    gaps_ns: list[int] = []
    """Inter-chunk times between content deltas, in order of arrival."""
    attempts: list[Attempt] = []
    status: int | None = None
    texts: list[str] = []
    """Concatenated content of each choice."""
    finish_reasons: list[str | None] = []
    preambles: int = 0
    """Chunks that carried a role, over all choices."""
    done_frames: int = 0
    models: list[str] = []
    """Distinct ``model`` fields of the answer, in order of appearance."""
    fingerprints: list[str] = []
    """Distinct ``system_fingerprint`` fields of the answer, in order of appearance."""
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    usage_prompt_tokens: int | None = None
    error_status: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    """Of an error; without one, the bound that more came than."""
    error_request_id: str | None = None
    """The request's id as an error told it: in its body or event, or in the header ``x-request-id``."""
    error_schema_ok: bool | None = None
    """Whether an error body or event had OpenAI's ``error`` object with message, type and code."""
    failure: str | None = None
    """None for a whole answer; else http_<status>, connect, reset, closed, cut (no terminal frame), error_event,
    first_token_timeout, idle_timeout, deadline, bad_frame."""
    cancel: CancelPlan | None = None
    cancelled_ns: int | None = None


class LoadHealth(Event, frozen=True, kw_only=True, tag="load_health"):
    """How well one load worker kept its schedule over the second before; a late generator makes a run INCONCLUSIVE."""

    worker: int
    planned: int
    sent: int
    in_flight: int
    loop_lags_ms: dict[int, int]
    """Beats of the event loop by lag in whole ms, rounded up; counted, so that a run's percentile is a true one."""
    send_lags_ms: dict[int, int]
    """Requests by the lag of their sending, likewise."""
    cpu_ratio: float


class CpuWaits(Event, frozen=True, kw_only=True, tag="cpu_waits"):
    """How long the stack's processes could have run and got no core: `servedrill.host.run_delay.Delays`."""

    span_s: float
    cores: int
    waited_s: dict[str, float] = {}
    ran_s: dict[str, float] = {}
    stolen_s: float = 0.0
    pressure_s: float | None = None


class Sample(Event, frozen=True, kw_only=True, tag="sample"):
    """One scrape of one replica, in the vocabulary of METRICS.md; ``ok`` false when it did not answer."""

    source: str
    role: str
    """engine, gateway; others may come."""
    ok: bool
    values: dict[str, float] = {}
    health: int | None = None
    """Status of the readiness route at the same moment; None when there was no answer in time."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "values", finite(self.values))


class Exchange(Event, frozen=True, kw_only=True, tag="exchange"):
    """One HTTP request as it passed a hop's proxy: independent of what either end says of itself.

    Written again whenever it went on; of those with the same ``hop`` and ``seq`` the last one holds.
    """

    hop: str
    seq: int
    connection: int
    method: str
    path: str
    request_id: str | None = None
    attempt: str | None = None
    t_request_ns: int
    t_response_ns: int | None = None
    t_end_ns: int | None = None
    status: int | None = None
    retry_after_s: float | None = None
    bytes_down: int = 0
    end: str | None = None


class ProcessSeen(Event, frozen=True, kw_only=True, tag="process"):
    """A process as the kernel shows it; written when anything but its memory changed, and with each scrape."""

    name: str
    role: str
    pid: int | None
    start_ticks: int | None = None
    child_pids: list[int] = []
    leftover_pids: list[int] = []
    """Processes of an earlier life that are still there."""
    rss_bytes: int = 0
    sockets: int = 0
    state: str = ""


class AlertSeen(Event, frozen=True, kw_only=True, tag="alert"):
    """An alert at the stack's alert endpoint began or ended."""

    alert: str
    labels: dict[str, str] = {}
    state: Literal["firing", "suppressed", "resolved"]
    by: list[str] = []
    """What keeps a suppressed one from telling anybody: silences, other alerts that inhibit it, mute intervals."""


class Observed(Event, frozen=True, kw_only=True, tag="observed"):
    """A measurement that a drill made itself (a probe's throughput, a rollout's end), by name."""

    name: str
    value: float | None
    """None for what could not be measured (NaN) or has no end (infinite)."""
    unit: str = ""
    detail: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            msgspec.structs.force_setattr(self, "value", None)


class Reference(Event, frozen=True, kw_only=True, tag="reference"):
    """What a model version says greedily to a prompt while it is asked nothing else.

    Answers of a real model are checked by it.
    """

    version: str
    source: str
    route: Literal["chat", "completions"]
    prompt: str
    """Short form, as in `RequestRecord`."""
    text: str
    finish_reason: str | None = None


class ClockOffset(Event, frozen=True, kw_only=True, tag="clock_offset"):
    """How another machine's clock stood, measured at the start and each minute; see `servedrill.history.clocks`."""

    clock: str
    """The machine, as its events name it in ``host``."""
    offset_ns: int
    """What its clock is ahead by at ``t_ns``."""
    error_ns: int
    """The true offset is no further from that than this."""


class PartSkipped(Event, frozen=True, kw_only=True, tag="part_skipped"):
    """A part of the drill, or a claim, that this stack cannot be held to."""

    part: str
    reason: str


class SourceSeen(Event, frozen=True, kw_only=True, tag="source"):
    """Whose metrics page a replica has, and which words of METRICS.md it can give."""

    source: str
    role: str
    vendor: str
    """Empty: nobody's that we know."""
    version: str = ""
    known: bool = True
    """Whether the names of this version were ever checked."""
    words: dict[str, str] = {}
    """Words that this vendor publishes -> the metric that gives each."""
    missing: list[str] = []
    """Words whose metric should be on the page and is not."""
    names: list[str] = []
    """Where the vendor is nobody that we know: what the names on the page begin with."""


class Expected(Event, frozen=True, kw_only=True, tag="expected"):
    """A check that the drill wants judged: the checker by name, with its parameters."""

    checker: str
    params: dict[str, Any] = {}


class DrillEnded(Event, frozen=True, kw_only=True, tag="drill_ended"):
    """The drill is over; ``interrupted`` says why when it did not get to its end."""

    interrupted: str | None = None


class Unknown(Event, frozen=True, kw_only=True):
    """An event that this version cannot read, see `servedrill.history.lines`."""

    kind: str
    """Its ``type``; ``?`` where it has none."""
    raw: bytes
    """Its line, which is written again as it stood."""


KnownEvent: TypeAlias = (
    DrillStarted | DialectSeen | ObjectivesGiven | PhaseStarted | WindowOpened | WindowClosed | FaultInjected
    | FaultEvidence | FaultHealed | RequestRecord | LoadHealth | CpuWaits | Sample | Exchange | ProcessSeen
    | AlertSeen | Observed | Reference | ClockOffset | PartSkipped | SourceSeen | Expected | DrillEnded
)  # fmt: skip
"""What a line may be."""

AnyEvent: TypeAlias = KnownEvent | Unknown
