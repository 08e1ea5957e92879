"""What a stack can promise, found out with a small load that is bounded: by count, by time, and by what it refuses.

In turn: one user alone; bursts that double until something is refused; two bursts that fill it, to see how alike they
are; the steady traffic of drills; and requests that are too large by one. All of it is sent as a drill sends it and
written into a history, from which the figures come. A stack is held to more time than it took: see `SLACK`.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import msgspec

from servedrill.checkers.capacity import steady_rate
from servedrill.drill.context import Drill
from servedrill.drill.progress import Progress
from servedrill.drill.traffic import burst, chat, code
from servedrill.errors import StackError
from servedrill.history.requests import Requests
from servedrill.leases.guard import Guard
from servedrill.load.arrivals import Constant, Users
from servedrill.session.notebook import BUDGET_S, NO_TIME, PATIENT, Figure, Notebook, rounded_up
from servedrill.session.sizes import Sizes
from servedrill.session.stack import guarded_stack
from servedrill.stacks.file import StackFile
from servedrill.stats.figures import stalls_s, tpots_s, ttfts_service_s
from servedrill.stats.knee import answered_at_once, taken_at_once
from servedrill.stats.percentiles import percentile

SLACK = 3.0
"""Times what was measured: a stack that is well is not to fail by what it did in one quiet minute."""
BURSTS = (8, 64, 128, 256)
"""Of these as many as there is time for: after the first two the largest that fits."""
PACE_MAX = 10.0
_RATE_PER_S = 1040.0
"""Tokens that the busiest of the shipped drills asks for in a second, at pace 1."""
_KEPT_S = {"steady": 14.0, "caps": 12.0}
"""Of the time, for what comes after the bursts."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, in the order in which a stack file says it."""

    figures: list[Figure]
    ttft_s: float
    """What users may be promised for their first token, with `SLACK`."""
    tpot_s: float
    """The same of each token after it."""
    load: str
    """How much was sent, and how long it took."""
    unknown: dict[str, str]
    """Promise -> why it could not be found out."""


def measure(file: StackFile, folder: Path, progress: Progress, *, budget_s: float = BUDGET_S) -> Measured:
    """Bring the stack up as for a drill, measure it, take it down; the history stays in ``folder``.

    Raises `StackError` for a stack that does not come up, or does not answer one user in time.
    """
    with (
        contextlib.closing(Guard(folder)) as guard,
        guarded_stack(file, folder, guard, defects=[], seed=1) as stack,
    ):
        drill = Drill(
            stack,
            name="measure",
            hypothesis="What the stack can promise.",
            seed=1,
            control=True,
            defects=[],
            folder=folder,
            guard=guard,
            progress=progress,
        )
        try:
            return _Measuring(drill, file.path or stack.entry().base_url, budget_s).all()
        finally:
            drill.end(interrupted=None)


def _spread(rate: float, seconds: float) -> Constant:
    """Three requests at least."""
    return Constant(rate=rate, stop_s=max(seconds, 2.5 / rate))


