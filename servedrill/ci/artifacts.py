"""What a night leaves, in one folder that a CI job keeps: written whatever came before, from what was noted down.

ci.json        what it came to, why, and where its runs are
junit.xml      each test once
summary.md     for people; on GitHub the job's page has it, too
outputs.env    a few figures as NAME=value, for steps that follow
report.html    the report of the run
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from servedrill.ci.annotations import annotated
from servedrill.ci.baseline import NOTHING, Compared, compare_with
from servedrill.ci.budgets import budgets_left
from servedrill.ci.gate import Budget, Outcome, gate
from servedrill.ci.junit import junit
from servedrill.ci.night import Night
from servedrill.ci.summary import night_summary
from servedrill.errors import NotInTime, ServedrillError
from servedrill.files.whole import write_whole, written_json
from servedrill.host.clock import wait_for
from servedrill.leases.ledger import LEDGER
from servedrill.leases.reader import open_leases
from servedrill.reporting.leavings import STEP_SUMMARY, append_summary, leave
from servedrill.reporting.page import FILE as PAGE
from servedrill.runs.stored import StoredRun, read_run
from servedrill.runs.verdicts import judge_what_is_left

RESULT, JUNIT, SUMMARY, OUTPUTS = "ci.json", "junit.xml", "summary.md", "outputs.env"
_HEALED_WITHIN_S = 20.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """ci.json."""

    verdict: str
    """green, red, not judged, wrong usage."""
    exit_code: int
    reasons: list[str]
    tests: dict[str, str]
    """Node id -> its word."""
    tried_twice: list[str]
    stopped_by: str
    runs: list[str]
    report: str
    budgets: list[Budget]
    compared: list[Compared]
    notes: list[str]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A night, looked at."""

    night: Night
    outcome: Outcome
    run: StoredRun | None
    budgets: list[Budget]
    compared: list[Compared]
    worse: list[str]
    """What is shown to have got worse, whether or not that gates."""
    notes: list[str]
    """What could not be done."""

    @property
    def gating(self) -> bool:
        """Whether budgets gate; the run's own summary has them anyway."""
        return self.night.asked is not None and bool(self.night.asked.slo_file)


def look_at(night: Night, *, baseline: str, worse_gates: bool) -> Told:
    """Judge what is left of a session that was killed, then hold the night against its budgets and its baseline.

    What cannot be looked at is a note, and no reason to be green or red.
    """
    notes: list[str] = []
    for folder in night.folders:
        notes += _made_whole(folder)
    run = night.run()
    budgets: list[Budget] = []
    compared: list[Compared] = []
    if run is not None and night.asked is not None:
        try:
            budgets = budgets_left(read_run(night.folders[-1]), night.asked)  # a first try has spent, too
        except (ServedrillError, OSError) as error:
            notes.append(f"error budgets: {error}")
            budgets = [Budget(slo=night.asked.slo_file or "any SLO", left=None, of="nothing")]
        try:
            compared = compare_with(run, baseline)
        except (ServedrillError, OSError) as error:
            notes.append(f"not compared: {error}")
        if baseline != NOTHING and not compared and run.drills:
            notes.append("not compared: no earlier run in which a drill of this one held")
    by_slo_file = night.asked is not None and night.asked.slo_file
    worse = [line for one in compared for line in one.worse]
    outcome = gate(night, budgets if by_slo_file else (), worse if worse_gates else ())
    return Told(night=night, outcome=outcome, run=run, budgets=budgets, compared=compared, worse=worse, notes=notes)


def _made_whole(folder: Path) -> list[str]:
    """What a pytest that was killed did not get to: its watchdog heals, then what it wrote is judged and drawn."""
    notes = []
    try:
        wait_for(lambda: not open_leases(folder / LEDGER), what="the watchdog", within_s=_HEALED_WITHIN_S, every_s=0.1)
    except NotInTime:
        notes.append(f"not everything is healed: {folder / LEDGER} says what")
    try:
        judge_what_is_left(folder)
    except ServedrillError as error:
        notes.append(str(error))
    if not (folder / PAGE).exists():
        notes += [line for line in leave(folder, job=False) if line.startswith("no ")]
    return notes


def write_artifacts(told: Told, folder: Path) -> list[str]:
    """Write all of it; lines for the terminal. Raises `UsageError` where nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    page = _page(told, folder)
    text = night_summary(
        told.night,
        told.outcome,
        told.run,
        budgets=told.budgets if told.gating else (),
        compared=told.compared,
        notes=told.notes,
        page=page,
    )
    write_whole(folder / JUNIT, junit(told.night, told.outcome, told.run))
    write_whole(folder / SUMMARY, text.encode(errors="replace"))
    write_whole(folder / RESULT, written_json(_result(told, page)))
    outputs = _outputs(told, page)
    write_whole(folder / OUTPUTS, "".join(f"DRILLS_{name}={value}\n" for name, value in outputs.items()).encode())
    if job := os.environ.get(STEP_SUMMARY):
        append_summary(Path(job), text)
    if file := os.environ.get("GITHUB_OUTPUT"):
        append_summary(Path(file), "".join(f"{name.lower()}={value}\n" for name, value in outputs.items()))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return annotated(told.night, told.outcome, told.worse)
    return []


def lines(told: Told, folder: Path) -> Sequence[str]:
    """The end of the output: what it came to, and why."""
    found = [f"servedrill ci: {told.outcome.word}"]
    for reason in told.outcome.reasons:
        name = f"{reason.test.name}: " if reason.test else ""
        found.append(f"  {name}{reason.text}")
    for again in told.night.again:
        found.append(f"  {again.after.name}: tried twice: {again.before.word}, then {again.after.word}")
    found += [f"  worse: {line}" for line in told.worse]
    found += [f"  note: {note}" for note in told.notes]
    return [*found, f"artifacts: {folder}"]


def _page(told: Told, folder: Path) -> Path | None:
    """The report of the first run, beside the rest."""
    source = next((run / PAGE for run in told.night.folders if (run / PAGE).is_file()), None)
    if source is None:
        return None
    shutil.copyfile(source, folder / PAGE)
    return folder / PAGE


def _result(told: Told, page: Path | None) -> Result:
    night, outcome = told.night, told.outcome
    return Result(
        verdict=outcome.word,
        exit_code=int(outcome.code),
        reasons=[f"{one.test.name}: {one.text}" if one.test else one.text for one in outcome.reasons],
        tests={test.nodeid: test.word for test in night.tests},
        tried_twice=[one.after.nodeid for one in night.again],
        stopped_by=night.stopped_by,
        runs=[str(path) for path in night.folders],
        report=str(page) if page else "",
        budgets=told.budgets,
        compared=told.compared,
        notes=told.notes,
    )


def _outputs(told: Told, page: Path | None) -> dict[str, str]:
    known = [one.left for one in told.budgets if one.left is not None]
    return {
        "VERDICT": told.outcome.word.replace(" ", "-"),
        "RUN": told.night.folders[0].name if told.night.folders else "",
        "REPORT": str(page) if page else "",
        "BUDGET_LEFT": f"{min(known):.6f}" if known else "",
    }
