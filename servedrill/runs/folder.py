"""A run: one folder, one seed, one watchdog; every drill of it has a folder of its own inside.

RUN/run.json            seed, command that replays it, versions, options
RUN/verdicts.json       one verdict a drill
RUN/leases.jsonl        what was broken and put back
RUN/<drill>/history.jsonl, verdict.json, stack.json, logs/
RUN/report.html         the page that `servedrill.reporting` draws of all this
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from servedrill._version import __version__
from servedrill.errors import UsageError
from servedrill.judging.verdict import Verdict
from servedrill.leases.guard import Guard


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for."""

    seed: int
    stack_file: str | None = None
    slo_file: str | None = None
    arrivals: str | None = None
    control: bool = False
    defects: list[str] = []
    runs: str = ".servedrill/runs"

    def arguments(self) -> list[str]:
        """The same, as pytest's arguments."""
        arguments = ["--seed", str(self.seed)]
        if self.stack_file:
            arguments += ["--stack", self.stack_file]
        if self.slo_file:
            arguments += ["--slo", self.slo_file]
        if self.arrivals:
            arguments += ["--arrivals", self.arrivals]
        if self.control:
            arguments.append("--control")
        for defect in self.defects:
            arguments += ["--defect", defect]
        return arguments


def _new_folder(parent: Path, name: str) -> Path:
    number, folder = 1, parent / name
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = parent / f"{name}-{number}"


class Run:
    """Made when the first drill starts."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.verdicts: dict[str, Verdict] = {}
        self._commands: dict[str, str] = {}
        began = datetime.now(UTC)
        root = Path(options.runs).absolute()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.folder = _new_folder(root, f"{began:%Y%m%dT%H%M%S}-{options.seed}")
        except OSError as error:
            raise UsageError(
                f"runs cannot be written there: {error.strerror}",
                where=f"--runs {options.runs}",
                expected="a folder that can be made and written",
            ) from error
        self._about: dict[str, Any] = {
            "began": began.isoformat(),
            "seed": options.seed,
            "options": msgspec.to_builtins(options),
            "versions": {
                "servedrill": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("pytest", "aiohttp", "uvloop", "httptools")},
            },
            "system": f"{platform.system()} {platform.release()}, {os.cpu_count()} cores",
        }
        self._write()
        self._point_latest(root)
        self.guard = Guard(self.folder)

    def replay_command(self, nodeid: str) -> str:
        """The command that runs one drill again with the same schedule."""
        return shlex.join(["pytest", nodeid, *self.options.arguments()])

    def drill_folder(self, name: str, nodeid: str) -> Path:
        """A new folder for one drill; its name is the drill's, in characters that a file may have, numbered where it is
        taken."""
        folder = _new_folder(self.folder, re.sub(r"[^\w.+-]+", "-", name).strip("-") or "drill")
        self._commands[folder.name] = self.replay_command(nodeid)
        self._write()
        return folder

    def add(self, folder: str, verdict: Verdict) -> None:
        """What came out of the drill in this folder."""
        self.verdicts[folder] = verdict
        self._write()

    def close(self) -> None:
        self._about["ended"] = datetime.now(UTC).isoformat()
        self._write()
        self.guard.close()

    def _write(self) -> None:
        about = {**self._about, "replay": self._commands}
        (self.folder / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")
        (self.folder / "verdicts.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(list(self.verdicts.values())), indent=1) + b"\n"
        )

    def _point_latest(self, root: Path) -> None:
        latest = root / "latest"
        with contextlib.suppress(OSError):
            latest.unlink(missing_ok=True)
            latest.symlink_to(self.folder.name)
