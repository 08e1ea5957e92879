"""What one engine does, seen from outside: times, queueing, KV cache, aborts, refusals, metric names, frames.

Every measurement is a function from an `Engine` to a record, with the same seeded load for every engine. Nothing here
knows which engine it is.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
from engine_records import Aborts, Choices, Frames, KvFull, Measured, Names, Queueing, Refusals, Times
from prometheus_client.parser import text_string_to_metric_families

from servedrill.history.events import CancelPlan, RequestRecord
from servedrill.history.journal import read_events
from servedrill.host.clock import NS, now_ns, wait_for
from servedrill.load.arrivals import Burst, Users
from servedrill.load.generator import Load
from servedrill.load.plan import CancelMix, CancelPoint, LoadPlan, RequestClass, Target
from servedrill.oracle.prompts import words_prompt

PROMPTS = (16, 64, 128, 256, 384, 512, 640, 768, 896)
SEQUENCES = (1, 2, 4, 8, 12, 16)
_GAUGES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv": "vllm:kv_cache_usage_perc",
    "preemptions": "vllm:num_preemptions_total",
    "generated": "vllm:generation_tokens_total",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """Where it is, and what it calls its model."""

    url: str
    model: str

    def load(self, *classes: RequestClass, seed: int = 1, within_s: float = 90.0) -> list[RequestRecord]:
        """Send it all and wait for the end; one record a request, in the order in which they were due."""
        plan = LoadPlan(classes=list(classes), seed=seed, target=Target(base_url=self.url))
        with tempfile.TemporaryDirectory(prefix="servedrill-") as folder:
            history = Path(folder) / "history.jsonl"
            with Load(plan, history) as load:
                load.start()
                load.wait_done(within_s=within_s)
            records = [event for event in read_events(history) if isinstance(event, RequestRecord)]
        return sorted(records, key=lambda record: record.t_int_ns)

    def requests(self, name: str, **more: Any) -> RequestClass:
        """Greedy completions that go on to their limit."""
        params = {"temperature": 0, "ignore_eos": True}
        given = {"route": "completions", "params": params, "deadline_s": 60.0, **more}
        return RequestClass(name=name, model=self.model, **given)

    def gauges(self) -> dict[str, float]:
        """What its metrics page says now."""
        return _gauges(httpx.get(f"{self.url}/metrics", timeout=10).text)

    def rest(self) -> None:
        """Wait until it has nothing to do."""
        wait_for(
            lambda: self.gauges()["running"] + self.gauges()["waiting"] == 0, what=f"{self.url} at rest", within_s=30
        )


def _gauges(page: str) -> dict[str, float]:
    found = {}
    for word, name in _GAUGES.items():
        found[word] = sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))
    return found


@dataclass(slots=True)
class Watch:
    """The gauges over time, ``(ns, gauges)``, read every 50 ms: more often would take the engine's own time."""

    samples: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def peak(self, word: str) -> float:
        return max(gauges[word] for _, gauges in self.samples)

    def gained(self, word: str) -> float:
        return self.samples[-1][1][word] - self.samples[0][1][word]


@contextmanager
def watched(engine: Engine) -> Iterator[Watch]:
    """Reads the gauges while the block runs, and once more when the engine rests."""
    watch, over = Watch([(now_ns(), engine.gauges())]), threading.Event()

    def read() -> None:
        with httpx.Client(timeout=10) as client:
            while not over.wait(0.05):
                page = client.get(f"{engine.url}/metrics").text
                watch.samples.append((now_ns(), _gauges(page)))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield watch
        engine.rest()
    finally:
        over.set()
        thread.join()
    watch.samples.append((now_ns(), engine.gauges()))


def measure(engine: Engine) -> Measured:
    """All of it, in about a minute."""
    return Measured(
        times=times(engine),
        queueing=queueing(engine),
        kv=kv_full(engine),
        aborts=aborts(engine),
        refusals=refusals(engine),
        choices=choices(engine),
        names=names(engine),
        frames=frames(engine),
    )


def times(engine: Engine, *, rounds: int = 4) -> Times:
    """One request at a time for TTFT; 1 to 16 at once for ITL, by turns; the engine is warmed up first."""
    engine.load(engine.requests("warm", arrivals=Users(users=2, count=12), prompt_words=200, output_tokens=16))
    lengths = [length for _ in range(5 * rounds) for length in PROMPTS]
    prompts = [words_prompt(seed=number, words=length) for number, length in enumerate(lengths)]
    alone = engine.requests(
        "alone", arrivals=Users(users=1, count=len(prompts)), prompts=prompts, output_tokens=2, prompt_words=1
    )
    seen: dict[int, list[float]] = {length: [] for length in PROMPTS}
    for record in engine.load(alone):
        seen[record.prompt_tokens].append(_ttft_s(record))
    gaps: dict[int, list[int]] = {sequences: [] for sequences in SEQUENCES}
    for number in range(rounds):
        for sequences in SEQUENCES:
            burst = engine.requests(
                f"itl-{sequences}", arrivals=Burst(count=sequences), prompt_words=32, output_tokens=200
            )
            records = engine.load(burst, seed=number)
            gaps[sequences] += [gap for record in records for gap in record.gaps_ns[20:-10]]
    itl_s = {sequences: statistics.median(seen) / NS for sequences, seen in gaps.items()}
    return Times(ttft_s={length: statistics.median(values) for length, values in seen.items()}, itl_s=itl_s)


