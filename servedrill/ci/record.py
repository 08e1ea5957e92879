"""What one pytest session of ``servedrill ci`` came to, line by line while it goes on: whatever ends it, what was said
until then is there.

    asked       which stack, which runs, by which SLOs; before the first test
    reported    one phase of one test: it has begun, or what became of it
    ended       the exit status; a session without it was killed
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import msgspec

from servedrill.errors import ExitCode, UsageError
from servedrill.files.regular import read_regular
from servedrill.judging.quarantine import Entry
from servedrill.runs.stored import read_about

Word = Literal["begun", "passed", "skipped", "quarantined", "inconclusive", "failed", "error", "usage"]
_WORST: tuple[Word, ...] = ("usage", "error", "failed", "inconclusive", "quarantined", "skipped", "passed", "begun")


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """What a session was asked for, before its first test."""

    runs: str
    """The folder of runs, absolute."""
    stack: str
    environment: str = "local"
    slo_file: str = ""
    control: bool = False
    quarantine: list[Entry] = []


class Reported(msgspec.Struct, frozen=True, kw_only=True, tag="reported"):
    """One phase of one test."""

    nodeid: str
    word: Word
    drill: str = ""
    """The drill's name; empty for a test that is none."""
    text: str = ""
    path: str = ""
    line: int = 0
    seconds: float = 0.0
    unreachable: bool = False
    """Wrong usage, for its stack did not come up or does not answer."""
    folder: str = ""
    """The run's; empty where there is none yet."""

    def __post_init__(self) -> None:
        for field in ("nodeid", "drill", "text", "path"):  # half characters, as of a file name, cannot be written
            whole = getattr(self, field).encode(errors="backslashreplace").decode()
            msgspec.structs.force_setattr(self, field, whole)


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The session is over."""

    status: int
    folder: str = ""
    told: list[str] = []
    """Lines of wrong usage that belong to no test."""


Line = Asked | Reported | Ended
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one test: the worst of its phases."""

    nodeid: str
    word: Word
    drill: str = ""
    text: str = ""
    path: str = ""
    line: int = 0
    seconds: float = 0.0
    unreachable: bool = False

    @property
    def name(self) -> str:
        """The drill's, or what pytest calls the test."""
        return self.drill or self.nodeid.rpartition("::")[2]


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One session, as far as it got."""

    asked: Asked | None = None
    tests: dict[str, Case] = {}
    """By node id, in the order in which they began."""
    ended: Ended | None = None
    folder: str = ""

    @property
    def unfinished(self) -> dict[str, Case]:
        """What another try may bring to an answer: what is in doubt, or found its stack out of reach. Never a FAIL."""
        return {
            nodeid: test
            for nodeid, test in self.tests.items()
            if test.word == "inconclusive" or (test.word == "usage" and test.unreachable)
        }

    @property
    def same_seed(self) -> list[str]:
        """pytest's arguments for the same schedules; none where no drill began."""
        try:
            return ["--drill-seed", str(read_about(Path(self.folder)).seed)] if self.folder else []
        except UsageError:
            return []

    @property
    def may_go_on(self) -> bool:
        """Whether another try makes sense: something is unfinished, and nothing else ended the session."""
        if self.ended is None or not self.unfinished or self.ended.told:
            return False
        if any(test.word == "usage" and not test.unreachable for test in self.tests.values()):
            return False
        return self.ended.status in (ExitCode.FAILED, ExitCode.INTERRUPTED, ExitCode.USAGE, ExitCode.INCONCLUSIVE)


def write_line(path: Path, line: Line) -> None:
    """Append it. Raises `OSError`."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def read_try(path: Path) -> Try:
    """As much as there is; nothing where there is no file."""
    lines: list[Line] = []
    with contextlib.suppress(OSError):
        for line in read_regular(path).splitlines():
            with contextlib.suppress(msgspec.MsgspecError):  # cut by what ended the session
                lines.append(_decoder.decode(line))
    tests: dict[str, Case] = {}
    folder = ""
    for one in lines:
        if isinstance(one, Reported):
            tests[one.nodeid] = _with(tests.get(one.nodeid), one)
        if not isinstance(one, Asked):
            folder = one.folder or folder
    return Try(
        asked=next((one for one in lines if isinstance(one, Asked)), None),
        tests=tests,
        ended=next((one for one in lines if isinstance(one, Ended)), None),
        folder=folder,
    )


def _with(known: Case | None, new: Reported) -> Case:
    """The test with one phase more."""
    fields = {name: getattr(new, name) for name in Case.__struct_fields__}
    if known is None:
        return Case(**fields)
    if _WORST.index(known.word) <= _WORST.index(new.word):
        fields |= {name: getattr(known, name) for name in ("word", "text", "unreachable")}
    return Case(**(fields | {"seconds": known.seconds + new.seconds, "drill": known.drill or new.drill}))
