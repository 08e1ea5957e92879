"""A plan, a record's entries and a verdict in words, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from servedrill.gameday import record as r
from servedrill.gameday.plan import Plan
from servedrill.gameday.verdict import DayVerdict
from servedrill.reporting.console import STYLES
from servedrill.reporting.shown import Drawn


def print_plan(console: Console, plan: Plan) -> None:
    """What would happen, and what it could cost."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "step", "done to", "for", "undone by"):
        table.add_column(name, overflow="fold", justify="right" if name == "for" else "left")
    for step in plan.steps:
        length = f"{step.seconds:g} s" if step.breaks else f"at most {step.seconds:g} s" if step.seconds else ""
        undo = "; ".join(dict.fromkeys(step.undo)) or ("whoever supervises the stack" if step.act == "fault" else "")
        if step.act == "drill":
            undo = "the drill itself, and the watchdog"
        title = f"{step.title}\nexpected: {step.expected}" if step.expected else step.title
        table.add_row(step.step, title, ", ".join(step.targets), length, step.lacks or undo)
    console.print(Text(plan.title, "bold"), Text(f"on stack {plan.stack!r} ({plan.environment}), plan {plan.hash}"))
    console.print(Drawn(table))
    console.print(Text(f"At worst: {plan.blast_radius}."))
    console.print(Text(f"Something is broken for {plan.broken_s:.0f} s in all."))
    if plan.budget:
        slo, share = max(plan.budget.items(), key=lambda one: one[1])
        console.print(
            Text(f"If nobody were served meanwhile, {share:.2%} of the error budget of {slo!r} would be gone.")
        )
    for trouble in plan.troubles:
        console.print(Text(f"CANNOT BE RUN: {trouble}", "bold red"))


def print_verdict(console: Console, verdict: DayVerdict, left: Sequence[object]) -> None:
    """The answer, why, and where all of it can be read."""
    console.print(Text(verdict.answer.value.upper(), STYLES[verdict.answer]))
    for line in verdict.because:
        console.print(Drawn(Text(f"  {line}")))
    if verdict.abort_s is not None:
        console.print(Text(f"  Everything was healed {verdict.abort_s:.1f} s after the stop."))
    if not verdict.actions:
        console.print(Text("  No action was written down: what will be different next time?", "dim"))
    for path in left:
        console.print(Text(f"  {path}"))


def told(entry: r.AnyEntry) -> str:
    """One entry in words; empty for what nobody needs to read."""
    match entry:
        case r.Begun():
            again = "taken up again" if entry.again else "begins"
            return f"{entry.title!r} {again} on {entry.stack!r}, by {entry.by or 'somebody'}, plan {entry.plan}"
        case r.StateChanged():
            return entry.state.upper()
        case r.StepBegun():
            expected = f"; expected: {entry.expected}" if entry.expected else ""
            return f"step {entry.step}: {entry.title}{expected}" + (
                f"; runbook: {entry.runbook}" if entry.runbook else ""
            )
        case r.StepEnded():
            return f"step {entry.step}: {entry.answer.value.upper()} {entry.said}"
        case r.SceneJudged():
            return f"{entry.folder}: {entry.answer.value.upper()} {entry.said}"
        case r.SteadySeen():
            met = "met" if entry.met else "NOT met" if entry.met is False else "cannot be known"
            return f"steady state {entry.where}: {met} after {entry.waited_s:.1f} s ({entry.said})"
        case r.FaultSeen():
            word = entry.what if entry.proven else f"NOT {entry.what}"
            return f"{entry.fault} on {entry.target}: {word}" + (f" ({entry.said})" if entry.said else "")
        case r.Noted():
            return f"{entry.by}: {'' if entry.what == 'note' else entry.what.upper() + ' '}{entry.text}"
        case r.Answered():
            who = "nobody was asked" if entry.automatic else entry.by
            return f"{entry.question} {entry.answer or '(no answer)'} ({who})"
        case r.Halted():
            return f"HALTED by {entry.by}: {entry.reason}"
        case r.HaltHealed():
            return f"everything healed {entry.seconds:.1f} s after the stop"
        case r.Action():
            return f"action: {entry.text} ({entry.owner}, by {entry.due})"
        case r.Ended():
            return "the day is over"
