"""What a run leaves for people when it ends, however it ends: the page, an incident file for each drill that failed, a
summary on a CI job's page.

What cannot be written is said and never hides a verdict.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from servedrill.reporting.incident import write_incident
from servedrill.reporting.markdown import summary
from servedrill.reporting.page import FILE, DrillPage, drill_page, write_page
from servedrill.runs.stored import StoredRun, read_run

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The file, named by GitHub's runner (and others that follow it), whose Markdown is shown on a job's page."""


def leave(folder: Path, *, page: bool = True, job: bool = True) -> list[str]:
    """Write all of it, the page and the job's summary where they are wanted; lines for the terminal that say where it
    is, or why it is not."""
    said: list[str] = []

    def attempt(what: str, write: Callable[[], str | None]) -> None:
        try:
            line = write()
        except Exception as error:
            line = f"no {what}: {type(error).__name__}: {error}"
        if line:
            said.append(line)

    def everything() -> None:
        run = read_run(folder)
        pages = [drill_page(drill) for drill in run.drills]

        def report() -> str:
            write_page(run, folder / FILE, pages)
            return f"report: {folder / FILE}"

        if page:
            attempt("report", report)
        for each in pages:
            attempt("incident file", partial(_incident, run, each))
        if job and os.environ.get(STEP_SUMMARY):
            attempt("job summary", lambda: append_summary(Path(os.environ[STEP_SUMMARY]), summary(run)))

    attempt("report", everything)
    return said


def _incident(run: StoredRun, page: DrillPage) -> str | None:
    path = write_incident(run, page)
    return f"incident: {path}" if path else None


def append_summary(path: Path, text: str) -> None:
    """To a file that others write to as well; a pipe that nobody reads is not waited for. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as file:
        file.write(text)
