"""A run in Markdown: for a CI job's page, a merge request, a chat."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Sequence

from servedrill.checkers.finding import Answer, Finding
from servedrill.judging.quarantine import Entry, outcome, quarantined
from servedrill.judging.words import count, decisive, headline, share, times
from servedrill.reporting.advice import remedy_of, software_of
from servedrill.reporting.budgets import RunBudget, run_budgets
from servedrill.reporting.shown import shown
from servedrill.runs.stored import StoredDrill, StoredRun
from servedrill.secrecy.looks import masked_text
from servedrill.slo.durations import short
from servedrill.slo.words import percent

SIGNS = {Answer.PASS: "✅ PASS", Answer.FAIL: "❌ FAIL", Answer.INCONCLUSIVE: "⚠️ INCONCLUSIVE"}
_LONGEST = 400
_SPECIAL = re.compile(r"([\\`*_\[\]|~]|^[#+=-]|:(?=//)|(?<=www)\.)")
_NUMBERED = re.compile(r"^(\d+)([.)])")


def plain(text: object, longest: int = _LONGEST) -> str:
    """Text that a stack or a file gave, so that it shows as it is: no markup, no links, no mention of anyone, one
    line."""
    words = masked_text(" ".join(str(text).split()))
    if len(words) > longest:
        words = words[:longest] + " …"
    words = _SPECIAL.sub(r"\\\1", html.escape(words, quote=False)).replace("@", "@<!-- -->")
    return _NUMBERED.sub(r"\1\\\2", words)


def code(text: object) -> str:
    """The same as code; backticks in it cannot end it."""
    words = masked_text(" ".join(str(text).split()))[:_LONGEST]
    fence = "`" * (max((len(run) for run in re.findall("`+", words)), default=0) + 1)
    space = " " if "`" in words else ""
    return f"{fence}{space}{words}{space}{fence}"


def summary(run: StoredRun) -> str:
    """Headline, table, and what was not proven."""
    about = run.about
    lines = [f"## servedrill: {headline(run.answers)}", ""]
    if about.options.control:
        lines += ["**Control**: everything ran but the faults.", ""]
    if about.options.defects:
        lines += [f"Started with {', '.join(code(defect) for defect in about.options.defects)}.", ""]
    if run.drills:
        lines += ["| drill | verdict | what decided | detect / fail over / recover / MTTR |", "|---|---|---|---|"]
        lines += [_row(drill, about.quarantine) for drill in run.drills]
        held = quarantined([drill.verdict for drill in run.drills], about.quarantine)
        lines += ["", *(f"- {plain(line)}" for line in held)] if held else []
    lines += _budgets(run_budgets(run))
    for drill in run.drills:
        doubts = [*drill.verdict.of(Answer.FAIL), *drill.verdict.of(Answer.INCONCLUSIVE)]
        if doubts:
            lines += [
                "",
                f"<details><summary>{html.escape(drill.name)}: {count(len(doubts), 'claim')} not proven</summary>",
                "",
            ]
            software = software_of(drill.verdict, drill.stack())
            for finding in doubts:
                lines += finding_lines(finding, software)
            lines += ["", "</details>"]
        for finding in drill.verdict.weaknesses:
            lines += [
                "",
                f"- {plain(drill.name)}, declared weakness: {plain(finding.declared)} Seen: {plain(finding.observed)}",
            ]
        for skipped in drill.verdict.skipped:
            lines += ["", f"- {plain(drill.name)}, left out: {plain(skipped.part)} {plain(skipped.reason)}"]
    lines += _conformance(run)
    lines += ["", f"Seed {about.seed}, run {code(run.folder.name)}."]
    replays = {drill.replay: None for drill in run.drills if drill.verdict.answer is not Answer.PASS and drill.replay}
    if replays:
        lines += [
            "",
            "Again:",
            "",
            "```sh",
            *(" ".join(replay.split()).replace("```", "") for replay in replays),
            "```",
        ]
    return shown("\n".join(lines) + "\n")


def _conformance(run: StoredRun) -> list[str]:
    """How the stack talks, once: every drill of a run has the same stack."""
    found = next((drill.verdict.conformance for drill in run.drills if drill.verdict.conformance), [])
    if not found:
        return []
    return [
        "",
        "How the stack talks, where OpenAI's API talks otherwise. No drill fails for it; a client may stumble.",
        "",
        "| what | OpenAI | this stack | who stumbles |",
        "|---|---|---|---|",
        *(f"| {code(one.what)} | {plain(one.openai)} | {plain(one.here)} | {plain(one.trips)} |" for one in found),
    ]


def _budgets(budgets: list[RunBudget]) -> list[str]:
    if not budgets:
        return []
    lines = ["", "| error budget | spent by this run | worst burn | would raise | left |", "|---|---|---|---|---|"]
    for one in budgets:
        raised = "; ".join(
            f"{plain(severity)}: {', '.join(plain(drill) for drill in drills)}"
            for severity, drills in one.raising.items()
        )
        lines.append(
            f"| {plain(one.slo)}, {percent(one.target)} over {short(one.period_s)} | {share(one.spend)} | "
            f"{one.worst_burn:.3g} in "
            f"{plain(one.worst_drill)} | {raised or 'nothing'} | {share(one.left)} after "
            f"{count(one.drills_before, 'earlier drill')} |"
        )
    return lines


def finding_lines(finding: Finding, software: Collection[str] = ()) -> list[str]:
    """One finding as a list item, with all that can be done about it; what is for this software comes first."""
    lines = [f"- **{finding.answer.value.upper()}** {plain(finding.claim)}  "]
    expected = f"; expected {plain(finding.threshold)}" if finding.threshold else ""
    window = f"; window {plain(finding.window)}" if finding.window else ""
    lines.append(f"  Seen: {plain(finding.observed)}{expected}{window}  ")
    if finding.evidence:
        lines.append(f"  Evidence: {', '.join(code(name) for name in finding.evidence)}  ")
    remedy = remedy_of(finding)
    if remedy is None:
        return lines
    lines += [f"  What it means: {plain(remedy.users)}  ", f"  What to do: {plain(remedy.do)}"]
    for cause in remedy.causes:
        lines.append(f"  - May be: {plain(cause.what)}{f' ({code(cause.incident)})' if cause.incident else ''}")
    for one in remedy.for_software(software):
        seen = f"{plain(f'version {one.version}')}, <{one.source}>"
        lines.append(f"  - {plain(one.software)}: {code(one.setting)} {plain(one.does)} ({seen})")
    return lines


def _row(drill: StoredDrill, quarantine: Sequence[Entry]) -> str:
    verdict = drill.verdict
    name = plain(drill.name) + (" (control)" if verdict.control else "")
    sign = SIGNS[verdict.answer] + (" (quarantined)" if outcome(verdict, quarantine).quarantined else "")
    return f"| {name} | {sign} | {plain(decisive(verdict), 240)} | {times(verdict)} |"
