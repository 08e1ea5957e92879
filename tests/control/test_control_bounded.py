"""Whatever answers a control call, it ends in bounded time and memory, and says which bound was met."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from servedrill.control.bounded import TooLate, TooMuch, async_client, call, client, read, told
from tests.worlds.hostile import BODIES, HEADS, hostile, plain

LONG_S = 60.0
"""No call here may take longer: each is told to take a second."""


def directly(url: str, within_s: float = 1) -> httpx.Response:
    return call("GET", f"{url}/metrics", timeout_s=within_s)


def by_client(url: str, within_s: float = 1) -> httpx.Response:
    with client(timeout_s=within_s) as http:
        return http.get(f"{url}/metrics")


def in_a_loop(url: str, within_s: float = 1) -> httpx.Response:
    async def get() -> httpx.Response:
        async with async_client(timeout_s=0.4 * within_s, total_s=within_s) as http:
            return await http.get(f"{url}/metrics")

    return asyncio.run(get())


ASKING = [directly, by_client, in_a_loop]


@pytest.mark.parametrize("mode", [*HEADS, *BODIES])
def test_an_answer_is_whole_or_an_error_of_one_kind(mode: str) -> None:
    """In bounded time; its text can be read, and its JSON is what was asked for, or the same kind of error."""
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        for ask in ASKING:
            began, said = time.monotonic(), "an object"
            try:
                response = ask(url)
                assert len(response.content) <= 4 << 20
                assert isinstance(response.text, str)
                assert isinstance(read(response, dict[str, Any]), dict)
            except httpx.HTTPError as error:
                said = told(error)
            assert said
            assert time.monotonic() - began < LONG_S


@pytest.mark.parametrize(
    ("mode", "kind", "says"),
    [
        ("a head that drips", TooLate, "no whole answer within 1 s"),
        ("a body that drips", TooLate, "no whole answer within 1 s"),
        ("headers without end", TooMuch, "a head, or a line between two chunks, of more than 100 kB"),
        ("one header without end", TooMuch, "a head, or a line between two chunks, of more than 100 kB"),
        ("200 MB", TooMuch, "a body of more than 4 MiB"),
        ("chunks without end", TooMuch, "a body of more than 4 MiB"),
        ("until it closes, which it never does", TooMuch, "a body of more than 4 MiB"),
        ("gzip bomb", TooMuch, "a body of more than 4 MiB"),
        ("deflate bomb", TooMuch, "a body of more than 4 MiB"),
        ("gzip in gzip", TooMuch, "packed as 'gzip, gzip', which was not asked for"),
        ("br", TooMuch, "packed as 'br', which was not asked for"),
        ("no gzip", httpx.DecodingError, "packed, and cannot be unpacked"),
    ],
)
@pytest.mark.parametrize("ask", ASKING)
def test_which_bound_was_met_is_said(
    ask: Callable[[str, float], httpx.Response], mode: str, kind: type[Exception], says: str
) -> None:
    """By an error that everybody who asks expects."""
    within_s = 1 if kind is TooLate else LONG_S
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        with pytest.raises(kind, match=says):
            ask(url, within_s)


@pytest.mark.parametrize("ask", ASKING)
def test_what_is_packed_all_the_same_is_read(ask: Callable[[str], httpx.Response]) -> None:
    """Some servers pack whatever they are asked."""
    body = gzip.compress(b'{"a": 1}')
    with hostile({"any": lambda peer, asked: peer.send(plain(body, "content-encoding: gzip"))}) as url:
        assert read(ask(url), dict[str, Any]) == {"a": 1}


def test_no_cookie_is_kept() -> None:
    """Whoever is polled sends them with every answer."""
    with hostile({"any": HEADS["cookies"]}) as url, client(timeout_s=30) as http:
        http.get(url)
        assert not http.cookies


def test_a_proxy_of_the_environment_is_asked_where_that_is_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nowhere else: what is drilled is reached directly."""
    with hostile({"any": lambda peer, asked: peer.send(plain(asked.path.encode()))}) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert call("GET", "http://a.test/b", timeout_s=30, by_proxy=True).text == "http://a.test/b"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert call("GET", f"{proxy}/b", timeout_s=30, by_proxy=True).text == "/b"
        monkeypatch.delenv("no_proxy")
        assert call("GET", f"{proxy}/b", timeout_s=30).text == "/b"


PROGRAM = """
import sys
import httpx
from servedrill.control.bounded import call, read
try:
    read(call("GET", sys.argv[1], timeout_s=5), dict)
except httpx.HTTPError:
    pass
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.parametrize("mode", ["gzip bomb", "deflate bomb", "200 MB", "a million objects", "headers without end"])
def test_memory_stays_small(mode: str) -> None:
    """However much there would be to read."""
    with hostile({"any": {**HEADS, **BODIES}[mode]}) as url:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, timeout=300, check=True
        )
    assert int(done.stdout) < 300 << 20
