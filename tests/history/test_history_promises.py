"""Promises: each one is held to by somebody, and one that was not made is not made up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from servedrill.history.promises import Promises, as_made

ROOT = Path(__file__).parents[2]


def test_somebody_is_held_to_every_promise() -> None:
    """A promise that no checker, fault or drill reads would be a claim that nothing stands behind."""
    read: set[str] = set()
    for folder in ("servedrill/checkers", "servedrill/judging", "servedrill/drill", "servedrill/faults", "drills"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    read |= {"engine_model", "tokens_per_word"}  # through direct_model, words_within
    assert [name for name in Promises.__struct_fields__ if name not in read] == []


def test_a_promise_that_was_not_made_has_no_value() -> None:
    """The default of a field is the embedded stack's, and says nothing of a history that lacks it."""
    made = as_made({"tries_max": 2})
    assert made.tries_max == 2
    with pytest.raises(LookupError, match="promised nothing called detect_s"):
        _ = made.detect_s
