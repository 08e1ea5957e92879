"""What a run leaves in its folder for people, written when it ends, however it ends.

A report that cannot be written is said and never hides a verdict.
"""

from __future__ import annotations

from pathlib import Path

from servedrill.reporting.page import FILE, write_page
from servedrill.reporting.runs import read_run


def leave(folder: Path, *, page: bool = True) -> list[str]:
    """Write what belongs into a run's folder; lines for the terminal that say where it is, or why it is not."""
    try:
        run = read_run(folder)
        if not page:
            return []
        write_page(run, folder / FILE)
        return [f"report: {folder / FILE}"]
    except Exception as error:
        return [f"no report: {type(error).__name__}: {error}"]
