"""``servedrill gameday``: plan a game day, run it, take it up again, write notes, see what it came to."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servedrill.errors import ExitCode, UsageError
from servedrill.files.arguments import seed, some_folder, some_path
from servedrill.runs.layout import RUNS

if TYPE_CHECKING:
    from servedrill.gameday.day import Asked
    from servedrill.gameday.people import People
    from servedrill.gameday.plan import Plan
    from servedrill.gameday.verdict import DayVerdict
    from servedrill.gameday.view import View


def register(commands: Any) -> None:
    """Add ``gameday`` to the commands."""
    gameday = commands.add_parser(
        "gameday",
        help="people, a plan and an abort button",
        description="A game day: a playbook says what is broken and what everybody expects; a plan says what that "
        "comes to on your stack; a run is the day itself. `servedrill halt` stops it from any terminal.",
    )
    actions = gameday.add_subparsers(title="actions", metavar="ACTION", required=True)
    plan = actions.add_parser("plan", help="what would happen; nothing is broken", description=_PLAN)
    run = actions.add_parser("run", help="the day itself", description=_RUN)
    for action in (plan, run):
        action.add_argument("playbook", type=some_path, metavar="PLAYBOOK", help="a YAML file (docs/playbooks.md)")
        action.add_argument("--stack", default="", metavar="FILE", help="stack file (default: the playbook's own)")
        action.add_argument("--slo", default="", metavar="FILE", help="SLO file (default: the playbook's own)")
        action.add_argument(
            "--defect", action="append", default=[], metavar="MODULE:CLASS", help="of the embedded stack"
        )
    plan.add_argument("--out", type=some_path, metavar="FILE", help="keep the plan, for `run --plan`")
    plan.set_defaults(run=_plan)
    run.add_argument("--plan", type=some_path, metavar="FILE", help="refuse to run if anything changed since this plan")
    run.add_argument("--seed", type=seed, metavar="N", help="repeat a day's traffic")
    run.add_argument("--production", action="store_true", help="the stack is production, and may be broken")
    run.set_defaults(run=_run)
    resume = actions.add_parser("resume", help="go on with a day whose process was killed")
    resume.set_defaults(run=_resume)
    for action in (run, resume):
        action.add_argument("--yes", action="store_true", help="say go to every question")
        action.add_argument("--no-input", action="store_true", help="ask nobody: defaults, and no-go without one")
        action.add_argument("--as", dest="named", action="append", default=[], metavar="ROLE=NAME", help="who is who")
    note = actions.add_parser("note", help="write into the record of the day that goes on, from any terminal")
    note.add_argument("text", metavar="TEXT")
    note.add_argument("--detected", action="store_true", help="that somebody noticed what was broken")
    note.add_argument("--mitigated", action="store_true", help="that somebody mended it")
    note.add_argument("--by", default="", metavar="NAME", help="who says so (default: your user's name)")
    note.set_defaults(run=_note)
    action = actions.add_parser("action", help="what somebody will do about it")
    action.add_argument("text", metavar="TEXT")
    action.add_argument("--owner", required=True, metavar="NAME")
    action.add_argument("--due", required=True, type=_day, metavar="YYYY-MM-DD")
    action.set_defaults(run=_action)
    export = actions.add_parser("export", help="write a playbook as an experiment of Chaos Toolkit, to standard output")
    export.add_argument("playbook", type=some_path, metavar="PLAYBOOK")
    export.add_argument("--stack", default="", metavar="FILE", help="stack file that the experiment names")
    export.set_defaults(run=_export)
    show = actions.add_parser("show", help="what a day came to; writes its page and its retro")
    show.add_argument("--json", action="store_true", help="the verdict as JSON")
    show.set_defaults(run=_show)
    for one in (note, action, show, resume):
        one.add_argument("--day", default="", metavar="RUN", help="folder or name of its run (default: the latest)")
    for one in (plan, run, note, action, show, resume):
        one.add_argument("--runs", type=_folder, default=RUNS, metavar="DIR", help=f"folder of runs (default: {RUNS})")


_PLAN = """Read the playbook, bring the stack up (or ask it how it talks, where it is somebody else's), and say for each
step what it would be done to, how it would be undone, how long things are broken and what that costs of the error
budget. Nothing is broken. Exit code 4 where it cannot be carried out."""
_RUN = """Carry the playbook out. Questions are asked at this terminal. The key h, a stop condition or `servedrill halt`
in any terminal heals everything at once. Exit codes: 0 all proven, 1 refuted, 4 wrong usage, 6 nobody can say."""


def _plan(given: argparse.Namespace) -> int:
    from servedrill.files.regular import require_place
    from servedrill.gameday.day import keep_plan, plan_day
    from servedrill.gameday.told import print_plan
    from servedrill.reporting.tables import console_for

    if given.out:
        require_place(given.out)
    plan = plan_day(_asked(given))
    print_plan(console_for(sys.stdout), plan)
    if given.out:
        keep_plan(plan, given.out)
    return ExitCode.USAGE if plan.troubles else ExitCode.PASSED


def _run(given: argparse.Namespace) -> int:
    from servedrill.gameday.day import PLAN, keep_plan, opened, plan_day, read_plan, require_allowed, require_unchanged
    from servedrill.gameday.reading import read_playbook
    from servedrill.gameday.told import print_plan
    from servedrill.leases.lever import require_released
    from servedrill.reporting.tables import console_for

    asked = _asked(given)
    playbook = read_playbook(asked.playbook)
    require_released(Path(asked.runs))
    plan = read_plan(given.plan) if given.plan else plan_day(asked)
    require_unchanged(plan, asked)
    require_allowed(playbook, plan, now=datetime.now(UTC))
    named = _people(given.named, playbook.roles)
    people = _who(given, named)
    if not given.plan:
        print_plan(console_for(sys.stdout), plan)
    authorized = _authorized(plan, given, people)
    with opened(asked) as (session, folder):
        keep_plan(plan, folder / PLAN)
        return _carry_out(asked, plan, session, folder, people, named, authorized=authorized)


def _resume(given: argparse.Namespace) -> int:
    from servedrill.gameday.day import PLAN, Asked, day_folder, opened, read_plan, require_unchanged
    from servedrill.gameday.reading import read_playbook
    from servedrill.gameday.record import Begun, Ended, read_record
    from servedrill.runs.stored import read_about

    folder = day_folder(Path(given.runs), given.day)
    record, plan, options = read_record(folder), read_plan(folder / PLAN), read_about(folder).options
    if any(isinstance(one, Ended) for one in record):
        raise UsageError("the day came to its end", where=str(folder), expected="one whose process was killed")
    asked = Asked(
        playbook=Path(plan.playbook),
        stack=options.stack_file or "",
        slo=options.slo_file or "",
        runs=str(folder.parent),
        production=plan.environment == "production",
        defects=options.defects,
        seed=options.seed,
    )
    require_unchanged(plan, asked)
    begun = next(one for one in record if isinstance(one, Begun))
    named = begun.people | _people(given.named, read_playbook(asked.playbook).roles)
    with opened(asked, folder=folder.name) as (session, again):
        who = _who(given, named)
        return _carry_out(asked, plan, session, again, who, named, authorized=begun.authorized, again=True)


def _carry_out(
    asked: Asked,
    plan: Plan,
    session: Any,
    folder: Path,
    people: People,
    named: dict[str, str],
    *,
    authorized: str,
    again: bool = False,
) -> int:
    from servedrill.gameday.day import run_day
    from servedrill.gameday.retro import write_retro
    from servedrill.gameday.told import print_verdict
    from servedrill.gameday.view import Picture, View
    from servedrill.reporting.leavings import leave
    from servedrill.reporting.tables import console_for

    console = console_for(sys.stdout)
    view: View = Picture(console, plan) if console.is_terminal and sys.stdin.isatty() else View(console)
    verdict = run_day(asked, plan, session, folder, people, view, named=named, authorized=authorized, again=again)
    session.close()
    print_verdict(console, verdict, [*write_retro(folder), *leave(folder)])
    return _status(verdict)


def _note(given: argparse.Namespace) -> int:
    from servedrill.gameday.record import Noted
    from servedrill.leases.lever import user

    what = "detected" if given.detected else "mitigated" if given.mitigated else "note"
    _write(given, Noted(text=given.text, by=given.by or user() or "somebody", what=what))  # type: ignore[arg-type]
    return ExitCode.PASSED


def _action(given: argparse.Namespace) -> int:
    from servedrill.gameday.record import Action

    _write(given, Action(text=given.text, owner=given.owner, due=given.due))
    return ExitCode.PASSED


def _write(given: argparse.Namespace, entry: Any) -> None:
    from servedrill.gameday.day import day_folder
    from servedrill.gameday.record import Record

    folder = day_folder(Path(given.runs), given.day)
    record = Record(folder)
    record.add(entry)
    record.close()
    print(f"written into {folder.name}")


def _show(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.gameday.day import day_folder
    from servedrill.gameday.record import read_record
    from servedrill.gameday.retro import write_retro
    from servedrill.gameday.told import print_verdict
    from servedrill.gameday.verdict import day_verdict
    from servedrill.reporting.tables import console_for

    folder = day_folder(Path(given.runs), given.day)
    verdict, left = day_verdict(read_record(folder)), write_retro(folder)
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(verdict), indent=1).decode())
    else:
        print_verdict(console_for(sys.stdout), verdict, left)
    return _status(verdict)


def _export(given: argparse.Namespace) -> int:
    import msgspec

    from servedrill.files.shipped import shipped
    from servedrill.gameday.chaostoolkit import written
    from servedrill.gameday.reading import read_playbook

    path = shipped(given.playbook)
    experiment = written(read_playbook(path), path.absolute(), stack=given.stack)
    print(msgspec.json.format(msgspec.json.encode(experiment), indent=1).decode())
    return ExitCode.PASSED


def _status(verdict: DayVerdict) -> int:
    from servedrill.checkers.finding import Answer

    return {Answer.PASS: ExitCode.PASSED, Answer.FAIL: ExitCode.FAILED}.get(verdict.answer, ExitCode.INCONCLUSIVE)


def _asked(given: argparse.Namespace) -> Asked:
    from servedrill.files.shipped import shipped
    from servedrill.gameday.day import Asked

    return Asked(
        playbook=shipped(given.playbook),
        stack=given.stack,
        slo=given.slo,
        runs=given.runs,
        production=getattr(given, "production", False),
        defects=given.defect,
        seed=getattr(given, "seed", None),
    )


def _who(given: argparse.Namespace, named: dict[str, str]) -> People:
    from servedrill.gameday.people import People

    if given.yes:
        return People("yes", named=named)
    return People("nobody" if given.no_input or not sys.stdin.isatty() else "ask", named=named)


def _people(said: list[str], roles: dict[str, str]) -> dict[str, str]:
    named = {}
    for one in said:
        role, equals, name = one.partition("=")
        if not (equals and name and role in roles):
            raise UsageError(
                f"{one!r}", where="--as", expected=f"ROLE=NAME with a role of {', '.join(roles) or 'nobody'}"
            )
        named[role] = name
    return named


def _authorized(plan: Plan, given: argparse.Namespace, people: People) -> str:
    """Production is broken only by who types its name."""
    if plan.environment != "production":
        return ""
    if people.mode != "ask":
        raise UsageError(
            f"{plan.stack!r} is production, and nobody can be asked",
            where=plan.playbook,
            expected="somebody at a terminal who types the name of the stack",
        )
    print(f"{plan.stack!r} is PRODUCTION. At worst: {plan.blast_radius}.")
    if input(f"Type {plan.stack} to go on: ").strip() != plan.stack:
        raise UsageError("not confirmed", where=plan.stack, expected="its name")
    return f"{people.who('')}, typed"


def _folder(text: str) -> str:
    return str(some_folder(text))


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a day as 2027-01-31") from None
