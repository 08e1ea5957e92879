"""Planted bugs for the checker of `servedrill.checkers.streaming`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, answered, changed, cut, fault, history, many

from servedrill.checkers import streaming as c
from servedrill.history.events import RequestRecord


def at_once(t: float, *, tokens: int = 20, token_s: float = 0.02, parse_s: float = 0.00003) -> RequestRecord:
    """A hop collected it: the first content comes when the last was made."""
    return answered(t, tokens=tokens, ttft_s=0.1 + token_s * tokens, gap_s=parse_s)


def one_event(t: float, *, tokens: int) -> RequestRecord:
    """The whole text in one event."""
    record = at_once(t, tokens=tokens)
    return changed(record, t_last_ns=record.t_first_ns, gaps_ns=[])  # type: ignore[no-any-return]


def of_lengths(build: object = at_once, *, count: int = 12) -> Events:
    """Of 16 to 40 tokens, as people's chats have them."""
    return [build(index / 4, tokens=16 + index * 7 % 25) for index in range(count)]  # type: ignore[operator]


GOOD = many(12, 0, 3, tokens=20)
PLANTS = [
    Plant(
        checker=c.StreamsStream(window="baseline"),
        clean={
            "token-by-token": history(*PHASES, *GOOD),
            "several-tokens-a-piece": history(
                *PHASES, *(changed(r, gaps_ns=r.gaps_ns[:1]) for r in many(12, 0, 3, tokens=20))
            ),
            "a-few-at-once": history(*PHASES, *GOOD, *of_lengths(count=3)),
            "short-ones-at-once": history(*PHASES, *GOOD, *(at_once(i / 8, tokens=4) for i in range(24))),
            "nobody-waited": history(*PHASES, *many(12, 0, 3, tokens=20, ttft_s=0.004, gap_s=0.0001)),
            "slow-to-begin,-then-fast": history(*PHASES, *many(12, 0, 3, tokens=20, ttft_s=0.9, gap_s=0.001)),
            "cut-by-a-later-fault": history(
                *PHASES, *fault(), *(cut(3 + i / 10, kept=12, tokens=40, gap_s=0.05) for i in range(8))
            ),
            "collected-by-a-later-fault": history(
                *PHASES, *fault(), *GOOD, *(at_once(3.8, tokens=40) for _ in range(24))
            ),
        },
        bugs={
            "all-at-once": history(*PHASES, *of_lengths()),
            "in-one-event": history(*PHASES, *of_lengths(one_event)),
            "by-one-gateway-in-two": history(*PHASES, *GOOD, *of_lengths()),
            "as-few-as-tell": history(*PHASES, *of_lengths(count=5)),
        },
        too_little={
            "short-answers": history(*PHASES, *many(12, 0, 3, tokens=7)),
            "not-streamed": history(*PHASES, *many(12, 0, 3, tokens=20, stream=False)),
            "few": history(*PHASES, *of_lengths(count=4)),
            "all-of-one-length": history(*PHASES, *many(12, 0, 3, at_once)),
            "an-engine-as-fast-as-that": history(
                *PHASES,
                *(at_once(i / 4, tokens=16 + i * 7 % 25, token_s=0) for i in range(6)),
                *(answered(i / 4, tokens=16 + i * 5 % 25, ttft_s=0.3 - i / 50, gap_s=0.0001) for i in range(6)),
            ),
        },
    ),
]
