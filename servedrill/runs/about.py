"""run.json: what a run was asked for, on which machine, and the commands that run its drills again."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from servedrill._version import __version__
from servedrill.judging.quarantine import Entry
from servedrill.runs.layout import RUNS
from servedrill.runs.origin import commit_of, images_of

_LIBRARIES = ("pytest", "aiohttp", "uvloop", "httptools")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked for."""

    seed: int = 0
    stack_file: str | None = None
    slo_file: str | None = None
    arrivals: str | None = None
    control: bool = False
    defects: list[str] = []
    runs: str = RUNS
    pyargs: bool = False
    """Whether drills were asked for as modules, as those that are installed are."""
    quarantine: str | None = None
    """A file; what is run again is judged without it."""

    def arguments(self) -> list[str]:
        """The same, as pytest's arguments."""
        arguments = ["--pyargs"] if self.pyargs else []
        arguments += ["--drill-seed", str(self.seed)]
        for name, value in (
            ("--drill-stack", self.stack_file),
            ("--drill-slo", self.slo_file),
            ("--drill-arrivals", self.arrivals),
        ):
            if value:
                arguments += [name, value]
        if self.control:
            arguments.append("--drill-control")
        for defect in self.defects:
            arguments += ["--drill-defect", defect]
        return arguments


class About(msgspec.Struct, frozen=True, kw_only=True):
    """run.json. Runs of earlier versions lack some of it."""

    began: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    """Empty for a run that was killed."""
    seed: int = 0
    options: Options = Options()
    versions: dict[str, str] = {}
    system: str = ""
    replay: dict[str, str] = {}
    """Drill -> the command that runs it again."""
    quarantine: list[Entry] = []
    """What did not gate."""
    commit: str = ""
    """Of the repository that it was started in; empty where nobody knows."""
    images: list[str] = []
    """Of the stack's containers, or what the environment says is rolled out."""


def about_now(
    options: Options, *, began: datetime, quarantine: Sequence[Entry] = (), images: Sequence[str] = ()
) -> About:
    """Of a run that begins now, on this machine; ``images`` are those that the stack's file names."""
    versions = {"servedrill": __version__, "python": platform.python_version()}
    return About(
        began=began.isoformat(),
        seed=options.seed,
        options=options,
        quarantine=list(quarantine),
        commit=commit_of(Path.cwd()),
        images=images_of(images),
        versions=versions | {name: version(name) for name in _LIBRARIES},
        system=f"{platform.system()} {platform.release()}, {os.cpu_count()} cores",
    )
