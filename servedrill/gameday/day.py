"""A day from its files to its end: planned, run, taken up again after a crash; what the command line asks for."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from servedrill.errors import UsageError
from servedrill.files.regular import read_regular
from servedrill.files.whole import write_whole, written_json
from servedrill.gameday import record as r
from servedrill.gameday.director import Director
from servedrill.gameday.hours import Hours, excluded
from servedrill.gameday.people import People
from servedrill.gameday.plan import Plan, make_plan, pieces_of
from servedrill.gameday.playbook import Playbook
from servedrill.gameday.reading import read_playbook
from servedrill.gameday.verdict import DayVerdict, day_verdict
from servedrill.gameday.view import View
from servedrill.leases.guard import Guard
from servedrill.leases.lever import release, require_released, user
from servedrill.leases.stack_lock import held, lock_folder
from servedrill.runs.about import Options
from servedrill.session.options import check_options
from servedrill.session.session import Session
from servedrill.session.stack import guarded_stack
from servedrill.stacks.identity import identity_of

PLAN = "plan.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    playbook: Path
    stack: str = ""
    slo: str = ""
    runs: str
    production: bool = False
    defects: list[str] = []
    seed: int | None = None

    def stack_file(self, playbook: Playbook) -> str:
        """The one that was typed, else the playbook's own."""
        return self.stack or (str(self.playbook.parent / playbook.stack) if playbook.stack else "")

    def slo_file(self, playbook: Playbook) -> str:
        """As `stack_file`."""
        return self.slo or (str(self.playbook.parent / playbook.slo) if playbook.slo else "")

    def options(self, playbook: Playbook) -> Options:
        """Of the session in which the day runs."""
        return Options(
            seed=secrets.randbelow(10**9) if self.seed is None else self.seed,
            stack_file=self.stack_file(playbook) or None,
            slo_file=self.slo_file(playbook) or None,
            defects=self.defects,
            runs=self.runs,
        )


def plan_day(asked: Asked) -> Plan:
    """The plan. Raises `UsageError` for files that cannot be used, `StackError` for a stack that cannot be asked."""
    playbook = read_playbook(asked.playbook)
    options = asked.options(playbook)
    file = check_options(options, production=True)  # planning breaks nothing
    with tempfile.TemporaryDirectory(prefix="servedrill-plan-") as name:
        folder = Path(name)
        with (
            contextlib.closing(Guard(folder)) as guard,
            guarded_stack(
                file, folder, guard, defects=asked.defects, seed=options.seed, uses=("MemoryLimited",)
            ) as stack,
        ):
            return make_plan(
                asked.playbook,
                stack,
                file,
                stack_file=asked.stack_file(playbook),
                slo_file=asked.slo_file(playbook),
            )


def keep_plan(plan: Plan, path: Path) -> None:
    """Write it. Raises `UsageError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, written_json(plan))


def read_plan(path: Path) -> Plan:
    """Raises `UsageError` for a file that is no plan."""
    try:
        return msgspec.json.decode(read_regular(path), type=Plan)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"no plan: {error}", where=str(path), expected="what `servedrill gameday plan` has written"
        ) from error


def require_unchanged(plan: Plan, asked: Asked) -> None:
    """Raise `UsageError` where the playbook, the stack file, an SLO file, a drill or servedrill is another by now."""
    playbook = read_playbook(asked.playbook)
    now = pieces_of(playbook, asked.playbook, stack_file=asked.stack_file(playbook), slo_file=asked.slo_file(playbook))
    changed = sorted({name for name in {*now, *plan.pieces} if now.get(name) != plan.pieces.get(name)})
    if changed:
        raise UsageError(
            f"changed since it was planned: {', '.join(changed)}",
            where=str(asked.playbook),
            expected="what people said yes to",
            hint=f"`servedrill gameday plan {asked.playbook}` makes a new plan",
        )


def require_allowed(playbook: Playbook, plan: Plan, *, now: datetime) -> None:
    """Raise `UsageError` outside of the hours, in an exclusion window, and for a plan that cannot be carried out."""
    hours = Hours.parse(playbook.blast_radius.hours) if playbook.blast_radius.hours else None
    if hours is not None and now not in hours:
        raise UsageError(f"it is {now:%a %H:%M} UTC", where="blast-radius: hours", expected=playbook.blast_radius.hours)
    if (window := excluded(playbook.exclusions, now)) is not None:
        raise UsageError(
            f"nothing may start from {window.begin} until {window.until}: {window.why}",
            where="exclusions",
            expected="another day",
        )
    if plan.troubles:
        raise UsageError("; ".join(plan.troubles), where=plan.playbook, expected="a plan that can be carried out")


@contextlib.contextmanager
def opened(asked: Asked, *, folder: str = "") -> Iterator[tuple[Session, Path]]:
    """The session of a day and its run's folder; ``folder`` is that of one that is taken up again.

    Raises `UsageError` where another run has the stack.
    """
    playbook = read_playbook(asked.playbook)
    require_released(Path(asked.runs))
    options = asked.options(playbook)
    name = folder or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-gameday-{options.seed}"
    with contextlib.ExitStack() as up:
        session = up.enter_context(contextlib.closing(Session(options, production=asked.production, shared=name)))
        stack, what = identity_of(session.file, Path(asked.runs)), f"servedrill gameday run {asked.playbook}"
        up.enter_context(held(stack, lock_folder(), what=what, runs=asked.runs))
        run = session.begun().folder
        release(run)
        yield session, run


def run_day(
    asked: Asked,
    plan: Plan,
    session: Session,
    folder: Path,
    people: People,
    view: View,
    *,
    named: dict[str, str],
    authorized: str = "",
    again: bool = False,
) -> DayVerdict:
    """Carry it out; the verdict of its record."""
    playbook = read_playbook(asked.playbook)
    done = finished(r.read_record(folder)) if again else {}
    record = r.Record(folder, told=view.entry)
    try:
        record.add(
            r.Begun(
                title=playbook.title,
                plan=plan.hash,
                stack=plan.stack,
                by=user(),
                people=named,
                authorized=authorized,
                again=again,
            )
        )
        with view.up():
            Director(playbook, asked.playbook, session, record, people, view, done=done).run()
    finally:
        record.close()
    return day_verdict(r.read_record(folder))


def finished(record: list[r.AnyEntry]) -> dict[str, dict[str, Any]]:
    """Steps that have come to their end, but for one that was stopped there; place -> what it came to."""
    return {
        one.step: dict(one.outputs)
        for one in record
        if isinstance(one, r.StepEnded) and one.said != r.STOPPED and "." not in one.step
    }


def day_folder(runs: Path, said: str = "") -> Path:
    """The run of a day: by its name or path, else the latest. Raises `UsageError` where there is none."""
    if said:
        for path in (Path(said), runs / said):
            if (path / r.RECORD).is_file():
                return path
        raise UsageError("no game day", where=said, expected=f"the folder of a run, or its name in {runs}")
    found = sorted(path.parent for path in runs.glob(f"*/{r.RECORD}") if not path.parent.is_symlink())
    if not found:
        raise UsageError("no game day yet", where=str(runs), expected="`servedrill gameday run PLAYBOOK` before")
    return found[-1]
