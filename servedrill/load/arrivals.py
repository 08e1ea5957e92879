"""When requests start: one small struct for each way of arriving.

Arrivals say nothing about when a run stops waiting, and never look at answers (only `Users` does, which says so). Each
yields increasing offsets in seconds from the start of the run, as a pure function of the ``random.Random`` given.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Self, TypeAlias

import msgspec

from servedrill.errors import UsageError
from servedrill.load.recording import TraceRow, laps, read_recording


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

    def slower(self, factor: float) -> Self:
        """As many arrivals over ``factor`` times as long; when they begin stays."""
        slower = self._slower(factor)
        if self.stop_s is not None:
            slower["stop_s"] = self.start_s + (self.stop_s - self.start_s) * factor
        return msgspec.structs.replace(self, **slower)

    def _slower(self, factor: float) -> dict[str, float]:
        """The fields that change when time goes ``factor`` times slower."""
        raise NotImplementedError

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

    def _slower(self, factor: float) -> dict[str, float]:
        return {"rate": self.rate / factor}

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

    def _slower(self, factor: float) -> dict[str, float]:
        return {"rate": self.rate / factor}

    def _times(self, rng: random.Random) -> Iterator[float]:
        time_s = 0.0
        while True:
            time_s += rng.expovariate(self.rate)
            yield time_s


class Gamma(_Bounds, frozen=True, tag="gamma"):
    """Gaps from a gamma distribution: ``cv`` 1 is Poisson, more comes in clumps.

    Far above 1 (from 3 on, say) the clumps are requests of one instant, which no traffic has: see `Interrupted`.
    """

    rate: float
    cv: float

    def check(self) -> None:
        _Bounds.check(self)
        self._need_rate(self.rate)
        if not (math.isfinite(self.cv) and self.cv > 0):
            self._refuse(f"cv is {self.cv}", "a coefficient of variation above 0")

    def _slower(self, factor: float) -> dict[str, float]:
        return {"rate": self.rate / factor}

    def _times(self, rng: random.Random) -> Iterator[float]:
        shape = 1.0 / (self.cv * self.cv)
        scale_s = 1.0 / (self.rate * shape)
        time_s = 0.0
        while True:
            time_s += rng.gammavariate(shape, scale_s)
            yield time_s


class Interrupted(_Bounds, frozen=True, tag="interrupted"):
    """An interrupted Poisson process: spells of Poisson arrivals with silences between them, ``rate`` a second overall.

    ``cv`` is the coefficient of variation of the gaps, ``silent`` the share of the time that lies between two spells.
    It is drawn as the renewal process equal to it (Kuczura, Bell System Technical Journal 52(3), 1973): each gap is
    exponential with one of two means.
    """

    rate: float
    cv: float
    silent: float

    def check(self) -> None:
        _Bounds.check(self)
        self._need_rate(self.rate)
        if not (math.isfinite(self.cv) and self.cv > 1):
            self._refuse(f"cv is {self.cv}", "a coefficient of variation above 1")
        if not 0 < self.silent < 1:
            self._refuse(f"silent is {self.silent}", "a share of the time between 0 and 1")

    @property
    def gaps(self) -> tuple[float, float, float]:
        """The share of gaps that are silences, the mean gap within a spell and the mean gap between spells, in seconds.

        From the mean and the second moment of the gaps, and from the share of the time that is silent.
        """
        half_moment = (1 + self.cv * self.cv) / 2  # of the gaps, in units of their mean
        b = half_moment - 1 + 2 * self.silent
        share = 2 * self.silent * self.silent / (b + math.sqrt(b * b - 4 * half_moment * self.silent * self.silent))
        return share, (1 - self.silent) / (1 - share) / self.rate, self.silent / share / self.rate

    def _slower(self, factor: float) -> dict[str, float]:
        return {"rate": self.rate / factor}

    def _times(self, rng: random.Random) -> Iterator[float]:
        share, spell_s, silence_s = self.gaps
        time_s = 0.0
        while True:
            time_s += rng.expovariate(1 / (silence_s if rng.random() < share else spell_s))
            yield time_s


class Burst(_Bounds, frozen=True, tag="burst"):
    """``count`` requests spread evenly over ``over_s`` seconds; all at one instant when that is 0.

    A worker opens some 15,000 connections a second, so a hundred requests at one instant really take 5 to 10 ms; the
    send lag shows it. Give larger bursts a little time, or several workers.
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

    def _slower(self, factor: float) -> dict[str, float]:
        return {"over_s": self.over_s * factor}

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

    def _slower(self, factor: float) -> dict[str, float]:
        return {
            "from_rate": self.from_rate / factor,
            "to_rate": self.to_rate / factor,
            "over_s": self.over_s * factor,
        }

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


