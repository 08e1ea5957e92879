"""Every checker is shown a bug that it must refute, a clean run that it must pass, and too little to say anything."""

from __future__ import annotations

import inspect
from pathlib import Path

import made_up
import msgspec
import plants_answered
import plants_capacity
import plants_conservation
import plants_failover
import plants_fairness
import plants_integrity
import plants_progress
import plants_recovery
import plants_replicas
import plants_retries
import plants_rolling
import plants_streaming
import plants_swap
import plants_validity
import pytest

from servedrill import checkers
from servedrill.checkers import validity
from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import EVIDENCE_MAX, Answer
from servedrill.history.history import History
from servedrill.judging import catalogue
from servedrill.judging.verdict import judge

MODULES = (
    plants_answered,
    plants_capacity,
    plants_conservation,
    plants_failover,
    plants_fairness,
    plants_integrity,
    plants_progress,
    plants_recovery,
    plants_replicas,
    plants_retries,
    plants_rolling,
    plants_streaming,
    plants_swap,
    plants_validity,
)
PLANTS: list[made_up.Plant] = [plant for module in MODULES for plant in module.PLANTS]
ROWS = [row for plant in PLANTS for row in plant.rows()]
CHECKERS = [
    cls
    for module in catalogue.MODULES
    for _, cls in inspect.getmembers(module, inspect.isclass)
    if issubclass(cls, Checker) and cls is not Checker and cls.__module__ == module.__name__
]
NEVER_REFUTE = {"CancelsCovered", "KvPoolFilled", *(name for name in vars(validity) if name in catalogue.names())} - {
    "Checker",
    "FaultsHealed",
}
"""They only say whether there is enough to judge by."""
NEVER_PROVE = {"Unpromised"}
"""They stand for a claim that was not made."""
ALWAYS_KNOW = {"FaultsHealed"}
"""What was injected is known from the history's own lines, so there is nothing that could be missing."""


@pytest.mark.parametrize(("checker", "history", "answer"), [pytest.param(*row, id=name) for name, *row in ROWS])
def test_answer(checker: Checker, history: History, answer: Answer) -> None:
    """The checker's word, as a judge hears it: a planted bug is refuted, a clean run passes, silence is no proof."""
    asked = History([*history.events, checker.expected(history.end_ns)])
    found = judge(asked).findings[-1]
    assert (found.checker, found.answer) == (type(checker).__name__, answer), found.observed
    if answer is not Answer.INCONCLUSIVE:
        assert found == checker.judge(asked)
    assert found.observed
    assert len(found.evidence) <= EVIDENCE_MAX
    assert found.claim.endswith(".")


@pytest.mark.parametrize("cls", CHECKERS, ids=lambda cls: cls.__name__)
def test_every_checker_has_all_three(cls: type[Checker]) -> None:
    """A checker without a planted bug, a clean run and a doubt is not known to work."""
    mine = [plant for plant in PLANTS if type(plant.checker) is cls]
    assert any(plant.clean for plant in mine) != (cls.__name__ in NEVER_PROVE)
    assert any(plant.bugs for plant in mine) != (cls.__name__ in NEVER_REFUTE)
    assert any(plant.too_little for plant in mine) != (cls.__name__ in ALWAYS_KNOW)


def test_a_refutation_names_its_evidence() -> None:
    """Where requests are to blame, the finding says which, so that somebody can look them up."""
    for name, checker, history, answer in ROWS:
        if answer is Answer.FAIL and isinstance(checker, (*(type(p.checker) for p in plants_integrity.PLANTS),)):
            known = {request.id for request in history.requests(cancelled=True)}
            evidence = checker(history).evidence
            assert evidence and known.issuperset(evidence), name


@pytest.mark.parametrize(
    ("checker", "history"),
    [pytest.param(checker, told, id=name) for name, checker, told, answer in ROWS if answer is Answer.FAIL],
)
def test_one_violation_is_enough(checker: Checker, history: History) -> None:
    """How many there have to be is asked of a proof. A claim that allows for none is refuted by one, however few."""
    fewest = {field: 10**6 for field in type(checker).__struct_fields__ if field.endswith("_min")}
    if checker(history).threshold == "0" and fewest:
        assert msgspec.structs.replace(checker, **fewest)(history).answer is Answer.FAIL


def test_every_module_of_the_room_is_known() -> None:
    """A checker in a module that nobody imported could not be judged when a stored run is read again."""
    room = Path(checkers.__file__).parent
    assert {Path(module.__file__ or "") for module in catalogue.MODULES} == set(room.glob("*.py")) - {
        room / "__init__.py"
    }