def queueing(engine: Engine, *, sent: int = 36, slots: int = 16) -> Queueing:
    """36 at once where 16 run."""
    with watched(engine) as watch:
        records = engine.load(
            engine.requests("queue", arrivals=Burst(count=sent, over_s=0.01), prompt_words=32, output_tokens=64)
        )
    ttfts = [_ttft_s(record) for record in records]
    return Queueing(
        sent=sent,
        ttft_s_first_batch=statistics.median(ttfts[:slots]),
        ttft_s_queued=statistics.median(ttfts[slots:]),
        running_peak=watch.peak("running"),
        waiting_peak=watch.peak("waiting"),
        in_order=max(ttfts[:slots]) < min(ttfts[slots:]),
    )


def kv_full(engine: Engine, *, sent: int = 16) -> KvFull:
    """16 sequences of 256 + 600 tokens: 13,696 positions."""
    with watched(engine) as watch:
        records = engine.load(
            engine.requests("kv", arrivals=Burst(count=sent, over_s=0.05), prompt_words=256, output_tokens=600)
        )
    return KvFull(
        usage_peak=watch.peak("kv"),
        preemptions=watch.gained("preemptions"),
        finished=sum(record.failure is None and record.completion_tokens == 600 for record in records),
        sent=sent,
        end_s=max(record.t_end_ns for record in records) / NS - records[0].t_int_ns / NS,
        generated=watch.gained("generated"),
        received=sum(record.completion_tokens or 0 for record in records),
        stall_s_max=max(max(record.gaps_ns) for record in records) / NS,
    )


def aborts(engine: Engine, *, sent: int = 20) -> Aborts:
    """20 streams, 16 of which run, hung up on after 1 s."""
    before = _finished(engine, "abort")
    mix = CancelMix(points=[CancelPoint(plan=CancelPlan(at="after_s", after_s=1.0))])
    with watched(engine) as watch:
        records = engine.load(
            engine.requests("abort", arrivals=Burst(count=sent), prompt_words=32, output_tokens=900, cancel=mix)
        )
    last_ns = max(record.cancelled_ns or 0 for record in records)
    later = [(t_ns, gauges) for t_ns, gauges in watch.samples if t_ns >= last_ns]
    idle_ns = next(t for t, gauges in later if gauges["running"] + gauges["waiting"] + gauges["kv"] == 0)
    return Aborts(
        sent=sent,
        cancelled=sum(record.cancelled_ns is not None for record in records),
        idle_after_s=(idle_ns - last_ns) / NS,
        generated=watch.gained("generated"),
        received=sum(len(text.split()) for record in records for text in record.texts),
        counted_as_abort=_finished(engine, "abort") - before,
    )


def refusals(engine: Engine, *, sent: int = 90) -> Refusals:
    """90 at once, half of them streamed; then requests that are wrong in themselves."""
    flood = engine.requests(
        "flood", arrivals=Burst(count=sent, over_s=0.05), prompt_words=32, output_tokens=64, stream=0.5
    )
    answers: Counter[str] = Counter()
    for record in engine.load(flood):
        mode = "stream" if record.stream else "whole"
        how = "answered" if record.failure is None else "error event" if record.status == 200 else "error object"
        waits = record.attempts[-1].retry_after_s
        answers[f"{mode}: {record.status}, {how}" + (f", Retry-After {waits:g}" if waits else "")] += 1
    engine.rest()
    wrong: dict[str, dict[str, Any]] = {
        "temperature -1": {"temperature": -1},
        "max_tokens 0": {"max_tokens": 0},
        "max_tokens above the context": {"max_tokens": 5000},
        "prompt above the context": {"prompt": "bada " * 1500},
        "prompt and answer above it together": {"prompt": "bada " * 1000, "max_tokens": 200, "ignore_eos": True},
        "n 0": {"n": 0},
        "unknown model": {"model": "other"},
        "no prompt": {"prompt": ""},
        "no JSON": {},
    }
    bad, error = {}, {}
    for what, change in wrong.items():
        said = []
        for stream in (False, True):
            body = json.dumps({"model": engine.model, "prompt": "bada", "max_tokens": 4, "stream": stream, **change})
            answer = httpx.post(
                f"{engine.url}/v1/completions",
                content="{" if what == "no JSON" else body,
                headers={"content-type": "application/json"},
                timeout=30,
            )
            said.append(_status(answer))
            if what == "temperature -1" and not stream:
                error = answer.json().get("error", {})
        bad[what] = said[0] if said[0] == said[1] else f"{said[0]}; streamed {said[1]}"
    return Refusals(sent=sent, answers=dict(sorted(answers.items())), error=error, bad=bad)