class Trace(_Bounds, frozen=True, tag="trace"):
    """Replay of a recorded trace, lengths included: a CSV file, see `servedrill.load.recording`."""

    path: str
    time_scale: float = 1.0
    """Above 1 stretches time (fewer requests a second), below 1 squeezes it."""
    prompt_scale: float = 1.0
    output_scale: float = 1.0
    prompt_words_max: int | None = None
    """Prompts that are longer after scaling are cut; with ``output_tokens_max`` what a model's context can hold."""
    output_tokens_max: int | None = None
    lengths: bool = True
    """False: the recording says when requests come, the class how long they are."""
    skip: int = 0
    """Requests of the recording that are passed over; the next one comes at once."""
    repeat: bool = False
    """Begin again after the last request, without an end."""

    def check(self) -> None:
        _Bounds.check(self)
        for name in ("time_scale", "prompt_scale", "output_scale"):
            scale = getattr(self, name)
            if not (math.isfinite(scale) and scale > 0):
                self._refuse(f"{name} is {scale}", "a scale above 0")
        for name in ("prompt_words_max", "output_tokens_max"):
            longest = getattr(self, name)
            if longest is not None and longest < 1:
                self._refuse(f"{name} is {longest}", "1 or more")
        recording = read_recording(self.path)
        if not 0 <= self.skip < len(recording.rows):
            self._refuse(f"skip is {self.skip}", f"0 to {len(recording.rows) - 1}: {self.path} has no more requests")
        if self.repeat and not recording.rate:
            self._refuse(f"{self.path} is over as it begins", "a recording that lasts, to repeat it")

    @property
    def bounded(self) -> bool:
        return not self.repeat or self.count is not None or self.stop_s is not None

    def rows(self) -> Iterator[TraceRow]:
        """The trace, scaled and within the bounds."""
        for offset_s, (_, row) in zip(self.offsets(random.Random()), self._laps(), strict=False):
            yield TraceRow(
                offset_s,
                _scaled(row.prompt_words, self.prompt_scale, self.prompt_words_max),
                _scaled(row.output_tokens, self.output_scale, self.output_tokens_max),
            )

    def _slower(self, factor: float) -> dict[str, float]:
        return {"time_scale": self.time_scale * factor}

    def _times(self, rng: random.Random) -> Iterator[float]:
        for time_s, _ in self._laps():
            yield time_s * self.time_scale

    def _laps(self) -> Iterator[tuple[float, TraceRow]]:
        return laps(read_recording(self.path), skip=self.skip, repeat=self.repeat)


def _scaled(length: int, scale: float, longest: int | None) -> int:
    scaled = max(1, round(length * scale))
    return scaled if longest is None else min(scaled, longest)


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

    def _slower(self, factor: float) -> dict[str, float]:
        return {"think_s": self.think_s * factor}

    def _times(self, rng: random.Random) -> Iterator[float]:
        raise TypeError("users ask when they have their answer, not at offsets that are known beforehand")


Arrivals: TypeAlias = Constant | Poisson | Gamma | Interrupted | Burst | Ramp | Trace | Users
