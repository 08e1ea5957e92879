"""The same faults with the original toxiproxy-server, which keeps no account of what its toxics did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hop_world import ORIGINAL, WHY_NOT, Hop, hop_of_the_original

from servedrill.errors import UsageError
from servedrill.faults import network, streams
from servedrill.faults.toxic import ORIGINAL as KINDS
from servedrill.faults.toxic import Toxic

pytestmark = pytest.mark.skipif(ORIGINAL is None, reason=WHY_NOT)


@pytest.fixture
def hop() -> Iterator[Hop]:
    with hop_of_the_original() as hop:
        yield hop


PLAIN: list[Callable[[Any], Toxic]] = [
    lambda stack: network.latency(stack, "hop", ms=20),
    lambda stack: network.bandwidth(stack, "hop", kb_per_s=3),
    lambda stack: network.slow_close(stack, "hop", ms=20),
    lambda stack: network.black_hole(stack, "hop"),
    lambda stack: network.silence_then_close(stack, "hop", after_ms=50),
    lambda stack: network.connection_reset(stack, "hop"),
    lambda stack: network.slicer(stack, "hop", average_bytes=30),
    lambda stack: network.limit_data(stack, "hop", bytes_max=300),
]


@pytest.mark.parametrize("make", PLAIN)
def test_every_plain_fault_works_and_no_more_is_claimed_than_was_seen(hop: Hop, make: Callable[[Any], Toxic]) -> None:
    """Without traffic nothing is proven; with it, only what the kernel's count of bytes shows."""
    fault = make(hop)
    fault.inject()
    assert not fault.evidence().proven
    with ExitStack() as open_:
        users = [open_.enter_context(hop.connect()) for _ in range(2)]
        answers = [hop.ask("/v1/stream", sock=user) for user in users]
        evidence = fault.evidence()
        shown = fault.name == "latency" or (fault.name == "timeout" and fault.attributes["timeout"] == 0)
        assert evidence.proven == shown, evidence.observed
        assert "the toxic was in place; toxiproxy-server" in evidence.observed
        assert "keeps no evidence" in evidence.observed
        assert (evidence.figures.get("links_hit", 0) == 2) == shown
    assert all(answers) == (fault.name in ("latency", "bandwidth", "slow_close", "slicer", "limit_data"))
    assert fault.heal().proven
    assert hop.ask("/v1/stream", patience_s=5).count(b"data: ") == 7
    assert fault.heal().proven
    assert not fault.evidence().proven


def test_a_toxic_on_some_connections_only_is_not_proven(hop: Hop) -> None:
    """Which ones it drew, nobody outside can tell."""
    fault = network.latency(hop, "hop", ms=1, toxicity=0.5)
    fault.inject()
    with hop.connect() as user:
        assert hop.ask("/v1/stream", sock=user)
        evidence = fault.evidence()
    assert fault.heal().proven
    assert (evidence.proven, "toxicity of 0.5" in evidence.observed) == (False, True)


def test_a_fault_that_knows_streams_is_refused_by_name(hop: Hop) -> None:
    """With the server in use and the toxics that it has, before anything is injected."""
    for make in (streams.drop_done, streams.swap_model, network.http_status):
        how = {"status": 503} if make is network.http_status else {}
        with pytest.raises(UsageError) as error:
            make(hop, "hop", **how)  # type: ignore[operator]
        text = str(error.value)
        assert f"{make.__name__} on hop: the fault proxy at {hop.api} (toxiproxy-server " in text
        assert f"has no toxic '{make.__name__}'; expected one of {', '.join(sorted(KINDS))}" in text
        assert "\n" not in text
    assert hop.ask("/v1/stream", patience_s=5).count(b"data: ") == 7


def test_down_is_proven_by_an_attempt_to_connect(hop: Hop) -> None:
    """No account of the proxy is needed: who connects is refused, and accepted again afterwards."""
    fault = network.Down(hop, "hop")
    fault.inject()
    assert fault.evidence().proven
    assert fault.heal().proven
    assert hop.ask("/v1/stream", patience_s=5).count(b"data: ") == 7
