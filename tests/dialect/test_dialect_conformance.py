"""Where a stack talks otherwise than OpenAI's own API: told with who stumbles over it, and no failure."""

from __future__ import annotations

import pytest

from servedrill.dialect.conformance import differences
from servedrill.history.dialect import Dialect, Spoken


def test_who_talks_as_openai_does_differs_in_nothing() -> None:
    """A parameter that OpenAI does not know itself is nobody's fault."""
    assert differences(Spoken()) == []
    assert differences(Spoken(dialect=Dialect(error_id="header", without=["ignore_eos"]))) == []


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(routes=["chat"]),
        Dialect(without=["seed"]),
        Dialect(max_tokens="max_completion_tokens"),
        Dialect(n="one"),
        Dialect(n="whole"),
        Dialect(names=["another"]),
        Dialect(role="never"),
        Dialect(role="often"),
        Dialect(done=False),
        Dialect(usage="whole"),
        Dialect(usage="none"),
        Dialect(invalid=422),
        Dialect(invalid=200),
        Dialect(error_object=False),
        Dialect(error_id="none"),
    ],
    ids=str,
)
def test_every_habit_is_a_row_of_its_own(dialect: Dialect) -> None:
    """With a sentence that says who stumbles."""
    [one] = differences(Spoken(dialect=dialect))
    assert one.what and one.openai and one.here
    assert one.trips.endswith(".")


def test_what_was_answered_stands_beside_it() -> None:
    """In the stack's own words."""
    spoken = Spoken(dialect=Dialect(without=["seed"]), notes={"without seed": "400 no seeds here"})
    assert differences(spoken)[0].said == "400 no seeds here"
