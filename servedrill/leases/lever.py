"""The safety lever: while it is pulled, whatever is broken is healed at once and nothing new is broken.

It is a file, in a folder of runs for all of them or in one run's for that one, so that anybody who may write there can
pull it from any terminal, and whoever was killed finds it as it was. The watchdog looks at it ten times a second: it
heals also where whoever broke things hangs. What it is called after: the safety lever of AWS Fault Injection Service.
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from servedrill.errors import UsageError
from servedrill.files.regular import read_regular
from servedrill.files.whole import write_whole, written_json

FILE = "halted.json"


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """Who pulled the lever, why, and when (UTC, ISO 8601)."""

    reason: str
    by: str = ""
    at: str = ""

    def __str__(self) -> str:
        who, when = (f" by {self.by}" if self.by else ""), (f" at {self.at}" if self.at else "")
        return f"halted{who}{when}: {self.reason}"


def pull(folder: Path, *, reason: str, by: str = "") -> Halt:
    """From now on, until `release`; a second pull tells the latest reason.

    ``folder`` is made where it is not there. Raises `UsageError` for no reason, and where nothing can be written.
    """
    if not reason.strip():
        raise UsageError("no reason", where="halt", expected="why, for whoever finds everything stopped")
    halt = Halt(reason=reason.strip(), by=by or user(), at=datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be made: {error.strerror}", where=str(folder), expected="a folder of runs") from error
    write_whole(folder / FILE, written_json(halt))
    return halt


def release(folder: Path) -> Halt | None:
    """What was pulled, which no longer holds; None where nothing was."""
    halt = pulled(folder)
    (folder / FILE).unlink(missing_ok=True)
    return halt


def pulled(folder: Path) -> Halt | None:
    """None while the lever is released; one that cannot be read is pulled all the same."""
    try:
        return msgspec.json.decode(read_regular(folder / FILE), type=Halt)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        return Halt(reason=f"{folder / FILE} is there and cannot be read: {error}")


def pulled_for(run: Path) -> Halt | None:
    """For one run: by its own lever, or by that of the folder in which it is."""
    return pulled(run.parent) or pulled(run)


def require_released(runs: Path) -> None:
    """Raise `UsageError` while the lever of a folder of runs is pulled: nothing may start."""
    if halt := pulled(runs):
        raise UsageError(
            str(halt),
            where=str(runs),
            expected="nothing to be started before somebody says that it is safe again",
            hint=f"`servedrill release --runs {runs}` releases it",
        )


def user() -> str:
    """Who sits here, as the system knows them; empty where it does not."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
