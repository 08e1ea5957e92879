"""Whole drills on a server that answers as nobody should: each ends in time, in little memory, and in an exit code that
says what is known.

A few of them here, all with SERVEDRILL_ATTACKS=all (`nox -s attacks`).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from servedrill.host.clock import wait_for
from servedrill.host.processes import family
from tests.worlds.hostile import BODIES, HEADS, STREAMS, Mode, Place, hostile

ROOT = Path(__file__).parents[2]
ALL = os.environ.get("SERVEDRILL_ATTACKS") == "all"
WITHIN_S = 300.0
BYTES_MAX = 500 << 20
DRILL = '''
"""It answers."""
from fixtures.drill import drill
from servedrill.checkers.answered import NoFailures
from servedrill.drill.traffic import chat

def test_talk(drill):
    drill.load(chat(rate=20, stream=0.7))
    drill.baseline(2)
    drill.expect(NoFailures(window="baseline"))
'''


@dataclass(frozen=True)
class Attack:
    """``well_first``: how many answers of each kind are good ones, so that the stack is drilled at all."""

    modes: Mapping[Place, Mode]
    codes: frozenset[int]
    well_first: int = 0
    asks: bool = False
    """Whether the stack is asked how it talks."""


REFUTED, NOT_DRILLED, NO_MATTER = frozenset({1, 6}), frozenset({4}), frozenset({0, 6})
SPARED = {"open after the end"}
"""Nothing is missing from such an answer, but its end."""


def attacks() -> dict[str, Attack]:
    """Every mode in traffic, in metrics and in the first look."""
    found: dict[str, Attack] = {}
    for name, mode in {**HEADS, **BODIES, **STREAMS}.items():
        codes = REFUTED | NO_MATTER if name in SPARED else REFUTED
        found[f"traffic: {name}"] = Attack({"stream": mode, "whole": mode}, codes, well_first=1)
    for name, mode in {**HEADS, **BODIES}.items():
        watched: dict[Place, Mode] = {"metrics": mode, "health": mode, "alerts": mode}
        found[f"metrics: {name}"] = Attack(watched, NO_MATTER, well_first=1)
    for name in FIRST_LOOKS:
        found[f"first look: {name}"] = Attack({"any": {**HEADS, **BODIES}[name]}, NOT_DRILLED, asks=True)
    return found


FIRST_LOOKS = (
    "nothing, and open", "nothing, and closed", "a head that drips", "headers without end",
    "interim answers without end", "another protocol", "two lengths", "leads nowhere", "a body that drips", "200 MB",
    "a chunk's extension without end", "gzip bomb", "br", "too deep", "a list", "fields of other kinds", "UTF-16",
)  # fmt: skip
FEW = (
    "traffic: tokens without end", "traffic: a line without end", "metrics: gzip bomb", "first look: a list",
)  # fmt: skip


@pytest.mark.parametrize("name", attacks() if ALL else FEW)
def test_a_drill_on_a_hostile_stack_ends(name: str, tmp_path: Path) -> None:
    """With an answer, in time, in bounded memory, without a traceback, and nothing left."""
    attack = attacks()[name]
    with hostile(attack.modes, well_first=attack.well_first) as url:
        code, said, peak_bytes = drilled(tmp_path, url, asks=attack.asks)
    assert "Traceback" not in said, said
    assert "INTERNALERROR" not in said, said
    assert code in attack.codes, said
    assert peak_bytes < BYTES_MAX, f"{peak_bytes >> 20} MiB"


def drilled(folder: Path, url: str, *, asks: bool) -> tuple[int, str, int]:
    """Exit code, what was said, and what the largest process of all had in memory at most."""
    (folder / "test_talk.py").write_text(DRILL)
    (folder / "stack.toml").write_text(
        f'alerts = "{url}"\nkind = "external"\nname = "theirs"\n[external]\nurl = "{url}"\n'
        f"{'' if asks else '[dialect]'}\n[promises]\nmodel = 'm'\noracle = 'frames'\n"
        f'[[replica]]\nname = "engine-0"\nrole = "engine"\nurl = "{url}"\n'
    )
    command = [sys.executable, "-m", "pytest", "test_talk.py", "-p", "no:cacheprovider"]
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            [*command, "--drill-stack", "stack.toml", "--drill-runs", "runs"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdout=said,
            stderr=said,
        )
        peaks: dict[int, int] = {}
        until = time.monotonic() + WITHIN_S
        try:
            while process.poll() is None and time.monotonic() < until:
                peaks |= _peaks(process.pid)
                time.sleep(0.1)
            assert process.returncode is not None, f"not over after {WITHIN_S:.0f} s"
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in peaks), what="our processes", within_s=60)
    return process.returncode, text, max(peaks.values())


def _peaks(root: int) -> dict[int, int]:
    """Bytes that each process below ``root`` had in memory at most."""
    found: dict[int, int] = {}
    for pid in family(root):
        with contextlib.suppress(OSError, StopIteration):
            status = Path(f"/proc/{pid}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            found[pid] = int(line.split()[1]) << 10
    return found
