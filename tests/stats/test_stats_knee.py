"""How much is served at once, counted from what clients saw."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servedrill.history.events import RequestRecord
from servedrill.history.requests import Requests
from servedrill.stats.knee import answered_at_once, taken_at_once

TENTH_NS = 100_000_000


def asked(spans: list[tuple[int, int, int]]) -> Requests:
    """Requests: sent, first token, end, in tenths of a second."""
    return Requests.of(
        RequestRecord(
            t_ns=end * TENTH_NS, id=str(number), cls="x", route="chat", stream=True, model="m", prompt="p",
            prompt_tokens=1, max_tokens=4, t_int_ns=sent * TENTH_NS, t_send_ns=sent * TENTH_NS,
            t_first_ns=first * TENTH_NS, t_last_ns=end * TENTH_NS, t_end_ns=end * TENTH_NS, deadline_s=60.0,
        )
        for number, (sent, first, end) in enumerate(spans)
    )  # fmt: skip


def test_waves_of_a_stack_with_two_slots() -> None:
    """The third gets its first token when the first has ended."""
    seen = asked([(0, 5, 9), (0, 1, 5), (0, 6, 9), (0, 1, 6)])
    assert answered_at_once(seen) == 2
    assert taken_at_once(seen) == 4


def test_none_is_none() -> None:
    assert answered_at_once(Requests.of([])) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_it_is_the_most_at_any_instant(raw: list[tuple[int, int, int]]) -> None:
    """As looking at every instant would have it."""
    spans = [(sent, sent + first, sent + first + more) for sent, first, more in raw]
    told = [sum(first <= at < end for _, first, end in spans) for at in range(40)]
    assert answered_at_once(asked(spans)) == max(told)
