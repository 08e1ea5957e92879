"""Planted bugs for the checkers of `servedrill.checkers.fairness`."""

from __future__ import annotations

from made_up import PHASES, Events, Plant, answered, changed, history, many, refused, tried

from servedrill.checkers import fairness as c


def waited(order: list[int], *, hop: str = "engine-0", cls: str = "chat", stream: bool = True) -> Events:
    """Requests that come 0.2 s apart, and the places in the order of their answers, 0.2 s apart from 6 s on."""
    found: Events = []
    for number, place in enumerate(order):
        came = 4 + number / 10
        took_s = 6 + place / 10 - came
        request = answered(came, cls=cls, stream=stream, ttft_s=took_s)
        assert request.attempts[0].request_id is not None
        found += [request, tried(request.attempts[0].request_id, hop, came, took_s=took_s)]
    return found


IN_TURN = list(range(12))
SERVED = many(10, 4, 5, cls="metered", prompt_tokens=94, tokens=6)
TURNED_AWAY = many(10, 5, 6, refused, status=429, cls="metered", prompt_tokens=94, tokens=6)


def paid(count: int) -> Events:
    """So many answers of 100 tokens each."""
    return many(count, 4, 5, cls="metered", prompt_tokens=94, tokens=6)


PLANTS = [
    Plant(
        checker=c.OldestFirst(window="inject", classes=["chat"]),
        clean={
            "in-turn": history(*PHASES, *waited(IN_TURN)),
            "at-two-engines": history(*PHASES, *waited(IN_TURN), *waited(IN_TURN[::-1][:1], hop="engine-1")),
            "another-kind-is-quicker": history(*PHASES, *waited(IN_TURN), *waited([0, 1, 2], cls="code")),
            "neighbours-change-places": history(*PHASES, *waited([1, 0, *IN_TURN[2:]])),
        },
        bugs={
            "newest-first": history(*PHASES, *waited(IN_TURN[::-1])),
            "one-is-always-last": history(*PHASES, *waited([11, *range(11)])),
        },
        too_little={
            "few": history(*PHASES, *waited([0, 1, 2])),
            "none-at-the-same-time": history(*PHASES, *many(30, 4, 8)),
            "not-streamed": history(*PHASES, *waited(IN_TURN, stream=False)),
            "another-window": history(*PHASES, *many(5, 0, 2)),
        },
    ),
    Plant(
        checker=c.QuotaKept(window="inject", classes=["metered"], tokens_per_minute=1000),
        clean={
            "all-of-it": history(*PHASES, *SERVED, *TURNED_AWAY),
            "what-flowed-in-meanwhile": history(*PHASES, *paid(11), *TURNED_AWAY),
            "charged-by-an-estimate": history(*PHASES, *paid(7), *TURNED_AWAY),
            "others-are-not-counted": history(*PHASES, *SERVED, *TURNED_AWAY, *many(30, 4, 8)),
        },
        bugs={
            "more": history(*PHASES, *paid(20), *TURNED_AWAY),
            "nobody-refused": history(*PHASES, *paid(20)),
            "paid-for-nothing": history(*PHASES, *paid(3), *TURNED_AWAY),
        },
        too_little={
            "too-little-asked-for": history(*PHASES, *paid(5), *TURNED_AWAY[:3]),
            "none-was-refused": history(*PHASES, *paid(10)),
            "none-asked": history(*PHASES),
            "answers-without-counts": history(*PHASES, *(changed(r, prompt_tokens=None) for r in SERVED)),
        },
    ),
]
