"""Engines that are slow and fail nothing: out while they are, back when they are not, and never too many at once."""

from __future__ import annotations

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.outlier import SlowOutlier

ENGINES = ["a", "b", "c"]


class Watched:
    """Tokens of three engines, each at its pace, and who may be asked meanwhile."""

    def __init__(self) -> None:
        self.outlier = SlowOutlier(GatewayLimits(breaker_open_s=1.0))
        self.now = 0.0

    def run(self, seconds: float, **gaps_s: float) -> None:
        until, due = self.now + seconds, dict.fromkeys(gaps_s, self.now)
        while self.now < until:
            self.now = round(self.now + 0.01, 2)
            for name, gap_s in gaps_s.items():
                if self.now >= due[name] + gap_s:
                    self.outlier.token(name, gap_s, self.now)
                    due[name] = self.now

    def asked(self, **in_flight: int) -> list[str]:
        return self.outlier.fewer(ENGINES, in_flight, self.now)


def test_all_alike_are_asked_however_slow() -> None:
    """A pace that all have is the machine's, and no engine's."""
    watched = Watched()
    assert watched.asked() == ENGINES
    watched.run(2.0, a=0.02, b=0.03, c=0.07)
    assert watched.asked() == ENGINES
    watched.run(2.0, a=0.4, b=0.4, c=0.5)
    assert watched.asked() == ENGINES


def test_a_slow_one_is_out_as_long_as_it_is_slow() -> None:
    """Noticed after a few tokens; what it still has to answer tells that it is no better, or that it is."""
    watched = Watched()
    watched.run(1.0, a=0.02, b=0.02, c=0.02)
    watched.run(1.5, a=0.02, b=0.02, c=0.2)
    assert watched.asked(c=7) == ["a", "b"]
    watched.run(3.0, a=0.02, b=0.02, c=0.2)
    assert watched.asked(c=7) == ["a", "b"]
    watched.run(1.5, a=0.02, b=0.02, c=0.02)
    assert watched.asked(c=7) == ENGINES


def test_one_request_at_a_time_shows_whether_it_is_better() -> None:
    """Where nothing of it is left to go by, one may try; a second only when the first was answered at speed."""
    watched = Watched()
    watched.run(2.0, a=0.02, b=0.02, c=0.2)
    assert watched.asked() == ["a", "b"]
    watched.run(1.1, a=0.02, b=0.02)
    assert watched.asked() == ENGINES
    assert watched.asked(c=1) == ["a", "b"]
    watched.run(0.5, a=0.02, b=0.02, c=0.02)
    assert watched.asked(c=1) == ENGINES


def test_half_of_them_stay_whatever_they_do() -> None:
    """Better slow than not at all."""
    watched = Watched()
    watched.run(2.0, a=0.02, b=0.3, c=0.02)
    assert watched.outlier.fewer(["a", "b"], {}, watched.now) == ["a"]
    assert watched.outlier.fewer(["b"], {}, watched.now) == ["b"]


def test_a_little_slower_is_not_slow() -> None:
    """Four times as slow as the others, and no user would notice."""
    watched = Watched()
    watched.run(2.0, a=0.01, b=0.01, c=0.08)
    assert watched.asked() == ENGINES
