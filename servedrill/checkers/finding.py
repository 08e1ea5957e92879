"""What a checker says: one of three answers, the claim, what was seen, the limit, and where to look."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from servedrill.history.events import finite
from servedrill.secrecy.known import text

EVIDENCE_MAX = 8
SAMPLE, FAILING_AT_MOST = "sample", "failing_at_most"
"""Figures of a claim about a share: trials that it stands on, and the largest share of failures that they leave
possible."""


class Answer(StrEnum):
    """PASS needs proof; without it a claim is INCONCLUSIVE, which is not green."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One checker's answer; its texts have a length, whatever that of the names is that a stack gives itself."""

    checker: str
    answer: Answer
    claim: str
    observed: str
    threshold: str = ""
    window: str = ""
    evidence: list[str] = []
    """Request ids, or names of replicas; the first `EVIDENCE_MAX`."""
    figures: dict[str, float] = {}
    declared: str = ""
    """Why a refutation is not held against the stack: its file declares that weakness."""
    timing: bool = False
    """Depends on when things happened, so a load generator that was late takes its word away."""

    @property
    def leaves(self) -> str:
        """``at most 4.9% failing, 95% sure``, by its sample; empty of a claim that is about no share."""
        share = self.figures.get(FAILING_AT_MOST)
        return f"at most {share * 100:.2g}% failing, 95% sure" if share is not None else ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "figures", finite(self.figures))
        for field in ("claim", "observed", "threshold"):
            msgspec.structs.force_setattr(self, field, text(getattr(self, field)))
