"""How exact the client is on this machine: its stamps compared with those of a server that writes its own.

The server runs in a process of its own and puts the monotonic instant of each write into the token's text. Both ends
share one clock, so the difference of the two stamps is the error of every latency that this client reports, kernel
included.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import cast

import uvloop

from servedrill.errors import ServedrillError
from servedrill.history.events import AnyEvent, LoadHealth, RequestRecord
from servedrill.history.journal import read_events
from servedrill.host.clock import NS, now_ns
from servedrill.host.launch import tied
from servedrill.load.arrivals import Burst
from servedrill.load.generator import Load, package_environment
from servedrill.load.plan import LoadPlan, RequestClass, Target

ENGINES = 8
"""How many engines the timed server plays: the streams of one get their tokens in the same steps."""
_MAX_TOKENS = re.compile(rb'"max_tokens": *(\d+)')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"calibration",'
    '"choices":[{"index":0,"delta":{%s},"logprobs":null,"finish_reason":%s}]}\n\n'
)


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """How late the client's stamps are, in seconds, and how much CPU a token costs it."""

    streams: int
    gap_ms: float
    events: int
    ttft_s_p50: float
    ttft_s_p99: float
    token_s_p99: float
    """Over all tokens, the first ones included."""
    cpu_us_per_event: float
    failures: int = 0


def measure_error_bound(*, streams: int = 200, gap_ms: float = 50.0, seconds: float = 2.0) -> ErrorBound:
    """Run ``streams`` at once, a token every ``gap_ms``, for about ``seconds``, with one load worker."""
    tokens = max(2, int(seconds * 1000 / gap_ms))
    with tempfile.TemporaryDirectory(prefix="servedrill-") as folder, timed_server(gap_ms=gap_ms) as url:
        history = Path(folder) / "history.jsonl"
        cls = RequestClass(
            name="calibration",
            arrivals=Burst(streams, over_s=min(1.0, streams / 500)),
            model="calibration",
            prompt_words=8,
            output_tokens=tokens,
            deadline_s=seconds + 20,
        )
        plan = LoadPlan(classes=[cls], seed=1, target=Target(base_url=url))
        with Load(plan, history) as load:
            load.start()
            t0_ns = load.t0_ns or now_ns()
            load.wait_done(within_s=seconds + 30)
        events = read_events(history)
    return _bound(events, t0_ns, gap_ms)


@contextlib.contextmanager
def timed_server(*, gap_ms: float, engines: int = ENGINES) -> Iterator[str]:
    """The URL of a server process that streams ``max_tokens`` tokens, one every ``gap_ms``, each naming its instant."""
    process = subprocess.Popen(
        tied([sys.executable, "-m", "servedrill.load.calibrate", str(gap_ms), str(engines)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=package_environment(),
    )
    with process:  # closing its stdin ends it
        assert process.stdout is not None
        port = process.stdout.readline().strip().decode()
        if not port:
            raise ServedrillError("the calibration server did not start")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _bound(events: list[AnyEvent], t0_ns: int, gap_ms: float) -> ErrorBound:
    records = [event for event in events if isinstance(event, RequestRecord)]
    healths = [event for event in events if isinstance(event, LoadHealth)]
    first: list[int] = []
    every: list[int] = []
    failures = 0
    for record in records:
        if record.failure is not None or record.t_first_ns is None:
            failures += 1
            continue
        written = [int(word) for word in record.texts[0].split()]
        read = list(accumulate(record.gaps_ns, initial=record.t_first_ns))
        errors = [arrived - sent for arrived, sent in zip(read, written, strict=True)]
        first.append(errors[0])
        every += errors
    if not first:
        raise ServedrillError(
            f"calibration: none of {len(records)} streams was whole: {sorted({str(r.failure) for r in records})}"
        )
    cpu_s, before_ns = 0.0, t0_ns
    for health in healths:
        cpu_s += health.cpu_ratio * (health.t_ns - before_ns) / NS
        before_ns = health.t_ns
    first.sort()
    every.sort()
    return ErrorBound(
        streams=len(records),
        gap_ms=gap_ms,
        events=len(every),
        ttft_s_p50=first[len(first) // 2] / NS,
        ttft_s_p99=first[len(first) * 99 // 100] / NS,
        token_s_p99=every[len(every) * 99 // 100] / NS,
        cpu_us_per_event=cpu_s * 1e6 / len(every),
        failures=failures,
    )


class _TimedStreams(asyncio.Protocol):
    """Answers each request with tokens at a steady gap.

    As with real engines, the streams of one engine get their tokens in the same steps; without engines, each stream has
    steps of its own. That is the hardest case for a client: it wakes for every single token.
    """

    begun = 0

    def __init__(self, gap_s: float, engines: int) -> None:
        self._gap_s, self._engines, self._input = gap_s, engines, b""
        self._timer: asyncio.TimerHandle | None = None
        self._left = 0
        self._due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._input += data
        head, gap, body = self._input.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not gap or length is None or len(body) < int(length[1]):
            return
        self._input = b""
        asked = _MAX_TOKENS.search(body)
        self._left = int(asked[1]) if asked else 16
        self._transport.write(_HEAD + _chunk(_EVENT % ('"role":"assistant","content":""', "null")))
        self._due_s = self._next_step_s()
        self._timer = self._loop.call_at(self._due_s, self._token)

    def _next_step_s(self) -> float:
        """When this stream's engine gives its first token: one step from now at the earliest."""
        now_s, gap_s = self._loop.time(), self._gap_s
        if not self._engines:
            return now_s + gap_s
        _TimedStreams.begun += 1
        phase_s = gap_s * (_TimedStreams.begun % self._engines) / self._engines
        return ((now_s - phase_s) // gap_s + 2) * gap_s + phase_s

    def _token(self) -> None:
        self._left -= 1
        if self._left:
            self._due_s += self._gap_s
            self._timer = self._loop.call_at(self._due_s, self._token)
            self._transport.write(_chunk(_EVENT % (f'"content":" {now_ns()}"', "null")))
            return
        last = _EVENT % (f'"content":" {now_ns()}"', '"length"')
        self._transport.write(_chunk(last) + _chunk("data: [DONE]\n\n") + b"0\r\n\r\n")


def _chunk(event: str) -> bytes:
    data = event.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _serve(gap_s: float, engines: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _TimedStreams(gap_s, engines), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent_gone = loop.create_future()
    loop.add_reader(0, parent_gone.set_result, None)
    await parent_gone


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(float(sys.argv[1]) / 1000, int(sys.argv[2])))
