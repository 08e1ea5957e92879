"""Traffic: request classes as drills want them, and a load that runs while other things happen.

A class that names no model asks for the one that the stack is said to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from servedrill.history.dialect import Dialect
from servedrill.history.events import CancelPlan
from servedrill.host.clock import wait_for
from servedrill.load.arrivals import Arrivals, Burst, Constant, Poisson
from servedrill.load.generator import Load, SpareWorker
from servedrill.load.lengths import Uniform
from servedrill.load.plan import CancelMix, CancelPoint, LoadPlan, RequestClass, Target
from servedrill.oracle.prompts import golden_prompt
from servedrill.stacks.protocols import Entry

PATIENCE: dict[str, Any] = {"deadline_s": 12.0, "first_token_timeout_s": 8.0, "idle_timeout_s": 4.0}
"""How long users wait: longer than the stack promises to need, so that what they see is the stack's own doing."""


SAMPLED: dict[str, Any] = {"temperature": 0.7, "seed": 7}
"""For several choices: greedy ones would all be the same, and vLLM refuses to make them."""


def chat(*, rate: float, arrivals: Arrivals | None = None, name: str = "chat", **more: Any) -> RequestClass:
    """People who chat: short prompts with a shared system prompt, streamed."""
    return RequestClass(
        **{
            "name": name,
            "model": "",
            "arrivals": arrivals or Poisson(rate=rate),
            "route": "chat",
            "prompt_words": Uniform(20, 80),
            "prefix_words": 64,
            "prefixes": 4,
            "output_tokens": Uniform(16, 40),
            "params": {"temperature": 0, "ignore_eos": True},
            **PATIENCE,
            **more,
        }
    )


def code(*, rate: float, arrivals: Arrivals | None = None, name: str = "code", **more: Any) -> RequestClass:
    """Code completion: longer prompts, short answers, half of them not streamed.

    Evenly spaced, so that every window has some.
    """
    return RequestClass(
        **{
            "name": name,
            "model": "",
            "arrivals": arrivals or Constant(rate=rate),
            "route": "completions",
            "stream": 0.5,
            "prompt_words": Uniform(150, 400),
            "output_tokens": Uniform(8, 24),
            "params": {"temperature": 0, "ignore_eos": True},
            **PATIENCE,
            **more,
        }
    )


def summary(*, rate: float, arrivals: Arrivals | None = None, name: str = "summary", **more: Any) -> RequestClass:
    """Summaries: long prompts, longer answers; evenly spaced."""
    return RequestClass(
        **{
            "name": name,
            "model": "",
            "arrivals": arrivals or Constant(rate=rate),
            "route": "chat",
            "prompt_words": Uniform(500, 900),
            "output_tokens": Uniform(40, 80),
            "params": {"temperature": 0, "ignore_eos": True},
            **PATIENCE,
            **more,
        }
    )


def burst(count: int, *, over_s: float, name: str = "burst", **more: Any) -> RequestClass:
    """Many at once."""
    return chat(rate=1, arrivals=Burst(count=count, over_s=over_s), name=name, **more)


def bad_requests(count: int, *, over_s: float, name: str = "bad", **more: Any) -> RequestClass:
    """Requests that are wrong in themselves: a temperature that no engine takes, in both stream modes."""
    wrong = {"stream": 0.5, "params": {"temperature": -1.0}, "output_tokens": 8}
    return chat(rate=1, arrivals=Burst(count=count, over_s=over_s), name=name, **{**wrong, **more})


def golden(*, rate: float, name: str = "golden", questions: int = 20, **more: Any) -> RequestClass:
    """Questions with known right answers."""
    prompts = [golden_prompt(question) for question in range(questions)]
    return chat(
        rate=rate,
        name=name,
        prompts=prompts,
        prefix_words=0,
        output_tokens=8,
        params={"temperature": 0},
        **more,
    )


def idle_sweep(*, around_s: float, count: int = 36) -> list[RequestClass]:
    """Two bursts, of which the second meets idle connections of every age around ``around_s``.

    The answers of the first end one after another.
    """
    first = burst(count, over_s=0.02, name="sweep-fill", output_tokens=Uniform(2, 40), stream=1.0)
    then = chat(
        rate=1,
        name="sweep-reuse",
        arrivals=Burst(count=count, over_s=0.02, start_s=around_s + 0.55),
        output_tokens=4,
    )
    return [first, then]


