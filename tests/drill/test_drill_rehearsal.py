"""A drill that is only gone through: its claims are those that it would make, and nobody is reached."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx

from servedrill.checkers.answered import NoFailures, OverloadRefused
from servedrill.checkers.conservation import NothingLeft
from servedrill.checkers.streaming import StallBounded
from servedrill.checkers.validity import Unpromised
from servedrill.drill.rehearsal import Rehearsal
from servedrill.drill.traffic import burst, chat
from servedrill.history.promises import Promises, with_assumed
from tests.worlds.paper import PaperStack


class Theirs(PaperStack):
    """Somebody's, of whom little is known."""

    lacks = {"Scrapable": "they have no metrics"}  # noqa: RUF012
    promises = with_assumed(Promises(model="m", slots=4), ("model", "slots"))


def gone_through(function: Any, stack: PaperStack | None = None) -> Rehearsal:
    rehearsal = Rehearsal(stack or Theirs("theirs"), name="x")
    rehearsal.go_through(function)
    return rehearsal


def a_drill(drill: Any) -> None:
    p = drill.promises
    steady = drill.load(chat(rate=20))
    drill.baseline(3600.0)
    with drill.window("x"):
        drill.hold(3600.0)
        drill.send(burst(p.slots + p.max_n, over_s=1))
        drill.keep_open(name="open")
        assert drill.wait_until(lambda: steady.load.sent > 10**9, what="for ever", within_s=3600)
    drill.break_for(3600.0, window="broken")
    with drill.broken(window="again"):
        drill.settle()
    drill.recover(3600.0)
    drill.observe("x", 1.0)
    drill.step("x")
    drill.expect(
        NoFailures(window="x"),
        [StallBounded(window="x", stall_s_max=0.8 * p.idle_timeout_s), NothingLeft(window="x")],
        StallBounded(window="x", stall_s_max=0.1 * p.slots),
        OverloadRefused(window="x", classes=["y"]),
    )


def test_claims_are_heard_and_no_time_passes() -> None:
    """What the stack lacks is left out with its reason; a limit that is nobody's is no limit."""
    heard = gone_through(a_drill)
    assert heard.broke == ""
    kinds = [type(claim).__name__ for claim in heard.claims]
    assert kinds == ["NoFailures", "Unpromised", "StallBounded", "OverloadRefused"]
    instead = heard.claims[1]
    assert isinstance(instead, Unpromised) and instead.names == ["idle_timeout_s"] and instead.window == "x"
    assert [part.reason for part in heard.left_out] == [
        "they have no metrics",
        "others may be served by stack 'theirs' at any time",
    ]


def test_what_a_stack_takes_however_much_it_is_is_not_asked_of_it() -> None:
    """What it refuses is; where nobody knows how much is too much, that is a claim without an answer."""

    class Takes(Theirs):
        promises = with_assumed(Promises(model="m", refuses=["prompt", "output"], max_model_len=9), ("max_model_len",))

    said: dict[Any, bool] = {}

    def asks(drill: Any) -> None:
        said.update({what: drill.refuses(what) for what in ("prompt", "output", "overload")})

    heard = gone_through(asks, Takes("takes"))
    assert said == {"prompt": True, "output": False, "overload": False}
    unknown = [sorted(claim.names) for claim in heard.claims if isinstance(claim, Unpromised)]
    assert unknown == [["max_tokens_cap"]]
    assert ["takes whatever comes" in part.reason for part in heard.left_out] == [True, False]


def test_whoever_reaches_a_stack_that_others_use_is_stopped_there() -> None:
    """A drill of somebody's own may do anything in its function."""

    def connects(drill: Any) -> None:
        drill.expect(NoFailures(window="x"))
        httpx.get("http://127.0.0.1:9/")

    def kills(drill: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert "socket.connect: nothing may be touched" in gone_through(connects).broke
    assert len(gone_through(connects).claims) == 1
    assert "Touched: os.kill" in gone_through(kills).broke


def test_a_drill_that_breaks_says_so() -> None:
    def wants_two(drill: Any) -> None:
        first, second = drill.engines
        raise AssertionError(first, second)

    assert gone_through(wants_two).broke.startswith("ValueError: not enough values")
