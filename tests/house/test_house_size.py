"""The house stays readable: no function, file or line of prose longer than a reader takes in at once.

Lines of code are ruff's (E501), which leaves out what ends in a remark for a tool.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE_MAX, FUNCTION_LINES_MAX, FILE_LINES_MAX = 120, 60, 400
FOLDERS = ("servedrill", "drills", "fixtures", "tests", "bench")


def too_long(path: Path, text: str) -> Iterator[str]:
    """What in a file is longer than it may be, each with its line."""
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}: {len(lines)} lines, at most {FILE_LINES_MAX}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def test_nothing_is_longer_than_a_reader_takes_in() -> None:
    """Functions of 60 lines, files of 400 lines, everywhere."""
    sources = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    found = [
        one for path in [*sources, ROOT / "noxfile.py"] for one in too_long(path.relative_to(ROOT), path.read_text())
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n" * 401, "401 lines"),
        ("def long() -> None:\n" + "    x = 1\n" * 60, "long has 61 lines"),
    ],
    ids=["file", "function"],
)
def test_what_is_too_long_is_found(text: str, said: str) -> None:
    """The rule itself can fail."""
    (found,) = too_long(Path("planted.py"), text)
    assert said in found


def test_no_line_of_prose_is_longer_than_a_line() -> None:
    """Of every page: tables, code and what cannot be broken left out."""
    found = []
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        in_code = False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            in_code ^= line.startswith("```")
            breakable = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "", line)
            if len(line) > LINE_MAX and not in_code and len(breakable) > LINE_MAX and line.lstrip()[:1] not in "|<!":
                found.append(f"{path.relative_to(ROOT)}:{number}: {len(line)} characters")
    assert not found, "\n" + "\n".join(found)
