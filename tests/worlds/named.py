"""Verdicts that are what a drill's name says, for tests of what a verdict leads to (``-p tests.worlds.named``)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from servedrill.checkers.finding import Answer, Finding
from servedrill.history.events import DrillStarted
from servedrill.history.journal import read_events
from servedrill.judging.verdict import Verdict
from servedrill.plugin import drills_of
from servedrill.runs.layout import HISTORY, VERDICT

ANSWERS = {"holds": Answer.PASS, "fails": Answer.FAIL}


def judge_by_name(folder: Path) -> Verdict:
    """In place of `servedrill.runs.verdicts.judge_folder`: a drill that holds holds, one that fails fails, and nobody
    knows of the others.
    """
    answer = ANSWERS.get(folder.name[:5], Answer.INCONCLUSIVE)
    finding = Finding(
        checker="Name", answer=answer, claim="It is in the name.", observed=folder.name, evidence=["chat-1"]
    )
    started = read_events(folder / HISTORY)[0]
    assert isinstance(started, DrillStarted)
    verdict = Verdict(
        drill=started.drill,
        answer=answer,
        hypothesis=started.hypothesis,
        seed=started.seed,
        control=started.control,
        defects=started.defects,
        findings=[finding],
    )
    (folder / VERDICT).write_bytes(msgspec.json.encode(verdict))
    return verdict


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the options are looked at, which makes the session."""
    drills_of(config).judge_folder = judge_by_name
