"""A claim asks for the promises that it rests on before anything else, so that it is known beforehand whether it can be
judged at all."""

from __future__ import annotations

import ast
import inspect
import textwrap

import msgspec
import pytest
from made_up import history

from servedrill.checkers.checker import REGISTRY, Checker
from servedrill.checkers.finding import Answer
from servedrill.history.history import History
from servedrill.history.promises import LIMITS
from servedrill.judging import catalogue
from servedrill.judging.foresight import cannot_be_judged

MADE_UP = {str: "x", "str": "x", "int": 1, "float": 1.0, "list[str]": ["x"], "list[int]": [400]}


def promises_in(cls: type[Checker]) -> set[str]:
    """Names of promises that stand in a checker's source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_name(node.value)}
    return attributes & set(LIMITS) if "p" in named or "promises" in attributes else set()


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def made(cls: type[Checker]) -> Checker:
    """With any value for what has to be given."""
    required = {
        field.name: MADE_UP.get(str(field.type).replace("<class '", "").replace("'>", ""), "x")
        for field in msgspec.structs.fields(cls)
        if field.required
    }
    return cls(**required)


assert catalogue.MODULES  # which loads all of them
RESTING = {
    cls.__name__: cls for cls in REGISTRY.values() if cls.__module__.startswith("servedrill.") and promises_in(cls)
}


@pytest.mark.parametrize("name", sorted(set(RESTING) - {"AdmissionBounded", "TokenExact"}))
def test_a_claim_without_its_promise_is_foreseen(name: str) -> None:
    """Of a history in which nothing has happened, as `servedrill doctor` has it; and it is no PASS and no FAIL."""
    checker = made(RESTING[name])
    nobody = History([msgspec.structs.replace(history().drill, promises={"pace": 1.0})])
    assert "the stack promised nothing called" in cannot_be_judged(checker, nobody)
    assert checker.judge(nobody).answer is Answer.INCONCLUSIVE


def test_there_are_such_claims() -> None:
    assert len(RESTING) > 12, sorted(RESTING)


def test_what_is_promised_is_not_in_the_way() -> None:
    """The same claims, of a stack that has made all of its promises."""
    for cls in RESTING.values():
        assert cannot_be_judged(made(cls), history()) == ""
