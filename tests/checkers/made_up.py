"""Made-up histories: small builders of events, an instant being seconds since the history began.

What a builder makes is right unless told otherwise, so that a planted bug is the one thing in a history that is wrong.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import msgspec

from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import Answer, Finding
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.promises import Promises
from servedrill.oracle.prompts import expand, golden_prompt, words_prompt
from servedrill.oracle.tokens import expected_tokens, golden_answer

Events = list[e.AnyEvent]
T0_NS = 1_000_000_000_000
END_S = 12.0
ENGINES = ("engine-0", "engine-1", "engine-2")
GATEWAYS = ("gateway-0", "gateway-1")
ADDRESSES = {"gateway-0": "127.0.0.10", "gateway-1": "127.0.0.11"}
GREEDY = {"temperature": 0, "ignore_eos": True}
PROMISES = msgspec.to_builtins(Promises(model="chat-model", default_max_tokens=256))

_numbers = itertools.count(1)


def at(seconds: float) -> int:
    """The instant that many seconds into the history."""
    return T0_NS + round(seconds * 1e9)


def changed(event: Any, **fields: Any) -> Any:
    """The event with some fields another way."""
    return msgspec.structs.replace(event, **fields)


# ---- histories


def history(
    *events: e.AnyEvent, control: bool = False, interrupted: str | None = None, promises: dict[str, Any] | None = None
) -> History:
    """A drill with its beginning, its end and a load generator that was on time."""
    started = e.DrillStarted(
        t_ns=at(0),
        drill="made_up",
        hypothesis="It holds.",
        seed=1,
        control=control,
        promises=PROMISES | (promises or {}),
    )
    ended = e.DrillEnded(t_ns=at(END_S + 1), interrupted=interrupted)
    health = [] if any(isinstance(event, e.LoadHealth) for event in events) else on_time()
    return History(sorted([started, *health, *events, ended], key=lambda event: event.t_ns))


def windows(**spans: tuple[float, float]) -> Events:
    """A window for each keyword, from one second to just before the other."""
    return [
        event
        for name, (start, end) in spans.items()
        for event in (e.WindowOpened(t_ns=at(start), window=name), e.WindowClosed(t_ns=at(end) - 1, window=name))
    ]


PHASES = windows(baseline=(0, 4), inject=(4, 8), recover=(8, END_S))


def fault(
    kind: str = "latency",
    target: str = "engine-0",
    *,
    start: float = 4,
    end: float | None = 8,
    took_effect: bool | None = True,
    healed: bool = True,
) -> Events:
    """One lease; ``took_effect`` None: no evidence was ever taken; ``end`` None: nobody healed it."""
    lease = f"{kind}-{next(_numbers)}"
    found: Events = [
        e.FaultInjected(t_ns=at(start), lease=lease, fault=kind, target=target, deadline_ns=at(start + 30))
    ]
    if took_effect is not None:
        observed = f"{kind} touched {int(took_effect)} connections"
        found.append(e.FaultEvidence(t_ns=at(end or start), lease=lease, took_effect=took_effect, observed=observed))
    if end is not None:
        found.append(e.FaultHealed(t_ns=at(end), lease=lease, proven=healed, proof="gone" if healed else "still there"))
    return found


# ---- requests


def answered(
    t: float,
    *,
    cls: str = "chat",
    route: str = "chat",
    stream: bool = True,
    n: int = 1,
    tokens: int = 6,
    ttft_s: float = 0.1,
    gap_s: float = 0.02,
    version: str = "v1",
    params: dict[str, Any] | None = None,
    via: str = "gateway-0",
    **fields: Any,
) -> e.RequestRecord:
    """A whole answer with the tokens that the version says."""
    number = next(_numbers)
    params = GREEDY if params is None else params
    prompt = words_prompt(seed=number, words=5)
    said = [
        _said(prompt, version=version, route=route, tokens=tokens, choice=choice, params=params) for choice in range(n)
    ]
    words = max(len(text.split()) for text, _ in said)
    first, last = t + ttft_s, t + ttft_s + gap_s * (words - 1)
    attempt = e.Attempt(
        t_send_ns=at(t), t_end_ns=at(last), address=f"{ADDRESSES[via]}:8000", status=200,
        request_id=f"run-{number}", served_by="engine-0/1", via=via,
    )  # fmt: skip
    record = e.RequestRecord(  # type: ignore[arg-type]
        t_ns=at(last), id=f"{cls}-{number}", cls=cls, route=route, stream=stream, n=n, model="chat-model",
        prompt=prompt, prompt_tokens=5, max_tokens=tokens, params=params, t_int_ns=at(t), t_send_ns=at(t),
        t_first_ns=at(first), t_last_ns=at(last), t_end_ns=at(last), deadline_s=12.0,
        gaps_ns=[round(gap_s * 1e9)] * (words - 1) if stream else [], attempts=[attempt], status=200,
        texts=[text for text, _ in said], finish_reasons=[finish for _, finish in said],
        preambles=n if stream and route == "chat" else 0, done_frames=1 if stream else 0, models=["chat-model"],
        fingerprints=[version], completion_tokens=sum(len(text.split()) for text, _ in said),
    )  # fmt: skip
    return changed(record, **fields)  # type: ignore[no-any-return]


def _said(
    prompt: str, *, version: str, route: str, tokens: int, choice: int, params: dict[str, Any]
) -> tuple[str, str]:
    words, finish = expected_tokens(
        version=version,
        prompt=expand(prompt),
        chat=route == "chat",
        max_tokens=tokens,
        temperature=float(params.get("temperature", 1.0)),
        seed=params.get("seed", 0),
        choice=choice,
        ignore_eos=params.get("ignore_eos", False),
    )
    return "".join(f" {word}" for word in words), finish


def golden(t: float, question: int, *, right: bool = True) -> e.RequestRecord:
    """An answer to a golden question."""
    text = golden_answer(question if right else question + 1)
    return answered(t, cls="golden", tokens=4, prompt=golden_prompt(question), texts=[text], finish_reasons=["stop"])


def refused(
    t: float,
    status: int = 503,
    *,
    after_s: float = 0.05,
    retry_after_s: float | None = 1.0,
    readable: bool = True,
    **more: Any,
) -> e.RequestRecord:
    """An error with a status, and all that makes it readable."""
    record = answered(t, **more)
    attempt = changed(
        record.attempts[0], t_end_ns=at(t + after_s), status=status, retry_after_s=retry_after_s, error=f"http_{status}"
    )
    return unanswered(  # type: ignore[no-any-return]
        record,
        t + after_s,
        failure=f"http_{status}",
        status=status,
        attempts=[attempt],
        error_status=status,
        error_type="overloaded_error",
        error_message="no",
        error_schema_ok=readable,
        error_request_id=attempt.request_id if readable else None,
    )


def silent(t: float, *, after_s: float = 8.0, failure: str = "first_token_timeout", **more: Any) -> e.RequestRecord:
    """Nothing ever came."""
    record = answered(t, **more)
    attempt = changed(record.attempts[0], t_end_ns=at(t + after_s), status=None, error=failure)
    return unanswered(record, t + after_s, failure=failure, status=None, attempts=[attempt])  # type: ignore[no-any-return]


def unanswered(record: e.RequestRecord, end: float, **fields: Any) -> Any:
    """The record without anything of an answer."""
    nothing = {"texts": [], "finish_reasons": [], "fingerprints": [], "models": [], "gaps_ns": []}
    times = {"t_ns": at(end), "t_end_ns": at(end), "t_first_ns": None, "t_last_ns": None}
    return changed(
        record, **{**nothing, **times, "preambles": 0, "done_frames": 0, "completion_tokens": None, **fields}
    )


def cut(t: float, failure: str = "cut", *, kept: int = 3, **more: Any) -> e.RequestRecord:
    """A stream that broke after some of its tokens."""
    record = answered(t, **more)
    texts = ["".join(f" {word}" for word in text.split()[:kept]) for text in record.texts]
    ends = {"finish_reasons": [None] * record.n, "done_frames": 0, "completion_tokens": None}
    return changed(record, texts=texts, failure=failure, gaps_ns=record.gaps_ns[: kept - 1], **ends)  # type: ignore[no-any-return]


def cancelled(t: float, *, after_s: float = 0.15, kept: int = 3, **more: Any) -> e.RequestRecord:
    """A client that hung up; ``kept`` 0: before anything had come."""
    record = cut(t, kept=kept or 1, **more)
    if not kept or not record.stream:
        record = unanswered(record, t + after_s)
    return changed(record, failure=None, t_ns=at(t + after_s), t_end_ns=at(t + after_s), cancelled_ns=at(t + after_s))  # type: ignore[no-any-return]


def many(count: int, start: float, end: float, build: Any = answered, **fields: Any) -> Events:
    """``count`` requests, evenly from ``start`` to just before ``end``."""
    return [build(start + (end - start) * index / count, **fields) for index in range(count)]


def tried(
    request_id: str,
    hop: str,
    t: float,
    *,
    attempt: int = 1,
    status: int | None = 200,
    took_s: float = 0.05,
    retry_after_s: float | None = None,
    end: str | None = "complete",
) -> e.Exchange:
    """One try as a proxy saw it."""
    number = next(_numbers)
    return e.Exchange(
        t_ns=at(t + took_s), hop=hop, seq=number, connection=number, method="POST", path="/v1/chat/completions",
        request_id=request_id, attempt=str(attempt), t_request_ns=at(t),
        t_response_ns=at(t + took_s) if status is not None else None, t_end_ns=at(t + took_s), status=status,
        retry_after_s=retry_after_s, end=end if status is not None else "cut",
    )  # fmt: skip


def tries(
    request_id: str,
    t: float,
    *statuses: int | None,
    wait_s: float = 0.1,
    hops: tuple[str, ...] = ENGINES,
    retry_after_s: float | None = None,
) -> Events:
    """The tries of one call, one status each, ``wait_s`` apart, each at the next hop."""
    found: Events = []
    for index, status in enumerate(statuses):
        asks = retry_after_s if status in (429, 503) else None
        found.append(
            tried(request_id, hops[index % len(hops)], t, attempt=index + 1, status=status, retry_after_s=asks)
        )
        t += 0.05 + wait_s
    return found


def on_time(*, send_lag_s: float = 0.002, loop_lag_s: float = 0.002, cpu_ratio: float = 0.2, sent: int = 20) -> Events:
    """A load generator's own report, every second."""
    return [
        e.LoadHealth(
            t_ns=at(second),
            worker=0,
            planned=20,
            sent=sent,
            in_flight=3,
            loop_lags_ms={int(loop_lag_s * 1e3): 200},
            send_lags_ms={int(send_lag_s * 1e3): sent} if sent else {},
            cpu_ratio=cpu_ratio,
        )
        for second in range(1, int(END_S))
    ]


