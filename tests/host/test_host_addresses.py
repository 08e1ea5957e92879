"""``host:port`` taken apart and put together."""

from __future__ import annotations

import pytest

from servedrill.host.addresses import join_host_port, split_host_port


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:8474", ("::1", 8474)),
        ("gateway.test:1", ("gateway.test", 1)),
        ("[::]:9", ("::", 9)),
    ],
)
def test_an_address_is_taken_apart_and_put_together(text: str, parts: tuple[str, int]) -> None:
    """The brackets of an IPv6 host are no part of it."""
    assert split_host_port(text) == parts
    assert join_host_port(*parts) == text


@pytest.mark.parametrize("text", ["localhost", "localhost:", "localhost:http"])
def test_an_address_without_a_port_is_refused(text: str) -> None:
    """Nobody connects to a port that was not named."""
    with pytest.raises(ValueError, match="invalid literal"):
        split_host_port(text)