def choices(engine: Engine) -> Choices:
    """Three choices of eight tokens; sampled, as greedy ones would be the same."""
    before = _finished(engine, "length"), engine.gauges()["generated"]
    body = {"model": engine.model, "prompt": "bada", "max_tokens": 8, "n": 3, "temperature": 0.7, "seed": 1}
    answer = httpx.post(f"{engine.url}/v1/completions", json=body | {"ignore_eos": True}, timeout=30).json()
    engine.rest()
    return Choices(
        requests=_finished(engine, "length") - before[0],
        tokens=engine.gauges()["generated"] - before[1],
        received=answer["usage"]["completion_tokens"],
    )


def names(engine: Engine) -> Names:
    """Every metric under vLLM's prefix, after all that load."""
    page = httpx.get(f"{engine.url}/metrics", timeout=10).text
    found = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("vllm:") and not family.name.endswith("_created"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            pairs = [pair for sample in family.samples for pair in sample.labels.items()]
            values = sorted({value for label, value in pairs if label in ("reason", "finished_reason", "sleep_state")})
            shown = f" of {', '.join(values)}" if values else ""
            found[family.name] = f"{family.type}({', '.join(sorted(labels))}){shown}"
    return Names(metrics=found)


def frames(engine: Engine) -> Frames:
    """Streams and whole answers of both routes, taken apart."""
    streams: dict[str, list[str]] = {}
    fields: dict[str, set[str]] = {}
    headers: dict[str, str] = {}
    finish: dict[str, str] = {}
    for route in ("chat", "completions"):
        path = "chat/completions" if route == "chat" else "completions"
        asked: dict[str, Any] = {"prompt": "bada"}
        if route == "chat":
            asked = {"messages": [{"role": "user", "content": "bada"}]}
        asked |= {"model": engine.model, "max_tokens": 5, "temperature": 0, "ignore_eos": True}
        for kind, more in {
            "stream": {},
            "with usage": {"stream_options": {"include_usage": True}},
            "n 2": {"n": 2, "temperature": 0.7, "seed": 1},
        }.items():
            answer = httpx.post(f"{engine.url}/v1/{path}", json=asked | more | {"stream": True}, timeout=30)
            events = [line[6:] for line in answer.text.split("\n\n") if line.startswith("data: ")]
            kinds = [_kind(event, f"{route} chunk", fields) for event in events]
            runs = [(what, len(list(same))) for what, same in groupby(kinds)]
            if kind == "n 2":  # which choice comes when is chance
                runs = sorted(Counter(kinds).items())
            streams[f"{route}, {kind}"] = [what if count == 1 else f"{count} x {what}" for what, count in runs]
        headers |= {name: answer.headers.get(name, "") for name in ("content-type", "transfer-encoding")}
        whole = httpx.post(f"{engine.url}/v1/{path}", json=asked, timeout=30).json()
        _note(f"{route} answer", whole, fields)
        words = (whole["choices"][0].get("text") or whole["choices"][0]["message"]["content"]).split()
        for what, change in {"limit": {}, "stop string": {"stop": [words[2]]}}.items():
            choice = httpx.post(f"{engine.url}/v1/{path}", json=asked | change, timeout=30).json()["choices"][0]
            text = choice["text"] if route == "completions" else choice["message"]["content"]
            finish[f"{route}, {what}"] = f"{choice['finish_reason']} after {len(text.split())} words"
    return Frames(
        streams=streams, fields={key: sorted(found) for key, found in fields.items()}, headers=headers, finish=finish
    )


def _kind(event: str, where: str, fields: dict[str, set[str]]) -> str:
    if event == "[DONE]":
        return "[DONE]"
    body = json.loads(event)
    _note(where, body, fields)
    if not body["choices"]:
        return "usage"
    choice = body["choices"][0]
    delta = choice.get("delta", {})
    text = choice.get("text") or delta.get("content")
    parts = ["role" if "role" in delta else "", "text" if text else "", choice["finish_reason"]]
    return "+".join(filter(None, parts)) or "empty"


def _note(where: str, value: Any, fields: dict[str, set[str]]) -> None:
    """Write down every field that has a value, by its path."""
    for key, inner in value.items():
        if inner is None:
            continue
        if isinstance(inner, dict):
            _note(f"{where}.{key}" if key != "message" else f"{where}.message", inner, fields)
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            for one in inner:
                _note(f"{where}.{key}", one, fields)
        else:
            fields.setdefault(where, set()).add(key)


def _status(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        said = "error event" if '"error"' in answer.text else "answered"
        return f"{answer.status_code} {said}"
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    return f"{answer.status_code} {error['type']}" if error else f"{answer.status_code} answered"


def _finished(engine: Engine, reason: str) -> float:
    page = httpx.get(f"{engine.url}/metrics", timeout=10).text
    counted = re.findall(rf'^vllm:request_success_total{{[^}}]*"{reason}"[^}}]*}} (\S+)$', page, re.MULTILINE)
    return sum(map(float, counted))


def _ttft_s(record: RequestRecord) -> float:
    assert record.t_first_ns is not None and record.t_send_ns is not None, record
    return (record.t_first_ns - record.t_send_ns) / NS
