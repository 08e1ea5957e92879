"""All runs of a folder at a glance: an SQLite file beside them that can be thrown away at any time.

The folders are the truth. The index has a row for each run with the times and sizes of the files that it was made from;
a run whose files changed is read again, one that is gone is forgotten, and an index that cannot be read or written is
made in memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.judging.words import worst_of
from servedrill.runs.layout import INDEX, RUN, VERDICT, VERDICTS
from servedrill.runs.measured import Measured, measure
from servedrill.runs.stored import StoredRun, read_run
from servedrill.slo.spending import Spending

_VERSION = 3
_TABLES = """
CREATE TABLE runs (
    name TEXT PRIMARY KEY, stamp TEXT NOT NULL, began TEXT NOT NULL, seconds REAL, seed INTEGER NOT NULL,
    control INTEGER NOT NULL,
    defects TEXT NOT NULL, answer TEXT NOT NULL, trouble TEXT NOT NULL, origin TEXT NOT NULL, images TEXT NOT NULL);
CREATE INDEX runs_began ON runs (began);
CREATE TABLE drills (
    run TEXT NOT NULL REFERENCES runs (name) ON DELETE CASCADE, drill TEXT NOT NULL, answer TEXT NOT NULL,
    stack TEXT NOT NULL,
    detect_s REAL, failover_s REAL, recover_s REAL, mttr_s REAL, never_restored INTEGER NOT NULL,
    spending BLOB NOT NULL, measured BLOB,
    PRIMARY KEY (run, drill));
CREATE INDEX drills_drill ON drills (drill);
"""


class DrillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One drill of a run."""

    drill: str
    answer: Answer
    stack: str
    detect_s: float | None
    failover_s: float | None
    recover_s: float | None
    mttr_s: float | None
    """Mean time to restore; None with ``never_restored`` above 0 is never."""
    never_restored: int


