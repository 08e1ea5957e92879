"""What joins ``NO_PROXY``: nothing that was there is lost, in either spelling."""

from __future__ import annotations

import os

import pytest

from servedrill.control.direct import reach_directly


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "inside.test"}, "inside.test,localhost,127.0.0.1"),
        ({"no_proxy": "inside.test,localhost"}, "inside.test,localhost,127.0.0.1"),
        ({"no_proxy": "a.test", "NO_PROXY": "b.test"}, "a.test,localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_hosts_join_those_that_are_known(monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: str) -> None:
    """The lower-case one decides where both are set, as in Python's own libraries; ``*`` is everything already."""
    monkeypatch.setattr(os, "environ", dict(before))
    for _ in range(2):
        reach_directly("localhost", "127.0.0.1")
        assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (after, after)