def late() -> Events:
    """A load generator that could not keep its schedule."""
    return on_time(send_lag_s=0.5)


def sampled(
    source: str,
    start: float = 0,
    end: float = END_S,
    *,
    values: dict[str, float] | None = None,
    every_s: float = 0.5,
    health: int | None = 200,
) -> Events:
    """Scrapes of one replica at rest, but for ``values``; ``health`` None: it did not answer."""
    role = "engine" if source.startswith("engine") else "gateway"
    if role == "engine":
        rest: dict[str, float] = {"running": 0, "waiting": 0, "kv_usage": 0, "generated_tokens": 100}
    else:
        rest = {"in_flight": 0, "queue": 0}
        rest |= {
            f"{word}/{name}": one
            for name in ENGINES
            for word, one in (("breaker", 0), ("healthy", 1), ("upstream_in_flight", 0))
        }
    told = {word: float(value) for word, value in (rest | (values or {})).items()} if health is not None else {}
    return [
        e.Sample(
            t_ns=at(start + index * every_s),
            source=source,
            role=role,
            ok=health is not None,
            health=health,
            values=told,
        )
        for index in range(round((end - start) / every_s))
    ]


def at_rest() -> Events:
    """Every replica, all the time, with nothing to do."""
    return [sample for source in (*ENGINES, *GATEWAYS) for sample in sampled(source)]


