"""``servedrill stack up``: a stack to play with, which goes when its command does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from servedrill.commands.main import main
from servedrill.control.direct import direct
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId, children, identify
from servedrill.leases.reader import open_leases

ROOT = Path(__file__).parents[2]
SMALL = """
[embedded]
engines = 1
gateways = 1
[embedded.settings.costs]
overhead_s = 0.002
warmup_steps = 1
"""


class Up:
    """The command, while it runs."""

    def __init__(self, folder: Path) -> None:
        (folder / "small.toml").write_text(SMALL)
        self.folder, self._out = folder, folder / "out"
        asked = ["stack", "up", "--stack", "small.toml", "--folder", "logs-here"]
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "servedrill.commands.main", *asked], cwd=folder, stdout=out, stderr=out,
                env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._out.read_text()

    def family(self) -> list[ProcessId]:
        """All processes that came of it."""
        found, pids = [], [self.process.pid]
        for pid in pids:
            pids += children(pid)
            if (identity := identify(pid)) is not None:
                found.append(identity)
        return found


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    yield up
    up.process.kill()
    up.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stack_is_up_until_its_command_is_told_to_end(up: Up, number: signal.Signals) -> None:
    """What it prints can be tried as it stands; then no process and no lease is left."""
    wait_for(lambda: "Ctrl-C ends it." in up.said, what="the stack to be up", within_s=60)
    for line in (
        "the stack 'embedded' is up",
        "gateway-0, through its proxy",
        "engine-0",
        "DNS name",
        "alerts",
        "logs",
    ):
        assert line in up.said
    url, body = re.search(r"curl -N (\S+) -H '[^']*' -d '(.*)'", up.said).groups()  # type: ignore[union-attr]
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, **direct())
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")
    family = up.family()
    assert len(family) > 4
    up.process.send_signal(number)
    assert up.process.wait(timeout=30) == 0
    wait_for(lambda: not any(process.alive for process in family), what="all of it to be gone", within_s=30)
    assert open_leases(up.folder / "logs-here" / "leases.jsonl") == []


def test_a_defect_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    """Before anything is started: no folder is made."""
    assert main(["stack", "up", "--defect", "nonsense", "--folder", str(tmp_path / "never")]) == 4
    assert not (tmp_path / "never").exists()
