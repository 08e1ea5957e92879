"""Whole days on the embedded stack, as a command: carried out, stopped, killed, taken up again; nothing stays broken.

One day with kill -9 at a moment of chance here; ``SERVEDRILL_ATTACKS=20`` for more of them.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servedrill.checkers.finding import Answer
from servedrill.gameday import record as r
from servedrill.gameday.verdict import day_verdict
from servedrill.host.clock import wait_for
from servedrill.host.processes import with_variable
from servedrill.leases.left import left_in

Write = Callable[..., Path]
DAYS = int(os.environ.get("SERVEDRILL_ATTACKS") or 1)
SEED = int(os.environ.get("SERVEDRILL_ATTACKS_SEED") or random.randrange(10**6))
SERVEDRILL = [sys.executable, "-m", "servedrill.commands.main"]
STACK = """
[embedded]
engines = 2
gateways = 1
"""
QUICK = {
    "traffic": [{"kind": "chat", "rate": 12}],
    "blast-radius": {"replicas": 1, "keep-healthy": 1},
    "steady-state-hypothesis": {
        "title": "Users are served.",
        "within": "20s",
        "probes": [{"sli": "success", "at-least": 0.9, "over": "1s"}],
    },
}
FREEZE = {"name": "cold", "fault": "freeze", "on": "engine-1", "hold": "2s"}


class Day:
    """A day that goes on in a process of its own, marked so that whatever it starts can be found."""

    def __init__(self, folder: Path, playbook: Path, *more: str, action: str = "run") -> None:
        (folder / "stack.toml").write_text(STACK)
        self.runs = folder / "runs"
        self.mark = f"SERVEDRILL_TEST_DAY={folder}"
        name, _, value = self.mark.partition("=")
        target = [str(playbook), "--stack", str(folder / "stack.toml")] if action == "run" else []
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "servedrill.commands.main",
                "gameday",
                action,
                *target,
                "--runs",
                str(self.runs),
                *more,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, name: value},
        )

    @property
    def record(self) -> list[r.AnyEntry]:
        found = sorted(self.runs.glob(f"*/{r.RECORD}"))
        return r.read_record(found[-1].parent) if found else []

    def until(self, seen: Callable[[r.AnyEntry], bool], *, what: str) -> None:
        """Wait for an entry."""
        wait_for(lambda: any(map(seen, self.record)), what=what, within_s=60)

    def ended(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out

    def nothing_left(self) -> None:
        """No process of it, and no undo record that is open."""
        wait_for(lambda: not with_variable(self.mark), what="every process of the day to be gone", within_s=30)
        assert [left.what for left in left_in(self.runs)] == []


@contextlib.contextmanager
def day(folder: Path, playbook: Path, *more: str, action: str = "run") -> Iterator[Day]:
    one = Day(folder, playbook, *more, action=action)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()
        wait_for(lambda: not with_variable(one.mark), what="every process of the day to be gone", within_s=30)


def injected(entry: r.AnyEntry) -> bool:
    return isinstance(entry, r.FaultSeen) and entry.what == "injected"


def test_a_day_from_plan_to_retro(tmp_path: Path, written: Write) -> None:
    """A question, a fault, branches side by side, a hook that is told what came before, a page."""
    told = tmp_path / "told"
    hook = [sys.executable, "-c", f"import sys; open({str(told)!r}, 'w').write(sys.argv[1])", "${cold.status}"]
    playbook = written(
        **QUICK,
        method=[
            {"ask": "Ready?"},
            FREEZE,
            {
                "parallel": [
                    [{"pause": "1s"}],
                    [{"fault": "latency", "on": "engine-0", "with": {"ms": 5}, "hold": "1s"}],
                ]
            },
            {"hook": hook},
            {"wait": {"replica": "engine-1", "is": "up"}},
        ],
        rollbacks=[{"hook": ["true"]}],
    )
    with day(tmp_path, playbook, "--yes") as one:
        status, out = one.ended()
        one.nothing_left()
    verdict = day_verdict(one.record)
    assert (status, verdict.answer) == (0, Answer.PASS), out
    assert told.read_text() == "pass"
    folder = next(one.runs.glob("*-gameday-*"))
    assert "## Actions" in (folder / "gameday.md").read_text()
    assert "What happened" in (folder / "gameday.html").read_text()
    proven = {(one.fault, one.what) for one in one.record if isinstance(one, r.FaultSeen) and one.proven}
    assert {
        (fault, what) for fault in ("process_pause", "latency") for what in ("injected", "proven", "healed")
    } == proven


def test_a_stop_condition_heals_at_once_and_fails_the_day(tmp_path: Path, written: Write) -> None:
    """Everybody fails while it is broken: within two seconds of that being seen, nothing is broken any more."""
    playbook = written(
        **{**QUICK, "blast-radius": {"replicas": 2, "keep-healthy": 0}},
        method=[{"fault": "http_status", "on": "engines", "with": {"status": 500}, "hold": "60s"}, {"ask": "Never?"}],
        stop_conditions=[{"name": "users fail", "sli": "success", "below": 0.5, "over": "1s"}],
    )
    with day(tmp_path, playbook, "--yes") as one:
        status, out = one.ended()
        one.nothing_left()
    halted = [entry for entry in one.record if isinstance(entry, r.Halted)]
    assert status == 1, out
    assert len(halted) == 1 and halted[0].measured and "users fail" in halted[0].reason
    assert not any(isinstance(entry, r.StepBegun) and entry.act == "ask" for entry in one.record)
    abort_s = day_verdict(one.record).abort_s
    assert abort_s is not None and abort_s < 10, "a generous bound: bench/halt.py has the figure"


def test_halt_from_another_terminal_stops_the_day_and_the_next(tmp_path: Path, written: Write) -> None:
    """Until somebody releases it; the verdict says who and why."""
    playbook = written(**QUICK, method=[{**FREEZE, "hold": "60s"}])
    with day(tmp_path, playbook, "--yes") as one:
        one.until(injected, what="the fault")
        halt = [*SERVEDRILL, "halt", "--reason", "pager rings", "--by", "ben", "--runs", str(one.runs)]
        said = subprocess.run(halt, capture_output=True, text=True, check=True).stdout
        status, out = one.ended()
        one.nothing_left()
    assert "All healed" in said and "proven" in said, said
    assert status == 6 and "stopped by ben: pager rings" in out, out
    with day(tmp_path, playbook, "--yes") as again:
        status, out = again.ended()
    assert status == 4 and "pager rings" in out and "servedrill release" in out, out


def test_a_signal_stops_the_day_as_anybody_does(tmp_path: Path, written: Write) -> None:
    """A cancelled job, a terminal that is closed: healed, recorded, a verdict."""
    playbook = written(**QUICK, method=[{**FREEZE, "hold": "60s"}])
    with day(tmp_path, playbook, "--yes") as one:
        one.until(injected, what="the fault")
        one.process.send_signal(signal.SIGTERM)
        status, out = one.ended()
        one.nothing_left()
    assert status == 6 and "stopped by the system: SIGTERM" in out, out


def test_no_go_ends_the_day_before_anything_is_broken(tmp_path: Path, written: Write) -> None:
    """And so does a question that nobody can be asked."""
    playbook = written(**QUICK, method=[{"ask": "Ready?"}, FREEZE])
    with day(tmp_path, playbook, "--no-input") as one:
        status, out = one.ended()
        one.nothing_left()
    assert status == 6 and "no-go: Ready?" in out, out
    assert not any(map(injected, one.record))


def test_a_stack_that_is_not_well_is_not_broken_further(tmp_path: Path, written: Write) -> None:
    """A hypothesis that is not met before the method is no pass, and no fail: nothing was tested."""
    steady = {**QUICK["steady-state-hypothesis"], "within": "1s"}  # type: ignore[dict-item]
    steady["probes"] = [{"sli": "ttft-p50", "at-most": "1ms", "over": "1s"}]
    playbook = written(**{**QUICK, "steady-state-hypothesis": steady}, method=[FREEZE])
    with day(tmp_path, playbook, "--yes") as one:
        status, out = one.ended()
    assert status == 6 and "not tested" in out, out
    assert not any(map(injected, one.record))


@pytest.mark.parametrize("number", range(DAYS))
def test_a_killed_day_is_healed_and_taken_up_again(tmp_path: Path, written: Write, number: int) -> None:
    """kill -9 at any moment after the first fault: nothing is left, and the day goes on where it was."""
    chance = random.Random(SEED + number)
    playbook = written(**QUICK, method=[{"ask": "Ready?"}, FREEZE, {**FREEZE, "name": "again", "on": "engine-0"}])
    with day(tmp_path, playbook, "--yes") as one:
        one.until(injected, what="the first fault")
        time.sleep(chance.uniform(0, 6))  # the moment is what is drawn
        one.process.send_signal(signal.SIGKILL)
        one.process.wait()
        one.nothing_left()
    if any(isinstance(entry, r.Ended) for entry in one.record):
        return  # it was over by then
    done = {entry.step for entry in one.record if isinstance(entry, r.StepEnded)}
    with day(tmp_path, playbook, "--yes", action="resume") as again:
        status, out = again.ended()
        again.nothing_left()
    assert status == 0, f"SERVEDRILL_ATTACKS_SEED={SEED + number}\n{out}"
    begun = [entry.step for entry in again.record if isinstance(entry, r.StepBegun)]
    assert all(begun.count(step) == 1 for step in done)
    assert day_verdict(again.record).answer is Answer.PASS


def test_what_changed_since_the_plan_is_refused(tmp_path: Path, written: Write) -> None:
    """People said yes to something else."""
    playbook = written(**QUICK, method=[FREEZE])
    (tmp_path / "stack.toml").write_text(STACK)
    kept = tmp_path / "plan.json"
    command = [*SERVEDRILL, "gameday", "plan", str(playbook), "--out", str(kept)]
    subprocess.run([*command, "--stack", str(tmp_path / "stack.toml")], check=True, capture_output=True)
    playbook.write_text(playbook.read_text() + "\n# another day\n")
    with day(tmp_path, playbook, "--yes", "--plan", str(kept)) as one:
        status, out = one.ended()
    assert status == 4 and "changed since it was planned: playbook" in out, out
    assert not one.record


def test_a_plan_says_what_cannot_be_done_here(tmp_path: Path, written: Write) -> None:
    """More at once than the blast radius allows, a replica that is not there, a power that the stack lacks."""
    playbook = written(
        **QUICK,
        method=[
            {"fault": "kill", "on": "engines"},
            {"fault": "kill", "on": "engine-7"},
            {"fault": "network_cut", "on": "engine-0"},
        ],
    )
    (tmp_path / "stack.toml").write_text(STACK)
    command = [sys.executable, "-m", "servedrill.commands.main", "gameday", "plan", str(playbook)]
    done = subprocess.run(
        [*command, "--stack", str(tmp_path / "stack.toml")],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 4, done.stdout + done.stderr
    for said in (
        "breaks 2 at once",
        "breaks 2 of 2 engines",
        "no 'engine-7' in stack",
        "step 3 (network_cut on engine-0) cannot",
    ):
        assert said in " ".join(done.stdout.split()), done.stdout
