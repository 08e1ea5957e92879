"""Every name that servedrill brings into a pytest run says whose it is, and is nobody else's."""

from __future__ import annotations

import pytest
from known_plugins import KNOWN

pytest_plugins = ["pytester"]


def names(pytester: pytest.Pytester, *arguments: str) -> dict[str, set[str]]:
    """What pytest with these arguments knows, by the kind of name."""
    config = pytester.parseconfigure(*arguments)
    options = [option for group in (*config._parser._groups, config._parser._anonymous) for option in group.options]
    return {
        "options": {name for option in options for name in option.names()},
        "destinations": set(vars(config.option)),
        "ini": set(config._parser._inidict),
        "markers": {line.partition("(")[0].partition(":")[0] for line in config.getini("markers")},
    }


def test_every_name_of_ours_begins_with_drill(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options, what they are called inside, ini values, markers."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    before, after = names(pytester), names(pytester, "-p", "servedrill.plugin")
    brought = {kind: after[kind] - before[kind] for kind in before}
    assert {kind: len(new) for kind, new in brought.items()} == {
        "options": 10,
        "destinations": 10,
        "ini": 6,
        "markers": 3,
    }
    assert [name for new in brought.values() for name in new if not name.removeprefix("--").startswith("drill")] == []
    known = {name for of_one in KNOWN.values() for name in of_one.split()}
    assert known & {name for new in brought.values() for name in new} == set()


def test_the_plugins_that_are_known_are_many() -> None:
    """And none of them has a word that begins as ours do."""
    assert len(KNOWN) >= 30
    assert [name for of_one in KNOWN.values() for name in of_one.split() if "drill" in name] == []
