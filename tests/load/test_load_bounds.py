"""Whatever an answer is, its request ends in bounded time and memory, and has failed."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from load_servers import one_class, only, plan_for

from servedrill.history.events import RequestRecord
from tests.worlds.hostile import BODIES, HEADS, STREAMS, hostile

MODES = {**HEADS, **BODIES, **STREAMS}
WHOLE = {"open after the end"}
"""Nothing is missing, and the client waits for the end until its patience is over."""


def ask(mode: str, **options: Any) -> RequestRecord:
    """The record of one request whose patience is short, to a server that answers so."""
    with hostile({"any": MODES[mode]}) as url:
        return only(plan_for(url, one_class(**({"deadline_s": 8.0} | options))))


@pytest.fixture(scope="module")
def records() -> dict[str, RequestRecord]:
    """One of each; several at once, as most of them are waited for."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(MODES, pool.map(partial(ask, deadline_s=1.5), MODES), strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_a_request_ends_and_has_failed(records: dict[str, RequestRecord], mode: str) -> None:
    """None of these is an answer."""
    record = records[mode]
    assert (record.failure is None) == (mode in WHOLE), record
    assert sum(map(len, record.texts)) <= 2 << 20
    assert len(record.models) <= 16


@pytest.mark.parametrize(
    ("mode", "options", "says"),
    [
        ("a line without end", {}, "more than 1 MiB without the end of an event"),
        ("an event without end", {}, "more than 1 MiB without the end of an event"),
        ("long tokens without end", {}, "a text of more than 1 MiB"),
        ("tokens without end", {"output_tokens": 8}, "content in more than 4224 pieces"),
        ("comments without end", {}, "a stream of more than 64 MiB"),
        ("200 MB", {"stream": False}, "a body of more than 2 MiB"),
        ("headers without end", {}, "more around the body than any server sends"),
        ("one header without end", {}, "more around the body than any server sends"),
        ("interim answers without end", {}, "more around the body than any server sends"),
        ("a chunk's extension without end", {}, "more around the body than any server sends"),
        ("chunks with long extensions", {}, "more around the body than any server sends"),
        ("trailers without end", {"stream": False}, "more around the body than any server sends"),
    ],
)
def test_which_bound_was_met_is_said(mode: str, options: dict[str, Any], says: str) -> None:
    """In the request's record; and long before its patience is over."""
    record = ask(mode, deadline_s=120.0, **options)
    assert record.failure == "bad_frame"
    assert says in (record.error_message or "")


PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from load_servers import Burst, one_class, plan_for, run
run(plan_for(sys.argv[2], one_class(arrivals=Burst(24), deadline_s=3.0)))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.parametrize(
    "mode", ["long tokens without end", "tokens without end", "a line without end", "200 MB", "headers without end"]
)
def test_memory_stays_small(mode: str) -> None:
    """With two dozen such answers at once."""
    with hostile({"any": MODES[mode]}) as url:
        command = [sys.executable, "-c", PROGRAM, json.dumps(sys.path), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400 << 20
