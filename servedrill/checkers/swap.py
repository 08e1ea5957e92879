"""Model swaps: a bad candidate goes back by itself, a good one takes over, and nobody reads two models in one
answer."""

from __future__ import annotations

from collections import Counter

from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import Finding
from servedrill.history.history import History


class RolloutEnded(Checker, frozen=True, kw_only=True):
    """The rollout ended as it should: bad candidates are rolled back, good ones promoted, by the stack itself."""

    of_a_fault = True
    candidate: str
    state: str
    reason_names: str = ""
    """A word that the reason has to contain, so that it is refused for what is wrong with it."""

    def __call__(self, history: History) -> Finding:
        seen = history.observed(f"rollout/{self.candidate}")
        if seen is None:
            return self.cannot_say(f"no rollout of {self.candidate} was observed")
        state, reason = seen.detail.get("state", ""), seen.detail.get("reason", "")
        right = state == self.state and self.reason_names in reason
        return self.says(
            right,
            f"{self.candidate}: {state} after {seen.value or 0.0:.1f} s, {reason or 'no objection'}",
            threshold=self.state,
            evidence=[self.candidate],
            took_s=seen.value or 0.0,
        )


class VersionsServed(Checker, frozen=True, kw_only=True):
    """Every answer comes from a version that may serve at that time."""

    window: str
    versions: list[str]
    adapter: str = ""
    """The adapter revision that has to answer, upon one of the versions."""
    classes: list[str] | None = None
    requests_min: int = 10

    def __call__(self, history: History) -> Finding:
        allowed = {f"{version}+{self.adapter}" if self.adapter else version for version in self.versions}
        requests = history.requests(self.window, classes=self.classes)
        answered = requests.keep(r.fingerprints for r in requests)
        if len(answered) < self.requests_min:
            return self.cannot_say(f"{len(answered)} answers in {self.window!r}, at least {self.requests_min} needed")
        counts = Counter(version for r in answered for version in r.fingerprints)
        other = answered.keep(not allowed.issuperset(r.fingerprints) for r in answered)
        return self.says(
            not other,
            ", ".join(f"{count} x {version}" for version, count in counts.items()),
            threshold=" or ".join(sorted(allowed)),
            evidence=other,
        )


class CanaryShareBounded(Checker, frozen=True, kw_only=True):
    """A candidate under trial is seen by few.

    Its share is taken from its first answer to its last: over a whole rollout, with its load and its checks, even all
    of the traffic is little.
    """

    of_a_fault = True
    window: str
    candidate: str
    share_max: float
    seen: bool
    """Whether it has to be seen at all: one that fails before any traffic must not be."""

    def __call__(self, history: History) -> Finding:
        requests = history.requests(self.window)
        answered = requests.keep(r.fingerprints for r in requests)
        mine = answered.keep(self.candidate in r.fingerprints for r in answered)
        if len(answered) < 20:
            return self.cannot_say(f"{len(answered)} answers in {self.window!r}, at least 20 needed")
        if mine:
            answered = answered.due(min(mine.column("t_int_ns")), max(mine.column("t_int_ns")))
        share = len(mine) / len(answered)
        right = share <= self.share_max and (bool(mine) or not self.seen)
        return self.says(
            right,
            f"{len(mine)} of {len(answered)} answers ({share:.0%})" + (" while it was tried" if mine else ""),
            threshold=f"{'some, ' if self.seen else ''}<= {self.share_max:.0%}",
            evidence=mine if not right else [],
            share=share,
        )


class ProbeSaid(Checker, frozen=True, kw_only=True):
    """A probe that the drill made found what it should."""

    of_a_fault = True
    name: str
    at_least: float | None = None
    at_most: float | None = None
    what: str

    @property
    def claim(self) -> str:
        """What the drill says of the measurement."""
        return self.what

    def __call__(self, history: History) -> Finding:
        seen = history.observed(self.name)
        if seen is None or seen.value is None:
            return self.cannot_say(f"{self.name!r} was not measured")
        right = (self.at_least is None or seen.value >= self.at_least) and (
            self.at_most is None or seen.value <= self.at_most
        )
        limits = " and ".join(
            f"{sign} {limit:g}" for sign, limit in ((">=", self.at_least), ("<=", self.at_most)) if limit is not None
        )
        detail = ", ".join(f"{key} {value}" for key, value in seen.detail.items())
        return self.says(
            right,
            f"{seen.value:g} {seen.unit}{f' ({detail})' if detail else ''}",
            threshold=limits,
            evidence=[self.name],
            value=seen.value,
        )
