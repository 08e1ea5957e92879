"""Planted bugs for the checkers of `servedrill.checkers.streaming`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, answered, cancelled, changed, cut, fault, history, many, silent

from servedrill.checkers import streaming as c
from servedrill.history.events import RequestRecord


def at_once(t: float, *, tokens: int = 20, token_s: float = 0.02, parse_s: float = 0.00003) -> RequestRecord:
    """A hop collected it: the first content comes when the last was made."""
    return answered(t, tokens=tokens, ttft_s=0.1 + token_s * tokens, gap_s=parse_s)


def one_event(t: float, *, tokens: int) -> RequestRecord:
    """The whole text in one event."""
    record = at_once(t, tokens=tokens)
    return changed(record, t_last_ns=record.t_first_ns, gaps_ns=[])  # type: ignore[no-any-return]


def given_up(t: float, *, after_s: float) -> RequestRecord:
    """A stream that stood still until its client had enough."""
    record = cut(t, "idle_timeout")
    last_ns = (record.t_first_ns or 0) + sum(record.gaps_ns)
    return changed(record, t_last_ns=last_ns, t_end_ns=last_ns + round(after_s * 1e9))  # type: ignore[no-any-return]


def ended_late(t: float, *, after_s: float, **how: object) -> RequestRecord:
    """All content came in time, and then nothing until its end."""
    record = answered(t, **how)  # type: ignore[arg-type]
    return changed(record, t_end_ns=record.t_last_ns + round(after_s * 1e9))  # type: ignore[no-any-return]


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
    Plant(
        checker=c.StallBounded(window="inject", stall_s_max=1.0),
        clean={
            "steady": history(*PHASES, *many(5, 4, 8)),
            "slow-but-steady": history(*PHASES, *many(5, 4, 8, gap_s=0.9)),
            "of-a-fault-before": history(
                *PHASES, *fault(start=1, end=3), *many(5, 4, 8), ended_late(2.5, tokens=40, gap_s=0.05, after_s=1.5)
            ),
            "of-the-next-fault": history(
                *PHASES, *many(5, 4, 8), *fault(start=8.2, end=10), ended_late(7.5, tokens=30, after_s=1.5)
            ),
            "hung-up-in-time": history(*PHASES, *many(5, 4, 8), cancelled(5, after_s=2.0)),
        },
        bugs={
            "one-stood-still": history(*PHASES, *many(5, 4, 8), answered(5, gap_s=1.5)),
            "stood-still-until-given-up": history(*PHASES, *many(5, 4, 8), given_up(5, after_s=4)),
            "its-end-never-came": history(*PHASES, *many(5, 4, 8), ended_late(5, after_s=1.5)),
            "being-answered-when-it-began": history(
                *PHASES, *fault(start=3.9), *many(5, 4, 8), given_up(3.8, after_s=3)
            ),
            "before-the-next-fault,-in-the-middle": history(
                *PHASES, *many(5, 4, 8), *fault(start=8.2, end=10), answered(4.5, tokens=4, gap_s=1.5)
            ),
            "until-long-after-the-next-fault": history(
                *PHASES, *many(5, 4, 8), *fault(start=8.2, end=10), given_up(6, after_s=5)
            ),
        },
        too_little={
            "not-streamed": history(*PHASES, *many(5, 4, 8, stream=False)),
            "nothing-came": history(*PHASES, silent(5)),
        },
    ),
]
