"""The incident file of a drill that failed: what somebody who was not there needs in order to go on."""

from __future__ import annotations

from pathlib import Path

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.judging.words import duration, mttr, seconds
from servedrill.reporting.markdown import code, finding_lines, plain
from servedrill.reporting.page import FILE as PAGE
from servedrill.reporting.page import DrillPage
from servedrill.runs.stored import StoredRun
from servedrill.stacks.file import StackFile, read_stack_file

FILE = "incident.md"
_REQUESTS_MAX = 8
_STEPS_MAX = 60


def incident(run: StoredRun, page: DrillPage) -> str:
    """The file's content."""
    drill, verdict = page.drill, page.verdict
    file = _stack_file(run)
    lines = [
        f"# {plain(drill.name)} failed",
        "",
        f"- When: {plain(page.started.wall_time if page.started else run.about.began) or 'unknown'}, for "
        f"{duration(page.seconds)}",
        f"- Stack: {plain(page.started.stack if page.started else 'unknown')}"
        + (f", {file.environment}" if file else "")
        + (f", started with {', '.join(code(defect) for defect in verdict.defects)}" if verdict.defects else ""),
        f"- Run: {code(run.folder)}",
        f"- Owner: {_contact(file, 'owner')}",
        f"- Escalation: {_contact(file, 'escalation')}",
        "",
        "## What was tried",
        "",
        plain(verdict.hypothesis, 1000),
        "",
    ]
    for fault in page.faults:
        until = "to the end, never healed" if fault.end is None else f"to {fault.end:.1f} s"
        effect = plain("; ".join(fault.evidence)) or "no evidence of an effect"
        lines.append(f"- {fault.letter}: {plain(fault.label)}, from {fault.start:.1f} s {until}: {effect}")
    if not page.faults:
        lines.append("Nothing was broken.")
    lines += ["", "## What was expected, and what was seen", ""]
    for finding in verdict.of(Answer.FAIL):
        lines += finding_lines(finding)
    doubts = verdict.of(Answer.INCONCLUSIVE)
    if doubts:
        lines += ["", "Could not be judged:", ""]
        for finding in doubts:
            lines += finding_lines(finding)
    lines += [
        "",
        f"Detected after {seconds(verdict.detect_s)}, failed over after {seconds(verdict.failover_s)}, "
        f"recovered after {seconds(verdict.recover_s)}; mean time to restore {mttr(verdict)}.",
        "",
        "## What users saw",
        "",
        f"{page.failed:,} of {page.requests:,} requests failed.",
        "",
    ]
    for cls in page.attainment.classes:
        everything = cls.windows[-1]
        kept = f"{everything.good} of {everything.asked} good" if everything.asked else "none that counts"
        promise = f", promised {plain(cls.promise)}" if cls.promise else ""
        lines.append(
            f"- {plain(cls.name)}: {kept}{promise}; first token p50 {duration(cls.ttft_s['p50'])}, p95 "
            f"{duration(cls.ttft_s['p95'])}; "
            f"longest stall {duration(cls.stall_s)}; {cls.failed} failed"
        )
    if page.stories:
        lines += ["", "Requests to look at:", ""]
        for story in page.stories[:_REQUESTS_MAX]:
            facts = "; ".join(f"{plain(row.label)}: {plain(row.detail, 120)}" for row in story.rows[:4])
            lines.append(f"- {code(story.id)} ({plain(story.why)}), due at {story.due_s:.2f} s. {facts}")
    lines += ["", "## What happened", ""]
    lines += [f"- {mark.at:7.2f} s  {plain(mark.label, 160)}" for mark in page.marks[:_STEPS_MAX]]
    if len(page.marks) > _STEPS_MAX:
        lines.append(f"- … {len(page.marks) - _STEPS_MAX} more in the report")
    lines += [
        "",
        "## Evidence",
        "",
        f"- {code(run.folder / PAGE)}: plots and timelines",
        f"- {code(drill.history)}: everything that was written down",
        *(f"- {code(log)}" for log in sorted((drill.folder / "logs").glob("*.log")) if log.stat().st_size),
        "",
        "## Again",
        "",
        "```sh",
        f"{' '.join(drill.replay.split()).replace('```', '') or '# the command was not written down'}    "
        "# the same schedule",
        f"servedrill judge {drill.folder}    # the same history, with this version's checks",
        "```",
    ]
    return "\n".join(lines) + "\n"


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
