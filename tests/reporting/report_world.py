"""Runs on paper: a history with everything in it that a report tells of, at any length, in any words."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from servedrill.checkers.finding import Answer, Finding
from servedrill.history import events as e
from servedrill.history.journal import write_events
from servedrill.judging.verdict import Verdict
from servedrill.runs.stored import StoredRun, read_run

S = 1_000_000_000
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>&lt;`{{7*7}}`\u2028"


def request(
    number: int, due: int, *, cls: str = "chat", failure: str | None = None, ttft_s: float = 0.05, **more: Any
) -> e.RequestRecord:
    """One that was answered by engine-1 after a try at engine-0, or failed."""
    name = f"{cls}-{number:06}"
    first = due + int(ttft_s * 1e9)
    gaps = [20_000_000] * 9 + [400_000_000]
    end = first + sum(gaps)
    attempt = e.Attempt(
        t_send_ns=due + 1000, t_end_ns=end, address="127.0.0.10:80", status=503 if failure else 200,
        request_id=f"wire-{name}",
        served_by="engine-1/7", via="gateway-0", error=failure,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "t_ns": end, "id": name, "cls": cls, "route": "chat", "stream": True, "model": "m", "prompt": "w:1.2+3.4",
        "prompt_tokens": 8,
        "max_tokens": 16, "t_int_ns": due, "t_send_ns": due + 1000, "t_end_ns": end, "deadline_s": 12.0,
        "attempts": [attempt],
    }  # fmt: skip
    if failure:
        fields |= {
            "status": 503,
            "failure": failure,
            "error_status": 503,
            "error_type": "overloaded",
            "error_message": "try later, not with Bearer abcdefghijk",
        }
    else:
        fields |= {
            "status": 200, "t_first_ns": first, "t_last_ns": end, "gaps_ns": gaps, "texts": [" a b"],
            "finish_reasons": ["length"],
            "models": ["m"], "fingerprints": ["v1"], "completion_tokens": 11,
        }  # fmt: skip
    return e.RequestRecord(**(fields | more))


def exchange(seq: int, name: str, hop: str, due: int, *, status: int | None = 200, attempt: str = "1") -> e.Exchange:
    return e.Exchange(
        t_ns=due + S, hop=hop, seq=seq, connection=seq, method="POST", path="/v1/chat/completions",
        request_id=f"wire-{name}", attempt=attempt,
        t_request_ns=due + 2000, t_response_ns=due + S // 50, t_end_ns=due + S // 2, status=status, end="complete",
    )  # fmt: skip


def history(
    *, seconds: int = 12, rate: int = 10, seed: int = 1, slower: float = 1.0, control: bool = False
) -> list[e.AnyEvent]:
    """A drill with two faults (one on two engines), an alert, a breaker, a restart, failures, a cancel.

    ``slower`` stretches TTFT.
    """
    third = seconds * S // 3
    down = {"alertname": "ReplicaDown", "replica": "engine-0"}
    events: list[e.AnyEvent] = [
        e.DrillStarted(
            t_ns=0, drill="paper", hypothesis="Paper burns.", seed=seed, wall_time="2026-01-02T03:04:05+00:00",
            stack="paper stack",
            promises={"model": "m", "tries_max": 3, "api_key": "topsecretvalue123", "gateway_admits": 10},
            control=control,
        ),
        e.WindowOpened(t_ns=0, window="baseline"), e.WindowClosed(t_ns=third, window="baseline"),
        e.WindowOpened(t_ns=third, window="fire"), e.WindowClosed(t_ns=2 * third, window="fire"),
        e.WindowOpened(t_ns=2 * third, window="recover"), e.WindowClosed(t_ns=3 * third, window="recover"),
        e.AlertSeen(t_ns=third + S, alert="ReplicaDown", labels=down, state="firing"),
        e.AlertSeen(t_ns=2 * third, alert="ReplicaDown", labels=down, state="resolved"),
        e.AlertSeen(t_ns=2 * third, alert="Smoke", labels={"alertname": "Smoke"}, state="firing"),
        e.Observed(t_ns=2 * third, name="settled/1", value=0.25, unit="s"),
        e.Observed(t_ns=2 * third, name="unknown", value=None),
        e.ProcessSeen(t_ns=0, name="engine-0", role="engine", pid=7, start_ticks=1, state="S"),
        e.ProcessSeen(t_ns=third + S, name="engine-0", role="engine", pid=None),
        e.ProcessSeen(t_ns=2 * third, name="engine-0", role="engine", pid=8, start_ticks=2, state="S"),
        e.ProcessSeen(t_ns=0, name="gateway-0", role="gateway", pid=9, start_ticks=1, state="S"),
        e.ProcessSeen(t_ns=third, name="gateway-0", role="gateway", pid=9, start_ticks=1, state="T"),
        e.ProcessSeen(t_ns=third + 1, name="gateway-0", role="gateway", pid=9, start_ticks=1, state="S"),
    ]  # fmt: skip
    if not control:
        events += _faults(third)
    events += [*_samples(seconds), *_load(seconds, rate), *_requests(seconds, rate, random.Random(seed), slower)]
    events.append(e.DrillEnded(t_ns=(seconds + 1) * S))
    return sorted(events, key=lambda event: event.t_ns)


def _faults(third: int) -> list[e.AnyEvent]:
    events: list[e.AnyEvent] = []
    for number, (fault, target, start) in enumerate(
        [("kill", "engine-0", third), ("kill", "engine-1", third + 1000), ("latency", "gateway-0", third + S)]
    ):
        lease = f"{fault}-{number}"
        events += [
            e.FaultInjected(
                t_ns=start,
                lease=lease,
                fault=fault,
                target=target,
                deadline_ns=0,
                attributes={"signal": 9, "password": "hunter22"},
            ),
            e.FaultEvidence(t_ns=start + 1, lease=lease, took_effect=fault == "kill", observed=f"{fault} met {target}"),
        ]
        if fault == "kill":
            events.append(e.FaultHealed(t_ns=2 * third, lease=lease, proven=True, proof=f"{target} is back"))
    return events


def _samples(seconds: int) -> list[e.AnyEvent]:
    events: list[e.AnyEvent] = []
    third = seconds * S // 3
    for tick in range(0, seconds * S, S // 5):
        broken = third <= tick <= 2 * third
        events += [
            e.Sample(
                t_ns=tick, source="engine-0", role="engine", ok=not broken, health=None if broken else 200,
                values={} if broken else {"running": 3.0, "waiting": 1.0, "kv_usage": 0.5},
            ),
            e.Sample(
                t_ns=tick, source="gateway-0", role="gateway", ok=True, health=200,
                values={
                    "in_flight": 9.0, "queue": float(tick % 3),
                    "breaker/engine-0": float(broken), "healthy/engine-0": float(not broken),
                },
            ),
        ]  # fmt: skip
    return events


def _load(seconds: int, rate: int) -> list[e.AnyEvent]:
    events: list[e.AnyEvent] = []
    for second in range(seconds):
        events.append(
            e.LoadHealth(
                t_ns=second * S,
                worker=0,
                planned=rate,
                sent=rate,
                in_flight=2,
                loop_lags_ms={0: 9},
                send_lags_ms={1: rate},
                cpu_ratio=0.2,
            )
        )
    return events


def _requests(seconds: int, rate: int, chance: random.Random, slower: float) -> list[e.AnyEvent]:
    events: list[e.AnyEvent] = []
    third = seconds * S // 3
    for number in range(seconds * rate):
        due = number * S // rate
        broken = third <= due < 2 * third
        failure = ("http_503" if number % 2 else "cut") if broken and number % 3 == 0 else None
        ttft = slower * (chance.gauss(0.05, 0.004) + (0.9 if broken else 0.0))
        cls = "code" if number % 4 == 0 else "chat"
        cancel = {"cancelled_ns": due + S // 100} if number == 5 else {}
        record = request(number, due, cls=cls, failure=failure, ttft_s=ttft, **cancel)
        events += [record, exchange(2 * number, record.id, "engine-0", due, status=503 if broken else 200)]
        if broken:
            events.append(exchange(2 * number + 1, record.id, "engine-1", due + S // 10, attempt="2"))
    return events


def verdict(answer: Answer = Answer.FAIL, *, drill: str = "paper", **times: float) -> Verdict:
    """One claim refuted, one doubted, two proven; of PASS only the proven ones."""
    proven = [
        Finding(checker="Fast", answer=Answer.PASS, claim="It is fast.", observed="p99 3 ms", threshold="5 ms",
        figures={"p99_s": 0.003}),
        Finding(checker="LoadKeptSchedule", answer=Answer.PASS, claim="The load was on time.", observed="lag 1 ms"),
    ]  # fmt: skip
    doubted = Finding(
        checker="Enough", answer=Answer.INCONCLUSIVE, claim="There was enough.", observed="no samples", window="fire"
    )
    refuted = Finding(
        checker="Exact", answer=Answer.FAIL, claim="Every word is right.", observed="2 of 9 wrong", threshold="0",
        window="fire",
        evidence=["wire-chat-000045", "chat-000051", "nobody"],
    )  # fmt: skip
    findings = {Answer.PASS: proven, Answer.INCONCLUSIVE: [*proven, doubted], Answer.FAIL: [*proven, doubted, refuted]}[
        answer
    ]
    return Verdict(
        drill=drill, answer=answer, hypothesis="Paper burns.", seed=7, control=False, defects=[], findings=findings,
        **times
    )  # fmt: skip


def run_folder(
    folder: Path,
    *,
    drills: dict[str, list[e.AnyEvent]] | None = None,
    verdicts: dict[str, Verdict] | None = None,
    about: dict[str, Any] | None = None,
) -> Path:
    """A run's folder; a drill without a verdict was killed."""
    made = {"paper": history()} if drills is None else drills
    given = {name: verdict(drill=name, detect_s=1.2) for name in made} if verdicts is None else verdicts
    folder.mkdir(parents=True)
    for name, events in made.items():
        (folder / name / "logs").mkdir(parents=True)
        (folder / name / "logs" / "engine-0.log").write_text("smoke\n")
        write_events(folder / name / "history.jsonl", events)
        if name in given:
            (folder / name / "verdict.json").write_bytes(msgspec.json.encode(given[name]))
        (folder / name / "stack.json").write_text('{"name": "paper", "env": {"HF_TOKEN": "hf_abcdefghijklmnop"}}')
    basics = {
        "began": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:05:05+00:00", "seed": 7,
        "options": {"seed": 7, "runs": str(folder.parent)}, "versions": {"servedrill": "0.1.0"}, "system": "Paper",
        "replay": {name: f"pytest drills/test_{name}.py --drill-seed 7" for name in made},
    }  # fmt: skip
    (folder / "run.json").write_bytes(msgspec.json.encode(basics | (about or {})))
    (folder / "verdicts.json").write_bytes(msgspec.json.encode(list(given.values())))
    return folder


