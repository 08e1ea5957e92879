"""Mistakes of files: all of them at once, what was probably meant, and nothing that only follows from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.files.documents import Document, Kind, read_documents
from servedrill.files.mistakes import Mistakes

FRUIT = Kind(file="a file of fruit", object="name", otherwise="TOML")


class Seed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    weight_g: float
    count: int = 1


class Fruit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    colour: Literal["red", "green"]
    seed: Seed
    words: list[str] = []
    prices: dict[str, float] = {}
    ripe: bool | None = None
    more: Any = None


RIGHT: dict[str, Any] = {"name": "apple", "colour": "red", "seed": {"weight_g": 0.5}}


def read(value: Any) -> tuple[Fruit, Mistakes, Document]:
    """What a file with this one object comes to."""
    mistakes = Mistakes()
    found, document = mistakes.read(Document("fruit.toml", value), Fruit)
    return found, mistakes, document


def said(mistakes: Mistakes) -> list[str]:
    return [str(one).removeprefix("fruit.toml:1:1: ") for one in mistakes.found]


def test_what_is_right_is_no_mistake() -> None:
    """It is converted as it stands."""
    found, mistakes, _ = read({**RIGHT, "ripe": True, "more": [1, {}], "prices": {"kg": 3}})
    assert (found.name, found.seed.weight_g, found.prices) == ("apple", 0.5, {"kg": 3})
    assert mistakes.found == []
    assert not mistakes.guessed


def test_a_misspelt_key_is_one_mistake_and_its_value_is_used() -> None:
    """It is not missing too, and its value is looked at where it was meant to be."""
    found, mistakes, _ = read({"name": "apple", "color": "green", "seed": {"weight_g": "much"}})
    assert said(mistakes) == [
        "color: unknown key 'color'; did you mean 'colour'?",
        'seed.weight_g: is "much"; expected a number, finite and no giant',
    ]
    assert found.colour == "green"
    assert mistakes.guessed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": 5}, "name: is 5; expected a text"),
        ({"name": None}, "name: is empty; expected a text"),
        ({"colour": "rad"}, "colour: 'rad'; expected green or red; did you mean 'red'?"),
        ({"colour": "blue"}, "colour: 'blue'; expected green or red"),
        ({"seed": 1}, "seed: is 1; expected a mapping with weight_g, count"),
        ({"seed": {}}, "seed: 'weight_g' is missing; expected a number, finite and no giant"),
        ({"words": "red"}, 'words: is "red"; expected a list'),
        ({"words": ["a", 1]}, "words[1]: is 1; expected a text"),
        ({"prices": {"kg": "3"}}, 'prices.kg: is "3"; expected a number, finite and no giant'),
        ({"prices": {"kg": float("inf")}}, "prices.kg: is inf; expected a number, finite and no giant"),
        ({"ripe": 1}, "ripe: is 1; expected true or false"),
        ({"seed": {"weight_g": 1, "count": True}}, "seed.count: is true; expected a whole number"),
        (
            {"zzz": 1},
            "zzz: unknown key 'zzz'; expected name, colour, seed, words, prices, ripe, more",
        ),
    ],
)
def test_a_wrong_shape_is_one_mistake(change: dict[str, Any], says: str) -> None:
    """With the path of what is wrong, and what was expected there."""
    assert said(read({**RIGHT, **change})[1]) == [says]


def test_what_follows_from_a_mistake_is_not_said() -> None:
    """A rule about a value that is only a filling says nothing; a rule about any other says what it has to."""
    _, mistakes, document = read({"name": 5, "colour": "red", "seed": {"weight_g": 1}, "words": 7})
    before = len(mistakes.found)
    mistakes.wrong(document, ("name",), "is empty")
    mistakes.wrong(document, ("words",), "is empty")
    mistakes.wrong(document, (), "has neither words nor prices")
    assert len(mistakes.found) == before
    mistakes.wrong(document, ("seed", "weight_g"), "is 1", expected="less")
    assert said(mistakes)[before:] == ["seed.weight_g: is 1; expected less"]


def test_a_mistake_stands_where_its_key_stands(tmp_path: Path) -> None:
    """Also one about a key that is not there, which has the table's place; one of meaning, behind a misspelt key."""
    path = tmp_path / "fruit"
    path.write_text('name = "x"\ncolour = "red"\n\n[sead]\n  weight = 1\n  count = 3\n')
    documents, wrong = read_documents(path, FRUIT)
    assert wrong == []
    mistakes = Mistakes()
    found, document = mistakes.read(documents[0], Fruit)
    mistakes.wrong(document, ("seed", "count"), f"is {found.seed.count}", expected="at most 2")
    assert [str(one).removeprefix(f"{path}:") for one in mistakes.listed([path])] == [
        "4:2: sead: unknown key 'sead'; did you mean 'seed'?",
        "5:3: sead.weight: unknown key 'weight'; did you mean 'weight_g'?",
        "6:11: seed.count: is 3; expected at most 2",
    ]


KEYS = st.sampled_from(
    ["name", "nme", "colour", "color", "seed", "weight_g", "weigth_g", "count", "words", "prices", "x"]
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["red", "gren", "blue", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.none() | KEYS, TREES)
def test_anything_is_right_or_has_a_mistake(key: str | None, tree: Any) -> None:
    """What msgspec takes has no mistake but giant numbers; what it does not take has one, and is repaired."""
    tree = tree if key is None else {**RIGHT, key: tree}
    found, mistakes, _ = read(tree)
    assert isinstance(found, Fruit)
    try:
        plain = msgspec.convert(tree, Fruit)
    except msgspec.ValidationError:
        assert mistakes.found
    else:
        assert mistakes.found or found == plain
        assert all("no giant" in one.expected for one in mistakes.found)
