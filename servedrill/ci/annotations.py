"""What stands beside the code on GitHub: a line of output for each reason, at the drill that it is about."""

from __future__ import annotations

import os
from pathlib import Path

from servedrill.ci.gate import Outcome
from servedrill.ci.night import Night
from servedrill.ci.record import Case
from servedrill.errors import ExitCode
from servedrill.reporting.shown import shown
from servedrill.secrecy.looks import masked_text

_LONGEST = 1000


def annotated(night: Night, outcome: Outcome, worse: list[str]) -> list[str]:
    """Errors for what makes the night red, warnings for what is shown and does not gate; GitHub shows the first ten of
    each."""
    lines = []
    for reason in outcome.reasons:
        level = "warning" if reason.code is ExitCode.INCONCLUSIVE else "error"
        title = f"{reason.test.name}: {reason.test.word}" if reason.test else "servedrill ci"
        lines.append(_command(level, title, reason.text, reason.test))
    for test in night.tests:
        if test.word == "quarantined":
            lines.append(_command("notice", f"{test.name}: quarantined", test.text, test))
    for again in night.again:
        said = f"{again.before.word} at first, then {again.after.word}: {again.before.text}"
        lines.append(_command("notice", f"{again.after.name}: tried twice", said, again.after))
    return lines + [_command("warning", "servedrill ci", line, None) for line in worse]


def _command(level: str, title: str, text: str, test: Case | None) -> str:
    place = f"file={_property(path)},line={test.line}," if test is not None and (path := _from_root(test.path)) else ""
    return f"::{level} {place}title={_property(title)}::{_data(text)}"


def _from_root(path: str) -> str:
    """As the repository has it; empty for what is not in it, which nobody can place."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    found = Path(path)
    return str(found.relative_to(root)) if path and found.is_relative_to(root) else ""


def _data(text: str) -> str:
    words = masked_text(shown(text))[:_LONGEST]
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