class _Measuring:
    """The steps, and what was found by the ones before."""

    def __init__(self, drill: Drill, where: str, budget_s: float) -> None:
        self.notes = Notebook(drill, where, budget_s=budget_s)

    def all(self) -> Measured:
        alone = self._alone()
        self._at_once(alone)
        rate, token_s = self._full()
        ttft_s, tpot_s = self._steady(alone, rate, token_s)
        Sizes(self.notes).find()
        self.notes.note("refuses", self.notes.refuses, "what is not there was taken however much it was")
        requests = self.notes.requests(cancelled=True)
        return Measured(
            figures=self.notes.figures,
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            load=f"{len(requests)} requests in {self.notes.took_s:.0f} s",
            unknown=self.notes.unknown,
        )

    # ---- the steps

    def _alone(self) -> float:
        """Seconds to the first token of somebody who is alone."""
        one = chat(rate=1, arrivals=Users(users=1, count=5), output_tokens=32, stream=1.0, **PATIENT, name="alone")
        short, long = (
            burst(
                3,
                over_s=0.1,
                name=f"words-{words}",
                prompt_words=words,
                output_tokens=4,
                stream=0,
                prefix_words=0,
                **PATIENT,
            )
            for words in (40, 160)
        )
        self.notes.send(one, within_s=25)
        whole = self.notes.requests("alone").whole
        if not whole:
            failed = self.notes.requests("alone").failed
            raise StackError(
                f"none of {len(failed)} users was answered: {next(iter(failed.failures()), '')}",
                where=self.notes.where,
                expected="an answer of 32 tokens to one user who is alone",
                hint="ask by hand (curl -N), and read the server's log",
            )
        self.notes.send(short, long, within_s=15)
        self._tokens_per_word()
        return percentile(ttfts_service_s(whole), 50)

    def _tokens_per_word(self) -> None:
        told = []
        for words in (40, 160):
            counts = [one.usage_prompt_tokens for one in self.notes.requests(f"words-{words}").whole]
            told.append(max((count for count in counts if count), default=0))
        if not all(told):
            self.notes.unknown["max_model_len"] = "answers do not tell how many tokens a prompt has"
            return
        ratio = (told[1] - told[0]) / 120
        self.notes.note(
            "tokens_per_word", round(max(ratio, 0.01), 3), f"prompts of 40 and 160 words took {told[0]} and {told[1]}"
        )

    def _at_once(self, alone_s: float) -> None:
        """How many are served at once, and from how many on requests are refused."""
        took_s, most, last = 0.0, 0, 0
        while (count := self._next(last, took_s)) != 0:
            began = time.monotonic()
            crowd = burst(count, over_s=0.05, name=f"at-{count}", output_tokens=48, stream=1.0, **PATIENT)
            self.notes.send(crowd, within_s=40)
            took_s, last = time.monotonic() - began, count
            asked = self.notes.requests(f"at-{count}")
            most = max(most, answered_at_once(asked))
            if refused := len(asked.where("status", test=(429, 503).__contains__)):
                self._overload(asked, count, refused)
                break
            if asked.failed:
                self._overload_unknown(f"{len(asked.failed)} of {count} at once failed, and were not refused")
                break
        else:
            if last == BURSTS[-1]:
                self.notes.unknown["overload_ttft_s"] = f"none of {last} at once was refused"
            else:
                self._overload_unknown(f"{last} at once were all taken; for more {NO_TIME}")
        atleast = "" if most < 0.9 * last else "at least: "
        told = f"{atleast}the most answers given at once, of up to {last} asked for"
        self.notes.note("slots", max(1, most), told)

    def _next(self, last: int, took_s: float) -> int:
        """How many to ask for at once: the largest that there is time for, and no more than eight times as many; 0:
        none."""
        spare_s = self.notes.left_s - sum(_KEPT_S.values()) - 2.0 * took_s
        fits = [one for one in BURSTS if one > last and (not last or 1.1 * took_s * one / last <= spare_s)]
        return max((one for one in fits if one <= 8 * max(last, 1)), default=0)

    def _overload_unknown(self, why: str) -> None:
        """Nobody has seen that it takes whatever comes: a claim about it has no answer, and is not left out."""
        self.notes.refuses.append("overload")
        self.notes.unknown["overload_ttft_s"] = why

    def _overload(self, asked: Requests, count: int, refused: int) -> None:
        admits = taken_at_once(asked)
        worst_s = percentile(ttfts_service_s(asked.whole), 99) if asked.whole else 0.0
        self.notes.refuses.append("overload")
        self.notes.note(
            "gateway_admits",
            max(1, math.ceil(admits * 1.1)),
            f"{admits} of {count} at once were taken, {refused} refused",
        )
        if not self.notes.drill.gateways and len(self.notes.drill.engines) == 1:
            self.notes.note(
                "engine_admits", max(1, math.ceil(admits * 1.1)), "the same: nothing stands before the engine"
            )
        self.notes.note(
            "overload_ttft_s",
            rounded_up(worst_s * SLACK),
            f"first tokens of those that were taken: p99 {worst_s:.2f} s",
        )

    def _full(self) -> tuple[float, float]:
        """Tokens a second and seconds a token of a full load; how alike two of them are is what it can promise."""
        slots = self.notes.value("slots")
        count = min(slots + slots // 2, 384)
        rates = []
        for name in ("full-1", "full-2"):
            self.notes.send(
                burst(count, over_s=0.05, name=name, output_tokens=32, prompt_words=40, stream=1.0, **PATIENT),
                within_s=40,
            )
            whole = self.notes.requests(name).whole
            rates.append(steady_rate(whole) if len(whole) >= 10 else math.nan)
        token_s = percentile((one or 0.0 for one in tpots_s(self.notes.requests("full-2").whole.streams)), 50)
        if not all(map(math.isfinite, rates)):
            self.notes.unknown["capacity_ratio_min"] = "too few answers of a full load came whole"
            return 100.0, token_s
        alike = min(rates) / max(rates)
        what = f"two full loads of {count} gave {rates[0]:.0f} and {rates[1]:.0f} tokens/s"
        self.notes.note("capacity_ratio_min", round(max(0.5, min(0.9, alike - 0.15)), 2), what)
        return max(rates), token_s

    def _steady(self, alone_s: float, rate: float, token_s: float) -> tuple[float, float]:
        """First tokens and tokens of the steady traffic that drills have, slower until the stack bears it."""
        lives_s = 0.015 + 0.6 * alone_s + 8.4 * token_s
        pace = max(1.0, _RATE_PER_S / (0.5 * rate), 336 * lives_s / (1.5 * self.notes.value("slots")))
        seen: Requests | None = None
        for attempt in (1, 2):
            pace = min(PACE_MAX, math.ceil(pace * 2) / 2)
            began = time.monotonic()
            long_s = min(5.0, max(3.0, self.notes.left_s - _KEPT_S["caps"]) / 2)
            names = [f"steady-{kind}-{attempt}" for kind in ("chat", "code")]
            with self.notes.drill.window(f"steady {attempt}"):
                self.notes.send(
                    chat(rate=20 / pace, name=names[0], arrivals=_spread(20 / pace, long_s), stream=0.8, **PATIENT),
                    code(rate=8 / pace, name=names[1], arrivals=_spread(8 / pace, long_s), **PATIENT),
                    within_s=40,
                )
            seen = self.notes.requests(*names)
            fine = not seen.failed and percentile(ttfts_service_s(seen.whole.streams), 95) < 10 * alone_s + 0.3
            if fine or self.notes.left_s - _KEPT_S["caps"] < (time.monotonic() - began):
                break
            pace *= 2
        assert seen is not None
        first_s = max(ttfts_service_s(seen.whole.streams), default=alone_s)
        stall_s = max(stalls_s(seen.whole), default=0.0)
        each_s = percentile((one or 0.0 for one in tpots_s(seen.whole.streams)), 99) if seen.whole.streams else token_s
        self.notes.note(
            "pace", pace, f"{rate:.0f} tokens/s at a full load; drills ask for up to {_RATE_PER_S:.0f} at pace 1"
        )
        self.notes.note(
            "first_token_timeout_s",
            rounded_up(max(0.5, SLACK * first_s)),
            f"slowest first token of {len(seen)}: {first_s:.2f} s",
        )
        self.notes.note(
            "idle_timeout_s",
            rounded_up(max(1.0, SLACK * stall_s)),
            f"longest silence within an answer: {stall_s:.2f} s",
        )
        return rounded_up(max(0.1, SLACK * first_s)), rounded_up(max(0.01, SLACK * each_s))
