"""Verdicts that are what a drill's name says, but for a drill that fails: it holds the second time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from servedrill.checkers.finding import Answer
from servedrill.judging.verdict import Verdict
from servedrill.plugin import drills_of
from servedrill.runs.layout import VERDICT
from tests.worlds.named import judge_by_name


def judge_better(folder: Path) -> Verdict:
    """In place of `servedrill.runs.verdicts.judge_folder`."""
    verdict = judge_by_name(folder)
    if folder.name.endswith("-2"):
        findings = [msgspec.structs.replace(finding, answer=Answer.PASS) for finding in verdict.findings]
        verdict = msgspec.structs.replace(verdict, answer=Answer.PASS, findings=findings)
    (folder / VERDICT).write_bytes(msgspec.json.encode(verdict))
    return verdict


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before the options are looked at, which makes the session."""
    drills_of(config).judge_folder = judge_better
