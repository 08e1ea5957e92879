"""When requests start: one small struct for each way of arriving.

Arrivals say nothing about when a run stops waiting, and never look at answers (only `Users` does, which says so). Each
yields increasing offsets in seconds from the start of the run, as a pure function of the ``random.Random`` given.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import msgspec

from servedrill.errors import UsageError


class _Bounds(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every kind of arrivals has: where it starts and what ends it."""

    start_s: float = 0.0
    stop_s: float | None = None
    """Offset from the start of the run after which nothing arrives any more."""
    count: int | None = None

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise `UsageError` when the values describe nothing that could arrive."""
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            self._refuse(f"start_s is {self.start_s}", "0 or more seconds")
        if self.stop_s is not None and not self.stop_s > self.start_s:
            self._refuse(f"stops at {self.stop_s} s but starts at {self.start_s} s", "stop_s after start_s")
        if self.count is not None and self.count < 1:
            self._refuse(f"count is {self.count}", "1 or more requests")

    def offsets(self, rng: random.Random) -> Iterator[float]:
        """Seconds from the start of the run, in order, within the bounds."""
        for number, time_s in enumerate(self._times(rng)):
            offset_s = self.start_s + time_s
            if self.stop_s is not None and offset_s >= self.stop_s:
                return
            if self.count is not None and number >= self.count:
                return
            yield offset_s

    @property
    def bounded(self) -> bool:
        """Whether these arrivals come to an end by themselves."""
        return self.count is not None or self.stop_s is not None

    def _times(self, rng: random.Random) -> Iterator[float]:
        raise NotImplementedError

    def _refuse(self, what: str, expected: str) -> None:
        raise UsageError(what, where=f"arrivals {type(self).__name__}", expected=expected)

    def _need_rate(self, rate: float, name: str = "rate") -> None:
        if not (math.isfinite(rate) and rate > 0):
            self._refuse(f"{name} is {rate}", f"a {name} above 0 requests a second")


class Constant(_Bounds, frozen=True, tag="constant"):
    """Evenly spaced: ``rate`` requests a second."""

    rate: float

    def check(self) -> None:
        _Bounds.check(self)
        self._need_rate(self.rate)

    def _times(self, rng: random.Random) -> Iterator[float]:
        number = 0
        while True:
            yield number / self.rate
            number += 1


class Poisson(_Bounds, frozen=True, tag="poisson"):
    """Independent arrivals, ``rate`` a second on average: many users who know nothing of each other."""

    rate: float

    def check(self) -> None:
        _Bounds.check(self)
        self._need_rate(self.rate)

    def _times(self, rng: random.Random) -> Iterator[float]:
        time_s = 0.0
        while True:
            time_s += rng.expovariate(self.rate)
            yield time_s


class Gamma(_Bounds, frozen=True, tag="gamma"):
    """Gaps from a gamma distribution: ``cv`` 1 is Poisson, more comes in clumps (code assistants: 13)."""

    rate: float
    cv: float

    def check(self) -> None:
        _Bounds.check(self)
        self._need_rate(self.rate)
        if not (math.isfinite(self.cv) and self.cv > 0):
            self._refuse(f"cv is {self.cv}", "a coefficient of variation above 0")

    def _times(self, rng: random.Random) -> Iterator[float]:
        shape = 1.0 / (self.cv * self.cv)
        scale_s = 1.0 / (self.rate * shape)
        time_s = 0.0
        while True:
            time_s += rng.gammavariate(shape, scale_s)
            yield time_s


class Burst(_Bounds, frozen=True, tag="burst"):
    """``count`` requests spread evenly over ``over_s`` seconds; all at one instant when that is 0.

    A worker opens some 15,000 connections a second, so a hundred requests at one instant are 5 to 10 ms apart in truth,
    and the send lag says so; give larger bursts a little time, or several workers.
    """

    count: int
    over_s: float = 0.0

    def check(self) -> None:
        _Bounds.check(self)
        if not (math.isfinite(self.over_s) and self.over_s >= 0):
            self._refuse(f"over_s is {self.over_s}", "0 or more seconds")

    @property
    def bounded(self) -> bool:
        return True

    def _times(self, rng: random.Random) -> Iterator[float]:
        for number in range(self.count):
            yield self.over_s * number / self.count


class Ramp(_Bounds, frozen=True, tag="ramp"):
    """Poisson arrivals whose rate goes from ``from_rate`` to ``to_rate`` over ``over_s`` seconds and then stays."""

    from_rate: float
    to_rate: float
    over_s: float

    def check(self) -> None:
        _Bounds.check(self)
        for name, rate in (("from_rate", self.from_rate), ("to_rate", self.to_rate)):
            if not (math.isfinite(rate) and rate >= 0):
                self._refuse(f"{name} is {rate}", "0 or more requests a second")
        if self.from_rate == self.to_rate == 0:
            self._refuse("both rates are 0", "at least one rate above 0")
        if not (math.isfinite(self.over_s) and self.over_s > 0):
            self._refuse(f"over_s is {self.over_s}", "more than 0 seconds")

    def _times(self, rng: random.Random) -> Iterator[float]:
        # The k-th arrival is where the integral of the rate reaches the k-th arrival of a unit Poisson process.
        slope = (self.to_rate - self.from_rate) / self.over_s
        by_the_end = (self.from_rate + self.to_rate) / 2 * self.over_s
        reached = 0.0
        while True:
            reached += rng.expovariate(1.0)
            if reached < by_the_end:
                root = math.sqrt(max(0.0, self.from_rate * self.from_rate + 2 * slope * reached))
                yield 2 * reached / (self.from_rate + root)
            elif self.to_rate > 0:
                yield self.over_s + (reached - by_the_end) / self.to_rate
            else:
                return


class TraceRow(msgspec.Struct, frozen=True):
    """One request of a recorded trace."""

    offset_s: float
    prompt_words: int
    output_tokens: int


class Trace(_Bounds, frozen=True, tag="trace"):
    """Replay of a recorded trace, lengths included: a CSV file of ``TIMESTAMP,ContextTokens,GeneratedTokens``."""

    path: str
    time_scale: float = 1.0
    """Above 1 stretches time (fewer requests a second), below 1 squeezes it."""
    length_scale: float = 1.0

    def check(self) -> None:
        _Bounds.check(self)
        for name, scale in (("time_scale", self.time_scale), ("length_scale", self.length_scale)):
            if not (math.isfinite(scale) and scale > 0):
                self._refuse(f"{name} is {scale}", "a scale above 0")
        if next(self._read(), None) is None:
            self._refuse(f"{self.path} has no requests", "one request a line below the header")

    @property
    def bounded(self) -> bool:
        return True

    def rows(self) -> Iterator[TraceRow]:
        """The trace, scaled and within the bounds."""
        for number, row in enumerate(self._read()):
            offset_s = self.start_s + row.offset_s
            if (self.stop_s is not None and offset_s >= self.stop_s) or (
                self.count is not None and number >= self.count
            ):
                return
            yield TraceRow(offset_s, row.prompt_words, row.output_tokens)

    def _times(self, rng: random.Random) -> Iterator[float]:
        for row in self._read():
            yield row.offset_s

    def _read(self) -> Iterator[TraceRow]:
        try:
            file = Path(self.path).open(newline="", encoding="utf-8")  # noqa: SIM115  # closed below
        except OSError as error:
            raise UsageError(
                f"cannot be read: {error.strerror}", where=self.path, expected="a trace as a CSV file"
            ) from error
        with file:
            first: datetime | None = None
            last_s = 0.0
            for row in csv.DictReader(file):
                try:
                    at = datetime.fromisoformat(row["TIMESTAMP"])
                    words, tokens = int(row["ContextTokens"]), int(row["GeneratedTokens"])
                except (KeyError, TypeError, ValueError) as error:
                    raise UsageError(
                        f"cannot be read as a request: {error!r}",
                        where=self.path,
                        expected="the columns TIMESTAMP,ContextTokens,GeneratedTokens",
                    ) from error
                first = first or at
                # Rows of one service may be logged slightly out of order; arrivals only ever go forward.
                last_s = max(last_s, (at - first).total_seconds() * self.time_scale)
                yield TraceRow(
                    last_s, max(1, round(words * self.length_scale)), max(1, round(tokens * self.length_scale))
                )


class Users(_Bounds, frozen=True, tag="users"):
    """Closed loop: ``users`` who each wait for the answer and think for ``think_s`` before they ask again.

    The load falls when the stack gets slow, which hides overload: for steady background, not for measuring latency.
    ``count`` bounds all requests of all users together.
    """

    users: int
    think_s: float = 0.0

    def check(self) -> None:
        _Bounds.check(self)
        if self.users < 1:
            self._refuse(f"users is {self.users}", "1 or more")
        if not (math.isfinite(self.think_s) and self.think_s >= 0):
            self._refuse(f"think_s is {self.think_s}", "0 or more seconds")

    def _times(self, rng: random.Random) -> Iterator[float]:
        raise TypeError("users ask when they have their answer, not at offsets that are known beforehand")


Arrivals: TypeAlias = Constant | Poisson | Gamma | Burst | Ramp | Trace | Users
