"""How a gateway ends: what is open is finished, who comes is served and does not come back, and nobody holds it up."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from ref_engine import STEADY, Server, gateway_and_engine, oracle_text

from servedrill.host.clock import wait_for

ROLLING = "servedrill.refstack.defects.rolling"
LONG = {"model": "chat-model", "prompt": "p", "max_tokens": 130, "temperature": 0, "ignore_eos": True}
SHORT = {**LONG, "max_tokens": 4}


def told_to_end(front: Server, behind: Server) -> None:
    """SIGTERM, when an answer is under way."""
    wait_for(lambda: behind.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=30)
    front.process.send_signal(signal.SIGTERM)


def test_sigterm_finishes_what_is_open_and_serves_who_comes(tmp_path: Path) -> None:
    """It is out of rotation, still answers, asks nobody back, ends the open stream whole, and exits with 0."""
    with gateway_and_engine(tmp_path, costs=STEADY) as (front, behind), ThreadPoolExecutor(1) as pool:
        open_ = pool.submit(front.ask, stream=True, **LONG)
        told_to_end(front, behind)
        wait_for(lambda: not front.healthy(), what="the gateway to say that it drains", within_s=30)
        for stream in (True, False):
            late = front.ask(stream=stream, **SHORT)
            assert (late.status, late.headers.get("connection")) == (200, "close")
        answer = open_.result(30)
        said = oracle_text(chat=True, prompt="p", max_tokens=130, temperature=0, ignore_eos=True)[0]
        assert (answer.texts[0], answer.done) == (said, 1)
        assert front.process.wait(30) == 0


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A stream that outlasts the grace period is cut."""
    with (
        gateway_and_engine(tmp_path, costs=STEADY, gateway={"drain_grace_s": 0.4}) as (front, behind),
        front.streaming(**{**LONG, "max_tokens": 1000}) as response,
    ):
        told_to_end(front, behind)
        assert front.process.wait(30) == 0
        with pytest.raises(httpx.HTTPError):
            response.read()


@pytest.mark.parametrize(
    ("defect", "connection", "healthy"),
    [("KeepsConnections", None, False), ("DrainsInSecret", "close", True), ("DropsListenQueue", "", False)],
)
def test_each_part_of_a_drain_can_be_done_wrong(
    tmp_path: Path, defect: str, connection: str | None, healthy: bool
) -> None:
    """What the policy says is what is done: of the connection, of health, of who comes anew."""
    with (
        gateway_and_engine(tmp_path, costs=STEADY, defects=[f"{ROLLING}:{defect}"]) as (front, behind),
        front.streaming(**LONG),
    ):
        kept = front.http
        told_to_end(front, behind)
        wait_for(lambda: draining(front, kept), what="the gateway to drain", within_s=30)
        if connection == "":
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{front.url}/health")
            return
        assert front.ask(**SHORT).headers.get("connection") == connection
        assert front.healthy() == healthy


def draining(front: Server, http: httpx.Client) -> bool:
    """Whether it was told: it says 503, or its answers end their connection, or it listens no more."""
    told = http.get("/health")
    if told.status_code == 503 or told.headers.get("connection") == "close":
        return True
    try:
        return httpx.get(f"{front.url}/health").status_code == 503
    except httpx.ConnectError:
        return True