def stored(folder: Path, **more: Any) -> StoredRun:
    return read_run(run_folder(folder, **more))


def everywhere(value: Any, text: str, *, keep: Callable[[str], bool] = lambda _: False) -> Any:
    """The same with every string replaced by ``text`` that ``keep`` does not spare, keys of mappings too."""
    if isinstance(value, dict):
        return {
            (key if not isinstance(key, str) or keep(key) else f"{key}{text}"): everywhere(item, text, keep=keep)
            if key not in FIXED
            else item
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [everywhere(item, text, keep=keep) for item in value]
    return f"{value}{text}" if isinstance(value, str) else value


FIXED = {"type", "role", "route", "state", "at", "answer", "wall_time", "method", "path"}
"""Fields whose values are few and fixed."""


def hostile(events: list[e.AnyEvent], text: str = EVIL) -> list[e.AnyEvent]:
    """The same history with ``text`` at the end of every string, wherever a stack can put one."""
    fields = {name for kind in e.KnownEvent.__args__ for name in kind.__struct_fields__} | {
        *e.Attempt.__struct_fields__,
        "type",
        "model",
        "tries_max",
    }
    spare = fields | {"running", "waiting", "kv_usage", "in_flight", "queue"}
    made = everywhere(msgspec.to_builtins(events), text, keep=lambda key: key in spare)
    return msgspec.convert(made, list[e.KnownEvent])


def hostile_verdict(text: str = EVIL) -> Verdict:
    fields = {*Verdict.__struct_fields__, *Finding.__struct_fields__}
    made = everywhere(msgspec.to_builtins(verdict()), text, keep=lambda key: key in fields)
    return msgspec.convert(made, Verdict)
