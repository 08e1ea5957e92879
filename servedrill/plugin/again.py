"""How drills are asked for again: words that mean the same to a pytest that is started in the same folder."""

from __future__ import annotations

import pytest

from servedrill.files.shipped import shipped_drill


def words(config: pytest.Config) -> list[str]:
    """What this session was asked to run: ``drills``, ``drills/test_1.py -k spike``; nothing where it was not said."""
    typed = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
    chosen = [("-k", config.option.keyword), ("-m", config.option.markexpr)]
    return [*typed, *(word for pair in chosen if pair[1] for word in pair)]


def address(item: pytest.Item, nodeid: str) -> str:
    """One drill of it, whose node id may be told from another folder: a module where it was asked for as one."""
    inside = nodeid.partition("::")[2]
    if item.config.option.pyargs and (module := shipped_drill(item.path)):
        return f"{module}::{inside}"
    here, path = item.config.invocation_params.dir, item.path
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}::{inside}"
