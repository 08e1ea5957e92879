"""Two stored runs compared, with the noise that the baseline's own folder knows of."""

from __future__ import annotations

import contextlib

from servedrill.errors import UsageError
from servedrill.runs.compare import CONFIDENCE, DrillComparison, compare
from servedrill.runs.index import Index, open_index
from servedrill.runs.measured import Measured, measure
from servedrill.runs.stored import StoredRun


def compare_runs(before: StoredRun, after: StoredRun, *, confidence: float = CONFIDENCE) -> list[DrillComparison]:
    """Every drill that both have. Raises `UsageError` when there is none."""
    old = {drill.name: drill for drill in before.drills}
    both = [drill for drill in after.drills if drill.name in old]
    if not both:
        raise UsageError(
            f"no drill in common with {before.folder.name}",
            where=str(after.folder),
            expected=f"one of {', '.join(old) or 'none'}",
        )
    with contextlib.ExitStack() as stack:
        index: Index | None = None
        with contextlib.suppress(UsageError):
            index = stack.enter_context(open_index(before.folder.parent))
        without = {before.folder.resolve(), after.folder.resolve()}

        def siblings(name: str) -> list[Measured]:
            return index.siblings(before, name, without=without) if index is not None else []

        return [
            compare(
                drill.name,
                (old[drill.name].verdict.answer, measure(old[drill.name])),
                (drill.verdict.answer, measure(drill)),
                siblings(drill.name),
                confidence=confidence,
            )
            for drill in both
        ]
