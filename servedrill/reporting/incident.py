"""The incident file of a drill that failed: what somebody who was not there needs in order to go on."""

from __future__ import annotations

from pathlib import Path

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.judging.words import duration, mttr, seconds
from servedrill.reporting.markdown import code, finding_lines, plain
from servedrill.reporting.page import FILE as PAGE
from servedrill.reporting.page import DrillPage
from servedrill.reporting.shown import shown
from servedrill.runs.stored import StoredRun
from servedrill.stacks.file import StackFile
from servedrill.stacks.reading import read_stack_file

FILE = "incident.md"
_REQUESTS_MAX = 8
_STEPS_MAX = 60


def incident(run: StoredRun, page: DrillPage) -> str:
    """The file's content."""
    parts = [
        _head(run, page),
        _tried(page),
        _expected_and_seen(page),
        _users(page),
        _happened(page),
        _evidence(run, page),
    ]
    return shown("\n".join(line for part in [*parts, _again(page)] for line in part) + "\n")


def _head(run: StoredRun, page: DrillPage) -> list[str]:
    verdict, started, file = page.verdict, page.started, _stack_file(run)
    began = plain(started.wall_time if started else run.about.began) or "unknown"
    defects = ", ".join(code(defect) for defect in verdict.defects)
    return [
        f"# {plain(page.drill.name)} failed",
        "",
        f"- When: {began}, for {duration(page.seconds)}",
        f"- Stack: {plain(started.stack if started else 'unknown')}"
        + (f", {file.environment}" if file else "")
        + (f", started with {defects}" if defects else ""),
        f"- Run: {code(run.folder)}",
        f"- Owner: {_contact(file, 'owner')}",
        f"- Escalation: {_contact(file, 'escalation')}",
        "",
    ]


def _tried(page: DrillPage) -> list[str]:
    lines = ["## What was tried", "", plain(page.verdict.hypothesis, 1000), ""]
    for fault in page.faults:
        until = "to the end, never healed" if fault.end is None else f"to {fault.end:.1f} s"
        effect = plain("; ".join(fault.evidence)) or "no evidence of an effect"
        lines.append(f"- {fault.letter}: {plain(fault.label)}, from {fault.start:.1f} s {until}: {effect}")
    return [*lines, *([] if page.faults else ["Nothing was broken."]), ""]


def _expected_and_seen(page: DrillPage) -> list[str]:
    verdict = page.verdict
    lines = ["## What was expected, and what was seen", ""]
    for finding in verdict.of(Answer.FAIL):
        lines += finding_lines(finding, page.software)
    if doubts := verdict.of(Answer.INCONCLUSIVE):
        lines += ["", "Could not be judged:", ""]
        for finding in doubts:
            lines += finding_lines(finding, page.software)
    return [
        *lines,
        "",
        f"Detected after {seconds(verdict.detect_s)}, failed over after {seconds(verdict.failover_s)}, "
        f"recovered after {seconds(verdict.recover_s)}; mean time to restore {mttr(verdict)}.",
        "",
    ]


def _users(page: DrillPage) -> list[str]:
    lines = ["## What users saw", "", f"{page.failed:,} of {page.requests:,} requests failed.", ""]
    for cls in page.attainment.classes:
        everything = cls.windows[-1]
        kept = f"{everything.good} of {everything.asked} good" if everything.asked else "none that counts"
        promise = f", promised {plain(cls.promise)}" if cls.promise else ""
        first = f"first token p50 {duration(cls.ttft_s['p50'])}, p95 {duration(cls.ttft_s['p95'])}"
        worst = f"longest stall {duration(cls.stall_s)}; {cls.failed} failed"
        lines.append(f"- {plain(cls.name)}: {kept}{promise}; {first}; {worst}")
    if page.stories:
        lines += ["", "Requests to look at:", ""]
    for story in page.stories[:_REQUESTS_MAX]:
        facts = "; ".join(f"{plain(row.label)}: {plain(row.detail, 120)}" for row in story.rows[:4])
        lines.append(f"- {code(story.id)} ({plain(story.why)}), due at {story.due_s:.2f} s. {facts}")
    return [*lines, ""]


def _happened(page: DrillPage) -> list[str]:
    lines = ["## What happened", ""]
    lines += [f"- {mark.at:7.2f} s  {plain(mark.label, 160)}" for mark in page.marks[:_STEPS_MAX]]
    if len(page.marks) > _STEPS_MAX:
        lines.append(f"- … {len(page.marks) - _STEPS_MAX} more in the report")
    return [*lines, ""]


def _evidence(run: StoredRun, page: DrillPage) -> list[str]:
    logs = sorted((page.drill.folder / "logs").glob("*.log"))
    return [
        "## Evidence",
        "",
        f"- {code(run.folder / PAGE)}: plots and timelines",
        f"- {code(page.drill.history)}: everything that was written down",
        *(f"- {code(log)}" for log in logs if log.stat().st_size),
        "",
    ]


def _again(page: DrillPage) -> list[str]:
    replay = " ".join(page.drill.replay.split()).replace("```", "") or "# the command was not written down"
    return [
        "## Again",
        "",
        "```sh",
        f"{replay}    # the same schedule",
        f"servedrill judge {page.drill.folder}    # the same history, with this version's checks",
        "```",
    ]


def write_incident(run: StoredRun, page: DrillPage) -> Path | None:
    """Write it into the drill's folder when the drill failed."""
    if page.verdict.answer is not Answer.FAIL:
        return None
    path = page.drill.folder / FILE
    path.write_text(incident(run, page), encoding="utf-8", errors="replace")
    return path


def _stack_file(run: StoredRun) -> StackFile | None:
    """The stack file that the run was given, where it can still be read."""
    if not run.about.options.stack_file:
        return None
    try:
        return read_stack_file(Path(run.about.options.stack_file))
    except UsageError:
        return None


def _contact(file: StackFile | None, what: str) -> str:
    given = getattr(file, what, "") if file is not None else ""
    return plain(given) if given else f'not stated (`{what} = "..."` in the stack file)'