class StoredSpending(msgspec.Struct, frozen=True, kw_only=True):
    """What one drill of an earlier run spent."""

    began: str
    spending: list[Spending]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    name: str
    began: str
    seconds: float | None
    seed: int
    control: bool
    defects: list[str]
    answer: Answer
    trouble: str
    """Why it could not be read; empty when it could. Else nothing is known of it but its name."""
    drills: list[DrillRow]
    commit: str = ""
    images: list[str] = []


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs; None is any."""

    drill: str | None = None
    answer: Answer | None = None
    """Of the drill, where one is named; else of the run."""
    stack: str | None = None
    seed: int | None = None
    since: str | None = None
    """ISO date or instant, UTC."""
    until: str | None = None
    limit: int = 50


class Index:
    """Open with `open_index`."""

    def __init__(self, runs: Path, db: sqlite3.Connection) -> None:
        self._runs, self._db = runs, db

    # ---- keeping up with the folders

    def refresh(self) -> int:
        """Read what is new or changed and forget what is gone; how many runs were read."""
        there = {
            path.parent.name: _stamp(path.parent)
            for path in self._runs.glob(f"*/{RUN}")
            if not path.parent.is_symlink()
        }
        known: dict[str, str] = dict(self._db.execute("SELECT name, stamp FROM runs"))
        changed = [name for name, stamp in there.items() if known.get(name) != stamp]
        with self._db:
            for name in known.keys() - there.keys():
                self._forget(name)
            for name in changed:
                self._forget(name)
                self._read(name, there[name])
        return len(changed)

    def _forget(self, name: str) -> None:
        self._db.execute("DELETE FROM drills WHERE run = ?", (name,))
        self._db.execute("DELETE FROM runs WHERE name = ?", (name,))

    def _read(self, name: str, stamp: str) -> None:
        try:
            self._add(name, stamp, read_run(self._runs / name, judging=False))
        except UsageError as error:
            self._add_unreadable(name, stamp, error)
        except OverflowError:  # SQLite holds no whole number from 2^63 on
            self._forget(name)
            where, hint = str(self._runs / name), "move the folder away"
            what = f"{RUN} or a {VERDICT} has a number that is too large"
            self._add_unreadable(name, stamp, UsageError(what, where=where, hint=hint))

    def _add_unreadable(self, name: str, stamp: str, why: UsageError) -> None:
        self._insert(name, stamp, _began_by(name), None, 0, False, "[]", Answer.INCONCLUSIVE, str(why), "", "[]")

    def _add(self, name: str, stamp: str, run: StoredRun) -> None:
        about = run.about
        defects = msgspec.json.encode(sorted(about.options.defects)).decode()
        self._insert(
            name, stamp, about.began, run.seconds, about.seed, about.options.control, defects, worst_of(run.answers),
            "", about.commit, msgspec.json.encode(about.images).decode(),
        )  # fmt: skip
        self._db.executemany(
            "INSERT INTO drills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            [
                (
                    name, d.name, d.verdict.answer.value, d.stack_name, d.verdict.detect_s,
                    d.verdict.failover_s, d.verdict.recover_s,
                    d.verdict.mttr_s, d.verdict.never_restored, msgspec.msgpack.encode(d.verdict.spending),
                )
                for d in run.drills
            ],
        )  # fmt: skip

    def _insert(self, *row: str | float | None) -> None:
        self._db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    # ---- questions

    def find(self, wanted: Wanted) -> list[RunRow]:
        """Runs that fit, the latest first."""
        of_drill = wanted.drill is not None or wanted.stack is not None
        rows = self._db.execute(
            """SELECT name, began, seconds, seed, control, defects, answer, trouble, origin, images FROM runs r
            WHERE (:of_run IS NULL OR r.answer = :of_run) AND (:seed IS NULL OR r.seed = :seed AND r.trouble = '')
            AND (:since IS NULL OR r.began >= :since) AND (:until IS NULL OR r.began < :until)
            AND (NOT :by_drill OR EXISTS (
                SELECT 1 FROM drills d WHERE d.run = r.name AND (:drill IS NULL OR d.drill = :drill)
                AND (:stack IS NULL OR d.stack = :stack) AND (:of_drill IS NULL OR d.answer = :of_drill)))
            ORDER BY began DESC, name DESC LIMIT :limit""",
            {
                "of_run": wanted.answer if wanted.drill is None else None,
                "of_drill": wanted.answer if wanted.drill is not None else None,
                "by_drill": of_drill,
                **{name: getattr(wanted, name) for name in ("seed", "since", "until", "drill", "stack", "limit")},
            },
        ).fetchall()
        return [
            RunRow(
                name=name, began=began, seconds=seconds, seed=seed, control=bool(control),
                defects=msgspec.json.decode(defects),
                answer=Answer(answer), trouble=trouble, drills=self._drills(name), commit=commit,
                images=msgspec.json.decode(images),
            )
            for name, began, seconds, seed, control, defects, answer, trouble, commit, images in rows
        ]  # fmt: skip

    def _drills(self, run: str) -> list[DrillRow]:
        rows = self._db.execute(
            "SELECT drill, answer, stack, detect_s, failover_s, recover_s, mttr_s, never_restored FROM "
            "drills WHERE run = ? ORDER BY rowid",
            (run,),
        )
        return [
            DrillRow(
                drill=drill, answer=Answer(answer), stack=stack, detect_s=detect, failover_s=failover,
                recover_s=recover, mttr_s=mttr,
                never_restored=never,
            )
            for drill, answer, stack, detect, failover, recover, mttr, never in rows
        ]  # fmt: skip

    def spending_before(self, run: StoredRun) -> list[StoredSpending]:
        """What the drills of runs that began before this one spent on its stacks."""
        stacks = {drill.stack_name for drill in run.drills}
        rows = self._db.execute(
            "SELECT r.began, d.stack, d.spending FROM drills d JOIN runs r ON r.name = d.run WHERE "
            "r.began < ? AND r.name != ?",
            (run.about.began, run.folder.name),
        )
        return [
            StoredSpending(began=began, spending=msgspec.msgpack.decode(blob, type=list[Spending]))
            for began, stack, blob in rows
            if stack in stacks
        ]

    def spent(self) -> dict[str, list[Spending]]:
        """Run -> what each of its drills spent of each SLO, of all runs."""
        found: dict[str, list[Spending]] = {}
        decoder = msgspec.msgpack.Decoder(list[Spending])
        for name, blob in self._db.execute("SELECT run, spending FROM drills ORDER BY run"):
            found.setdefault(name, []).extend(decoder.decode(blob))
        return found

    def siblings(self, like: StoredRun, drill: str, *, without: set[Path], limit: int = 10) -> list[Measured]:
        """Figures of the runs before ``like`` of a drill on the same stack with the same options; made once, then
        kept."""
        stack = next((d.stack_name for d in like.drills if d.name == drill), "")
        defects = msgspec.json.encode(sorted(like.about.options.defects)).decode()
        rows = self._db.execute(
            "SELECT d.run, d.measured FROM drills d JOIN runs r ON r.name = d.run WHERE d.drill = ? AND "
            "d.stack = ? AND r.defects = ? "
            "AND r.control = ? AND r.began <= ? ORDER BY r.began DESC",
            (drill, stack, defects, like.about.options.control, like.about.began),
        ).fetchall()  # fmt: skip
        found: list[Measured] = []
        for name, blob in rows:
            if (self._runs / name).resolve() in without:
                continue
            try:
                found.append(msgspec.msgpack.decode(blob, type=Measured) if blob else self._measure(name, drill))
            except (UsageError, StopIteration):
                continue
            if len(found) == limit:
                break
        return found

    def _measure(self, name: str, drill: str) -> Measured:
        stored = next(d for d in read_run(self._runs / name).drills if d.name == drill)
        measured = measure(stored)
        with contextlib.suppress(sqlite3.OperationalError), self._db:
            blob = msgspec.msgpack.encode(measured)
            self._db.execute("UPDATE drills SET measured = ? WHERE run = ? AND drill = ?", (blob, name, drill))
        return measured


@contextlib.contextmanager
def open_index(runs: Path, *, rebuild: bool = False) -> Iterator[Index]:
    """The index of a folder of runs, up to date. Raises `UsageError` where there is no such folder."""
    if not runs.is_dir():
        raise UsageError(
            "no folder of runs",
            where=str(runs),
            expected="what `pytest drills --drill-runs` was given",
            hint="`pytest drills` makes one",
        )
    path = runs / INDEX
    if rebuild:
        path.unlink(missing_ok=True)
    db = _opened(path)
    try:
        index = Index(runs, db)
        try:
            index.refresh()
        except sqlite3.DatabaseError:  # damaged, read-only or busy: the folders are all that is needed
            db.close()
            db = _prepared(":memory:")
            index = Index(runs, db)
            index.refresh()
        yield index
    finally:
        db.close()


def _opened(path: Path) -> sqlite3.Connection:
    for attempt in (1, 2):
        try:
            return _prepared(str(path))
        except sqlite3.DatabaseError as error:
            damaged = not isinstance(error, sqlite3.OperationalError)
            if damaged and attempt == 1:
                path.unlink(missing_ok=True)
                continue
            break
    return _prepared(":memory:")


def _prepared(name: str) -> sqlite3.Connection:
    """A connection to a database that has this version's tables."""
    db = sqlite3.connect(name, timeout=5)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            with db:
                db.execute("DROP TABLE IF EXISTS drills")
                db.execute("DROP TABLE IF EXISTS runs")
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        return db
    except BaseException:
        db.close()
        raise


def _stamp(folder: Path) -> str:
    """What changes when a run's results do."""
    parts = []
    for name in (RUN, VERDICTS):
        with contextlib.suppress(OSError):
            status = (folder / name).stat()
            parts.append(f"{status.st_mtime_ns}/{status.st_size}")
    return " ".join(parts)


def _began_by(name: str) -> str:
    """When a run that cannot be read began, by the name of its folder; empty where somebody named it otherwise."""
    try:
        return datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).isoformat()
    except ValueError:
        return ""
