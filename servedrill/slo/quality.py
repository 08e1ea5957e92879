"""How well a model answers, where an engine gives log-probabilities: drift against a reference, and calibration.

Pure functions. A drill that asks golden prompts writes what comes out down with
``drill.observe("logprob_drift_nats", ...)`` and ``drill.observe("calibration_error", ...)``, and an SLO of the measure
``observed`` judges it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BINS = 10


def logprob_drift_nats(reference: Sequence[float], now: Sequence[float]) -> float:
    """Mean absolute difference of the log-probabilities of the same tokens, in nats a token; NaN of nothing.

    The same tokens: answers that part ways are cut where they do, and an exact match is another SLI's business.
    """
    pairs = list(zip(reference, now, strict=True))
    return math.fsum(abs(before - after) for before, after in pairs) / len(pairs) if pairs else math.nan


def calibration_error(answers: Sequence[tuple[float, bool]], *, bins: int = BINS) -> float:
    """Expected calibration error: how far confidence (0 to 1) is from the share of right answers.

    Over ``bins`` of confidence, weighted by their size.
    """
    if not answers:
        return math.nan
    found: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in answers:
        found.setdefault(min(bins - 1, int(confidence * bins)), []).append((confidence, right))
    return math.fsum(
        abs(math.fsum(confidence for confidence, _ in inside) - sum(right for _, right in inside))
        for inside in found.values()
    ) / len(answers)
