"""What pictures are drawn of: requests of other machines stand where they were on the drill's clock."""

from __future__ import annotations

from servedrill.history.events import AnyEvent, Attempt, ClockOffset, Observed, PhaseStarted, RequestRecord
from servedrill.runs.digest import Digest

S = 10**9
AHEAD = 100 * S
"""What the clock of the machine ``w`` is ahead by."""


def asked(at_ns: int, *, host: str = "") -> RequestRecord:
    """A request of a second, as its machine's clock tells it."""
    attempts = [Attempt(t_send_ns=at_ns, t_end_ns=at_ns + S, address="127.0.0.1:1", status=200)]
    return RequestRecord(
        t_ns=at_ns + S, host=host, id=f"chat-{at_ns}", cls="chat", route="chat", stream=True, model="m", prompt="a",
        prompt_tokens=1, max_tokens=4, t_int_ns=at_ns, t_send_ns=at_ns, t_first_ns=at_ns + S // 4,
        t_last_ns=at_ns + S // 2, t_end_ns=at_ns + S, deadline_s=9.0, gaps_ns=[S // 4], attempts=attempts, status=200,
        texts=["a b"],
    )  # fmt: skip


def events(*, host: str, ahead_ns: int) -> list[AnyEvent]:
    """A drill whose second request, and a measurement, are of one machine; its clock is measured at the end, too."""
    clock = [ClockOffset(t_ns=at, clock=host, offset_ns=ahead_ns, error_ns=0) for at in (S, 8 * S)] if host else []
    return [
        PhaseStarted(t_ns=S, phase="baseline"),
        *clock[:1],
        asked(2 * S),
        asked(3 * S + ahead_ns, host=host),
        Observed(t_ns=5 * S + ahead_ns, host=host, name="x", value=1),
        *clock[1:],
        PhaseStarted(t_ns=9 * S, phase="recover"),
    ]


def test_requests_of_another_machine_are_put_on_the_drills_clock() -> None:
    """Every instant of them, so that they stand in the windows and the pictures where they happened."""
    here, there = Digest(events(host="", ahead_ns=0)), Digest(events(host="w", ahead_ns=AHEAD))
    for column in ("due", "sent", "first", "end", "stalled_at"):
        assert getattr(there.requests, column) == getattr(here.requests, column), column
    assert list(there.gaps) == list(here.gaps)
    assert (there.start_ns, there.end_ns) == (here.start_ns, here.end_ns) == (S, 9 * S)


def test_what_is_not_a_request_is_put_there_once() -> None:
    """Not twice: the history of the rest does it."""
    (seen,) = Digest(events(host="w", ahead_ns=AHEAD)).rest.of(Observed)
    assert seen.t_ns == 5 * S
