"""``doctor --measure``: what was found, on the terminal and in a stack file."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import msgspec

from servedrill.files.whole import write_whole
from servedrill.history.promises import Promises, with_assumed
from servedrill.reporting.console import ConsoleProgress
from servedrill.reporting.tables import console_for
from servedrill.session.measuring import SLACK, Measured, measure
from servedrill.stacks.file import StackFile
from servedrill.stacks.promising import MARK, line_of, write_promises
from servedrill.stacks.reading import read_stack_file


def measured(file: StackFile, *, within_s: float) -> Measured:
    """Load the stack, and say so before. Raises as `servedrill.session.measuring.measure`."""
    print(f"measuring {file.name!r}: bursts of up to 384 requests and steady traffic, for {within_s:.0f} s at most")
    with (
        tempfile.TemporaryDirectory(prefix="servedrill-measure-") as folder,
        ConsoleProgress(console_for(sys.stderr), "measure") as progress,
    ):
        return measure(file, Path(folder), progress, budget_s=within_s)


def lines(found: Measured) -> list[str]:
    """Of a ``[promises]`` table."""
    return [line_of(one.name, one.value, one.because) for one in found.figures]


def promising(file: StackFile, found: Measured) -> StackFile:
    """Tell what was found and, where there is a stack file, write it there; the stack as it promises then."""
    print(f"measured with {found.load}; times are {SLACK:g} times what was seen:\n")
    print("[promises]", *lines(found), sep="\n")
    for name, why in found.unknown.items():
        print(f"# {name} is not known: {why}")
    if not file.path:
        print("\nnothing was written: there is no stack file; `servedrill init` makes one\n")
        return with_figures(file, found)
    kept = write_promises(Path(file.path), lines(found))
    print(f"\nwritten to {file.path}" + (f"; kept as it was stated: {', '.join(kept)}" if kept else "") + "\n")
    return read_stack_file(Path(file.path))


def fit(path: Path, found: Measured) -> None:
    """Write the times into the lines of an SLO file that say that they are measured; others stay.

    Raises `UsageError` for a file that cannot be written, which stays as it was.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # whoever drills is told
    limits = {"ttft_s": found.ttft_s, "tpot_s": found.tpot_s}
    written = [_fitted(line, limits) for line in text.splitlines()]
    if written != text.splitlines():
        write_whole(path, ("\n".join(written) + "\n").encode())
        print(f"and to {path}: " + ", ".join(f"{measure} <= {limit:g}" for measure, limit in limits.items()) + "\n")


def _fitted(line: str, limits: dict[str, float]) -> str:
    before, mark, after = line.partition(MARK)
    measure = next((name for name in limits if after.startswith(f": {name}")), "")
    if not mark or not measure:
        return line
    value = re.sub(r"(value\s*=\s*)[0-9.]+", rf"\g<1>{limits[measure]:g}", before)
    return f"{value}{MARK}: {measure}, {SLACK:g} times what was seen"


def with_figures(file: StackFile, found: Measured) -> StackFile:
    """The stack with what was found, in memory alone."""
    assert file.promises is not None
    told = {one.name: one.value for one in found.figures}
    stated = {name for name in Promises.__struct_fields__ if name not in file.promises.assumed} - {"oracle"}
    promises = with_assumed(msgspec.structs.replace(file.promises, **told), {*stated, *told})
    return msgspec.structs.replace(file, promises=promises)
