"""A run while it goes on: one folder, one seed, one watchdog; every drill of it has a folder of its own inside.

`servedrill.runs.layout` says what is in it; besides, it has ``leases.jsonl``, in which the watchdog reads what was
broken and put back, and ``report.html``, the page that `servedrill.reporting` draws of all this.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.judging.quarantine import Entry
from servedrill.judging.verdict import Verdict
from servedrill.leases.guard import Guard
from servedrill.runs.about import About, Options, about_now
from servedrill.runs.layout import LATEST, RUN, VERDICT, VERDICTS
from servedrill.runs.written import read_written, write_written


class Run:
    """Made when the first drill starts."""

    def __init__(
        self, options: Options, *, shared: str = "", quarantine: Sequence[Entry] = (), images: Sequence[str] = ()
    ) -> None:
        """Make the folder and start the watchdog. Raises `UsageError` where no folder can be made.

        ``shared`` is the name of a folder that several processes write to, each a part of one run: whoever comes first
        makes it. ``quarantine`` is what does not gate, which reports show; ``images`` are the stack's.
        """
        self.options = options
        self.verdicts: dict[str, Verdict] = {}
        self.told = ""
        """A line for people: the first thing that could not be written down; empty where everything was."""
        began = datetime.now(UTC)
        root = Path(options.runs).absolute()
        try:
            root.mkdir(parents=True, exist_ok=True)
            if shared:
                self.folder = root / shared
                self.folder.mkdir(exist_ok=True)
            else:
                self.folder = _new_folder(root, f"{began:%Y%m%dT%H%M%S}-{options.seed}")
        except OSError as error:
            raise UsageError(
                f"runs cannot be written there: {error.strerror}",
                where=options.runs,
                expected="a folder that can be made and written",
                hint="--drill-runs DIR names another, as in a checkout that is read-only",
            ) from error
        self._shared = bool(shared)
        self._about = about_now(options, began=began, quarantine=quarantine, images=images)
        self._write()
        _point_latest(root, self.folder)
        self.guard = Guard(self.folder)

    def replay_command(self, nodeid: str) -> str:
        """The command that runs one drill again with the same schedule."""
        return shlex.join(["pytest", nodeid, *self.options.arguments()])

    def drill_folder(self, name: str) -> Path:
        """A new folder for one drill; its name is the drill's, in characters that a file may have, numbered where it is
        taken."""
        return _new_folder(self.folder, re.sub(r"[^\w.+-]+", "-", name).strip("-") or "drill")

    def begin(self, folder: Path, replay: str) -> None:
        """The drill of the folder begins: it is one of this run, whatever comes; ``replay`` runs it again."""
        self._about.replay[folder.name] = replay
        self._write()

    def add(self, folder: str, verdict: Verdict) -> None:
        """What came out of the drill in this folder; what of it cannot be written down is told."""
        self.verdicts[folder] = verdict
        with self.telling():
            self._write()

    def close(self) -> None:
        """The run is over; the watchdog heals what is still open before it ends, and before anything else is done.

        Where every drill was skipped there is no run.
        """
        self.guard.close()
        self._about = msgspec.structs.replace(self._about, ended=datetime.now(UTC).isoformat())
        with self.telling():
            self._write()
            if not self._shared and not any(path.is_dir() for path in self.folder.iterdir()):
                shutil.rmtree(self.folder, ignore_errors=True)
                others = sorted(path for path in self.folder.parent.glob("2*") if (path / RUN).is_file())
                _point_latest(self.folder.parent, others[-1] if others else None)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """What cannot be written in the block, on a full disk or in a folder that is gone, is told and ends nothing."""
        try:
            yield
        except (OSError, UsageError) as error:
            self.told = self.told or f"not all of the run is on disk: {error}"

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One drill at a time, whichever process of a shared run has it: drills that run side by side take each
        other's cores, and on a stack of somebody's own each would judge what the other broke."""
        with self._alone("turn") if self._shared else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """The kernel lets go of the lock of a process that was killed."""
        with (self.folder / f".{what}").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self) -> None:
        if not self._shared:
            self._write_files()
            return
        with self._alone("write"):
            self._learn()
            self._write_files()

    def _learn(self) -> None:
        """What other processes of a shared run have written, which is theirs to say."""
        with contextlib.suppress(OSError, UsageError):
            theirs = read_written(self.folder / RUN, About, expected="a run", hint="")
            replay = theirs.replay | self._about.replay
            self._about = msgspec.structs.replace(self._about, began=theirs.began, replay=replay)
        found = {name: verdict for name in self._about.replay if (verdict := self._verdict_of(name)) is not None}
        self.verdicts = found | self.verdicts

    def _verdict_of(self, folder: str) -> Verdict | None:
        with contextlib.suppress(OSError, UsageError):
            return read_written(self.folder / folder / VERDICT, Verdict, expected="a verdict", hint="")
        return None

    def _write_files(self) -> None:
        for name, content in ((RUN, self._about), (VERDICTS, list(self.verdicts.values()))):
            write_written(self.folder / name, content)


def _point_latest(root: Path, run: Path | None) -> None:
    latest = root / LATEST
    with contextlib.suppress(OSError):
        latest.unlink(missing_ok=True)
        if run is not None:
            latest.symlink_to(run.name)


def _new_folder(parent: Path, name: str) -> Path:
    number, folder = 1, parent / name
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = parent / f"{name}-{number}"
