"""Nights whose drills come to what a table says (``-p tests.worlds.nights``): ``night.json`` beside them has, for each
drill, its answer on the first try and on the second, ``down`` for a stack that is out of reach.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import StackError
from servedrill.fixtures.drill import drill as drill
from servedrill.history.events import DrillStarted
from servedrill.history.journal import read_events
from servedrill.judging.verdict import Verdict
from servedrill.plugin import drills_of
from servedrill.runs.layout import HISTORY, VERDICT
from servedrill.stacks.file import StackFile
from tests.worlds.paper import PaperStack, paper_up

ANSWERS = {"inconclusive": "no samples", "fail": "2 of 9 answers wrong", "pass": "all 9 answers right"}


def planned(drill: str) -> str:
    """What it comes to this time; a drill that the table does not name holds."""
    tries = json.loads(Path("night.json").read_text()).get(drill, ["pass"])
    again = Path(".servedrill/ci/record-again.jsonl").exists()
    return str(tries[-1] if again else tries[0])


def judge_by_plan(folder: Path) -> Verdict:
    """In place of `servedrill.runs.verdicts.judge_folder`."""
    started = read_events(folder / HISTORY)[0]
    assert isinstance(started, DrillStarted)
    answer = Answer(planned(started.drill))
    finding = Finding(
        checker="RetriesSpread", answer=answer, claim="Retries are spread.", observed=ANSWERS[answer], window="broken"
    )
    verdict = Verdict(
        drill=started.drill, answer=answer, hypothesis=started.hypothesis, seed=started.seed, control=started.control,
        defects=started.defects, findings=[finding],
    )  # fmt: skip
    (folder / VERDICT).write_bytes(msgspec.json.encode(verdict))
    return verdict


@contextlib.contextmanager
def up_by_plan(file: StackFile, folder: Path, **more: Any) -> Iterator[PaperStack]:
    """In place of `servedrill.stacks.lifecycle.stack_up`."""
    if planned(folder.name) == "down":
        raise StackError("does not answer", where="paper", hint="is it up?")
    with paper_up(file, folder, **more) as stack:
        yield stack


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the options are looked at, which makes the session."""
    drills = drills_of(config)
    drills.judge_folder, drills.bring_up = judge_by_plan, up_by_plan