def cancel_storm(count: int, *, over_s: float) -> list[RequestClass]:
    """``count`` requests, every one of which is hung up on.

    Both routes, both stream modes, one choice and several, before and after the first token.
    """
    mix = cancels(points={"0.002": 2, "0.02": 2, "0.06": 1, "1": 1, "3": 1, "8": 1, "16": 1, "48": 1})
    classes = []
    for route in ("chat", "completions"):
        for stream in (1.0, 0.0):
            for n in (1, 3):
                params = {"temperature": 0} if n == 1 else SAMPLED
                name = f"storm-{route}-{'stream' if stream else 'whole'}-{n}"
                arrivals = Burst(count=count // 8, over_s=over_s)
                classes.append(
                    chat(
                        rate=1,
                        name=name,
                        arrivals=arrivals,
                        route=route,
                        stream=stream,
                        n=n,
                        params={"ignore_eos": True, **params},
                        output_tokens=Uniform(500, 700),
                        cancel=mix,
                    )
                )
    return classes


def cancels(*, points: dict[str, float]) -> CancelMix:
    """Where clients hang up, by weight.

    After a number of tokens (``8``), or of seconds (``0.02``: still queued, or in prefill).
    """
    plans = {
        at: CancelPlan(at="tokens", tokens=int(at)) if at.isdigit() else CancelPlan(at="after_s", after_s=float(at))
        for at in points
    }
    return CancelMix(points=[CancelPoint(plan=plans[at], weight=weight) for at, weight in points.items()])


def at_pace(cls: RequestClass, pace: float) -> RequestClass:
    """The class in slow motion: as many requests over ``pace`` times as long, from people ``pace`` times as patient."""
    if pace == 1:
        return cls
    patience = {
        name: value * pace
        for name in ("deadline_s", "first_token_timeout_s", "idle_timeout_s")
        if (value := getattr(cls, name)) is not None
    }
    return msgspec.structs.replace(cls, arrivals=cls.arrivals.slower(pace), **patience)


def as_asked(classes: Iterable[RequestClass], *, model: str, dialect: Dialect, max_n: int) -> tuple[RequestClass, ...]:
    """Classes as the stack can be asked: by a route that it has, without what it refuses, of ``model`` where they name
    none.

    What is there to ask for more than ``max_n`` choices is left out where the stack knows no choices.
    """
    asked = []
    for cls in classes:
        several = dialect.several(stream=cls.stream > 0)
        if not several and (cls.n if isinstance(cls.n, int) else min(cls.n)) > max_n:
            continue
        refused = {name: None for name in dialect.without if (cls.params.get(name) or 0) >= 0}  # -1: wrong on purpose
        asked.append(
            msgspec.structs.replace(
                cls,
                model=cls.model or model,
                route=cls.route if cls.route in dialect.routes else dialect.routes[0],
                params=cls.params | refused,
                n=cls.n if several else 1,
            )
        )
    return tuple(asked)


class Traffic:
    """A load of some classes; runs from `start` to `stop`."""

    def __init__(
        self,
        entry: Entry,
        classes: list[RequestClass],
        *,
        seed: int,
        history: Path,
        spare: SpareWorker,
        nonce: str,
        on_tick: Callable[[], None],
        pace: float = 1.0,
        dialect: Dialect,
        trace: str = "",
    ) -> None:
        target = Target(base_url=entry.base_url, resolver=entry.resolver, api_key_env=entry.api_key_env, trace=trace)
        plan = LoadPlan(classes=classes, seed=seed, target=target, dialect=dialect, nonce=nonce)
        self.load = Load(plan, history, spare=spare)
        self.running = False
        self._spare, self._on_tick, self._pace = spare, on_tick, pace

    def start(self) -> None:
        """Returns when the schedule has begun. Raises `UsageError` for a plan that cannot be carried out."""
        self.load.start()
        self.running = True

    def stop(self, *, drain_s: float = 12.0) -> None:
        """No new requests; wait for those under way."""
        if self.running:
            self.running = False
            self.load.stop(drain_s=drain_s)

    def wait(self, *, within_s: float) -> None:
        """Wait for a plan that ends by itself; the worker of the next load comes up meanwhile.

        Raises `NotInTime` after ``within_s`` at the stack's pace.
        """
        within_s *= self._pace
        self._spare.prepare()

        def done() -> bool:
            self._on_tick()
            return self.load.status().finished

        wait_for(
            done,
            what=f"{', '.join(cls.name for cls in self.load.plan.classes)} to be done",
            within_s=within_s,
            every_s=0.05,
        )
        self.load.wait_done(within_s=within_s)
        self.running = False

    def close(self) -> None:
        """End it at once, whatever is under way."""
        self.running = False
        self.load.close()