def seen(
    name: str,
    start: float = 0,
    end: float = END_S,
    *,
    every_s: float = 0.5,
    pid: int | None = 100,
    children: tuple[int, ...] = (101,),
    **fields: Any,
) -> Events:
    """A process, every half second."""
    role = name.partition("-")[0]
    there = {"start_ticks": 7, "rss_bytes": 80 << 20, "sockets": 10, "state": "S"} if pid is not None else {}
    more = {**there, **fields}
    return [
        e.ProcessSeen(
            t_ns=at(start + index * every_s), name=name, role=role, pid=pid, child_pids=list(children), **more
        )
        for index in range(round((end - start) / every_s))
    ]


def alert(name: str, replica: str, fired: float, resolved: float | None, *, silence: str = "") -> Events:
    """An alert from one instant to another."""
    labels = {"alertname": name, "replica": replica}
    told: dict[str, Any] = {"state": "suppressed", "by": [f"silence {silence}"]} if silence else {"state": "firing"}
    found: Events = [e.AlertSeen(t_ns=at(fired), alert=name, labels=labels, **told)]
    if resolved is not None:
        found.append(e.AlertSeen(t_ns=at(resolved), alert=name, labels=labels, state="resolved"))
    return found


def observed(name: str, value: float, t: float = 10, **detail: Any) -> e.Observed:
    """A measurement that a drill made."""
    return e.Observed(t_ns=at(t), name=name, value=value, detail=detail)


# ---- what a checker is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One checker, clean histories that it must pass, planted bugs that it must refute, and too little to say."""

    checker: Checker
    clean: dict[str, History]
    bugs: dict[str, History] = field(default_factory=dict)
    too_little: dict[str, History] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, Checker, History, Answer]]:
        """One row for each history."""
        name = type(self.checker).__name__
        shown = ((self.clean, Answer.PASS), (self.bugs, Answer.FAIL), (self.too_little, Answer.INCONCLUSIVE))
        return [
            (f"{name}-{answer}-{what}", self.checker, told, answer)
            for histories, answer in shown
            for what, told in histories.items()
        ]


def finding(findings: list[Finding], checker: str) -> Finding:
    """What that checker said."""
    return next(finding for finding in findings if finding.checker == checker)


def clean_run(*more: e.AnyEvent, without: type[e.Event] | None = None, **how: Any) -> History:
    """A whole drill in which everything held, and what else is planted in it."""
    calls = [event for index in range(60) for event in tries(f"run/{index}", index / 5, 200)]
    processes = [event for name in (*ENGINES, *GATEWAYS) for event in seen(name)]
    events = [*PHASES, *fault(), *many(60, 0, END_S), *calls, *at_rest(), *processes, *more]
    return history(*(event for event in events if without is None or not isinstance(event, without)), **how)
