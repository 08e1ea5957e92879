"""From a plan to its requests: a pure function of the seed, generated as far as it is needed.

What a request asks for depends on the seed, its class and its index alone, so several workers share a plan without
talking to each other, and an open-ended plan has the same beginning as a bounded one.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from servedrill.history.events import CancelPlan
from servedrill.load.arrivals import Trace, Users
from servedrill.load.lengths import draw
from servedrill.load.plan import LoadPlan, RequestClass
from servedrill.oracle.prompts import expand, words_prompt
from servedrill.oracle.tokens import mix

_DIGEST_REQUESTS = 10_000
"""How many requests of each class enter a schedule's digest."""


class PlannedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request before it is sent."""

    offset_s: float
    """Seconds from the start of the run; for a user's request, when that user begins."""
    cls: str
    index: int
    id: str
    prompt: str
    """In its short form."""
    prompt_tokens: int
    max_tokens: int | None
    n: int
    stream: bool
    params: dict[str, Any]
    cancel: CancelPlan | None = None
    """For ``queued`` and ``prefill``, ``after_s`` is the delay that was drawn."""


class ClassSchedule:
    """The requests of one class."""

    def __init__(self, plan: LoadPlan, cls: RequestClass) -> None:
        self.cls = cls
        self.until_s = plan.duration_s
        self._base = _digest64(f"{plan.seed}\x1f{cls.name}")
        self._params = {"temperature": 0, **cls.params}
        self._rng = random.Random()

    def open(self, *, share: int = 0, shares: int = 1) -> Iterator[PlannedRequest]:
        """The requests that wait for no answer, in order of time; for one of several workers, every ``shares``-th."""
        arrivals = self.cls.arrivals
        if isinstance(arrivals, Users):
            return
        if isinstance(arrivals, Trace) and arrivals.lengths:
            for index, row in enumerate(arrivals.rows()):
                if self._is_over(row.offset_s):
                    return
                if index % shares == share:
                    yield self._request(index, row.offset_s, words=row.prompt_words, tokens=row.output_tokens)
            return
        for index, offset_s in enumerate(arrivals.offsets(random.Random(mix(self._base ^ 0xA221)))):
            if self._is_over(offset_s):
                return
            if index % shares == share:
                yield self._request(index, offset_s)

    def of_user(self, user: int, turn: int) -> PlannedRequest | None:
        """What a user asks in a turn; None when the class's count is used up."""
        arrivals = self.cls.arrivals
        assert isinstance(arrivals, Users)
        index = turn * arrivals.users + user
        if arrivals.count is not None and index >= arrivals.count:
            return None
        return self._request(index, arrivals.start_s)

    def _is_over(self, offset_s: float) -> bool:
        return self.until_s is not None and offset_s >= self.until_s

    def _request(
        self, index: int, offset_s: float, *, words: int | None = None, tokens: int | None = None
    ) -> PlannedRequest:
        cls, rng = self.cls, self._rng
        rng.seed(mix(self._base + index))
        # One draw for each thing, always in the same order: adding a cancel mix to a class leaves its prompts alone.
        own_seed, prefix = rng.getrandbits(31), rng.randrange(cls.prefixes)
        own_words = draw(cls.prompt_words, rng) if words is None else max(1, words - cls.prefix_words)
        if tokens is None and cls.output_tokens is not None:
            tokens = draw(cls.output_tokens, rng)
        stream, choices = rng.random() < cls.stream, cls.n if isinstance(cls.n, int) else rng.choice(cls.n)
        if cls.prompts:
            prompt = cls.prompts[index % len(cls.prompts)]
            count = len(expand(prompt).split())
        else:
            prefix_seed = mix(self._base ^ prefix) % 1_000_000 if cls.prefix_words else 0
            prompt = words_prompt(
                seed=own_seed, words=own_words, prefix_seed=prefix_seed, prefix_words=cls.prefix_words
            )
            count = cls.prefix_words + own_words
        return PlannedRequest(
            offset_s=offset_s,
            cls=cls.name,
            index=index,
            id=f"{cls.name}-{index:06d}",
            prompt=prompt,
            prompt_tokens=count + 2 if cls.route == "chat" else count,
            max_tokens=tokens,
            n=choices,
            stream=stream,
            params=self._params,
            cancel=_cancel(cls, rng),
        )


def requests(plan: LoadPlan, *, share: int = 0, shares: int = 1) -> Iterator[PlannedRequest]:
    """All open-loop requests of a plan in order of time; endless when the plan is."""
    streams = [ClassSchedule(plan, cls).open(share=share, shares=shares) for cls in plan.classes]
    return heapq.merge(*streams, key=lambda request: (request.offset_s, request.cls, request.index))


def schedule_digest(plan: LoadPlan) -> str:
    """A sha256 of what the seed made of the plan, 10,000 requests a class: equal digests, equal requests."""
    digest = hashlib.sha256()
    for cls in plan.classes:
        schedule = ClassSchedule(plan, cls)
        digest.update(msgspec.json.encode([cls.name, cls.route, cls.model]))
        planned: Iterator[PlannedRequest] = schedule.open()
        if isinstance(cls.arrivals, Users):
            digest.update(msgspec.json.encode(cls.arrivals))
            turns = (schedule.of_user(i % cls.arrivals.users, i // cls.arrivals.users) for i in range(_DIGEST_REQUESTS))
            planned = (request for request in turns if request is not None)
        for request in islice(planned, _DIGEST_REQUESTS):
            digest.update(msgspec.json.encode(request))
    return digest.hexdigest()


def _cancel(cls: RequestClass, rng: random.Random) -> CancelPlan | None:
    if cls.cancel is None or rng.random() >= cls.cancel.probability:
        return None
    points = cls.cancel.points
    plan = rng.choices(points, [point.weight for point in points])[0].plan
    if plan.at == "queued":
        return CancelPlan(at="queued", after_s=rng.uniform(0.0, 0.005))
    if plan.at == "prefill":
        return CancelPlan(at="prefill", after_s=rng.uniform(0.005, 0.05))
    return plan


def _digest64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
