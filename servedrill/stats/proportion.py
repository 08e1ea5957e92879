"""What a count of failures says of the rate behind it: exact one-sided bounds of a binomial (Clopper and Pearson 1934).

No failure in 59 trials leaves at most 5% failing, 95% sure; it takes 299 for 1% and 2,995 for 0.1%.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95
_STEPS = 60
"""Halvings of an interval: beyond what a float can tell."""


def at_most(bad: int, of: int, *, confidence: float = CONFIDENCE) -> float:
    """The largest rate of failures under which so few of so many would be seen with a chance of 1 - ``confidence``.

    1 of no trial at all. Raises `ValueError` for more failures than trials.
    """
    if not 0 <= bad <= of:
        raise ValueError(f"{bad} of {of}")
    if bad == of:
        return 1.0
    if bad == 0:
        return -math.expm1(math.log1p(-confidence) / of)
    low, high = bad / of, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if seen_at_most(bad, of, middle) > 1.0 - confidence else (low, middle)
    return high


def needed(rate: float, *, confidence: float = CONFIDENCE) -> int:
    """Trials without a failure that leave at most ``rate`` failing; ``rate`` above 0, below 1."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-rate))


def seen_at_most(bad: int, of: int, rate: float) -> float:
    """The chance of ``bad`` failures or fewer in so many trials: the regularized incomplete beta function at 1 - rate,
    by its continued fraction (Lentz 1976; DLMF 8.17.22)."""
    return _incomplete_beta(of - bad, bad + 1.0, 1.0 - rate)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast below this point
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny, c, d = 1e-300, 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * value / a
