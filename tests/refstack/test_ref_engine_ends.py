"""How an engine ends: drained, cut, without its core, without its supervisor."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from ref_engine import STEADY, engine, oracle_text

from servedrill.host.clock import wait_for


def test_sigterm_finishes_what_is_open_and_takes_nothing_new(tmp_path: Path) -> None:
    """A draining engine is unhealthy, refuses with 503 and Retry-After, ends the open stream whole, exits with 0."""
    ask = {"prompt": "p", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        core = server.core
        open_ = pool.submit(server.ask, stream=True, **ask)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=30)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not server.healthy(), what="the engine to say that it drains", within_s=30)
        refused = server.ask(prompt="late", max_tokens=2)
        assert (refused.status, refused.headers["retry-after"], refused.error and refused.error["code"]) == (
            503,
            "1",
            "draining",
        )
        answer = open_.result(5)
        assert (answer.texts[0], answer.done) == (
            oracle_text(chat=True, prompt="p", max_tokens=40, temperature=0, ignore_eos=True)[0],
            1,
        )
        assert server.process.wait(30) == 0
        assert server.process.stdin is not None
        server.process.stdin.close()
        wait_for(lambda: not core.alive, what="the core to end", within_s=30)


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A stream that outlasts the grace period is cut."""
    with (
        engine(tmp_path, costs=STEADY, drain_grace_s=0.4) as server,
        server.streaming(max_tokens=1000, ignore_eos=True) as response,
    ):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        with pytest.raises(httpx.HTTPError):
            response.read()


def test_an_engine_without_its_core_is_not_healthy_and_ends(tmp_path: Path) -> None:
    """The open stream ends in an error event, /health answers 503, and the process exits with 1."""
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        open_ = pool.submit(server.ask, stream=True, max_tokens=500, ignore_eos=True)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=30)
        os.kill(server.core.pid, signal.SIGKILL)
        wait_for(lambda: not server.healthy(), what="the engine to say that it is ill", within_s=30)
        answer = open_.result(5)
        assert answer.error is not None
        assert (answer.error["code"], answer.error["type"], answer.done) == ("engine_dead", "server_error", 1)
        assert server.process.wait(30) == 1


def test_a_core_that_stands_still_makes_its_engine_unhealthy(tmp_path: Path) -> None:
    """A stopped core makes /health answer 503 within a second, and 200 when it goes on."""
    with engine(tmp_path, costs=STEADY) as server:
        core = server.core
        os.kill(core.pid, signal.SIGSTOP)
        try:
            waited_s = wait_for(lambda: not server.healthy(), what="the engine to say that it is ill", within_s=30)
            assert waited_s > 0.3
        finally:
            os.kill(core.pid, signal.SIGCONT)
        wait_for(server.healthy, what="the engine to be well", within_s=30)


def test_the_core_ends_with_its_supervisor(tmp_path: Path) -> None:
    """End of file on its standard input ends the core, and without a core the engine ends too."""
    with engine(tmp_path) as server:
        core = server.core
        assert server.process.stdin is not None
        server.process.stdin.close()
        wait_for(lambda: not core.alive, what="the core to end", within_s=30)
        assert server.process.wait(30) == 1
