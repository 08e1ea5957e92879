"""What stands around the words of an answer is held against how the stack talks."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import PHASES, answered, at, changed, fault, history, refused

from servedrill.checkers.answered import ErrorsReadable, RefusedWith
from servedrill.checkers.finding import Answer
from servedrill.checkers.integrity import TokenExact
from servedrill.history.dialect import Dialect, as_told
from servedrill.history.events import AnyEvent, DialectSeen


def spoken(*events: AnyEvent, pinned: bool = False, **dialect: Any) -> Answer:
    """What is said of answers of a stack that talks like this and whose words nobody knows."""
    seen = DialectSeen(t_ns=at(0), dialect=dialect, pinned=pinned)
    return TokenExact()(history(seen, *fault(start=4), *events, promises={"oracle": "frames"})).answer


NAMED = {"models": ["m-2026-01-01"]}


def test_a_name_that_was_used_before_anything_was_broken_is_its_own() -> None:
    """Behind one door there may be several, and asking finds some of them."""
    assert spoken(answered(1), changed(answered(5), **NAMED)) is Answer.FAIL
    assert spoken(changed(answered(1), **NAMED), changed(answered(5), **NAMED)) is Answer.PASS
    assert spoken(changed(answered(5), **NAMED), names=["m-2026-01-01"]) is Answer.PASS


def test_who_states_its_names_is_held_to_them() -> None:
    """Also before anything is broken."""
    assert spoken(changed(answered(1), **NAMED), pinned=True) is Answer.FAIL
    assert spoken(changed(answered(1), **NAMED), pinned=True, names=["m-2026-01-01"]) is Answer.PASS


@pytest.mark.parametrize(
    ("dialect", "fields", "answer"),
    [
        ({"role": "never"}, {"preambles": 0}, Answer.PASS),
        ({"role": "never"}, {"preambles": 1}, Answer.FAIL),
        ({"role": "often"}, {"preambles": 7}, Answer.PASS),
        ({}, {"preambles": 0}, Answer.FAIL),
        ({"done": False}, {"done_frames": 0}, Answer.PASS),
        ({"done": False}, {"done_frames": 1}, Answer.PASS),
        ({"done": False}, {"done_frames": 2}, Answer.FAIL),
        ({}, {"done_frames": 0}, Answer.FAIL),
        ({"role": "never", "done": False}, {"preambles": 0, "models": ["a", "b"], "done_frames": 0}, Answer.FAIL),
    ],
)
def test_a_dialect_excuses_what_it_is_and_no_more(
    dialect: dict[str, Any], fields: dict[str, Any], answer: Answer
) -> None:
    assert spoken(changed(answered(5), **fields), **dialect) is answer


def test_who_answers_wrong_requests_cannot_be_held_to_refusing_them() -> None:
    """Where another status of its own says so, that will do."""
    claim = RefusedWith(window="inject", classes=["bad"], statuses=[400])
    assert claim.moot(Dialect(invalid=200)) and claim.moot(Dialect(invalid=500))
    assert not claim.moot(Dialect(invalid=422))
    assert not RefusedWith(window="inject", classes=["bad"], statuses=[429]).moot(Dialect(invalid=200))


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        ({}, Answer.FAIL),
        ({"error_object": False}, Answer.FAIL),
        ({"error_object": False, "error_id": "none"}, Answer.PASS),
    ],
)
def test_what_no_error_of_a_stack_has_is_a_habit_of_it(dialect: dict[str, Any], answer: Answer) -> None:
    """It is told, and not held against errors under a fault; a Retry-After is asked for of everybody."""
    seen = DialectSeen(t_ns=at(0), dialect=dialect, pinned=False)
    claim = ErrorsReadable(window="inject")
    bare = [refused(4 + number / 10, readable=False) for number in range(8)]
    assert claim(history(seen, *PHASES, *bare)).answer is answer
    silent = [refused(4 + number / 10, readable=False, retry_after_s=None) for number in range(8)]
    assert claim(history(seen, *PHASES, *silent)).answer is Answer.FAIL


def test_a_dialect_of_a_newer_version_is_known_as_far_as_it_is() -> None:
    assert as_told({"role": "never", "accent": "strong"}) == Dialect(role="never")
