"""Where keys and values of TOML files stand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.files.documents import Kind, read_documents
from servedrill.files.toml_positions import positions

KEYS = st.text("abc-_ é.\"'", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        KEYS,
        st.lists(st.integers() | st.text("ab #[]{},='\"\\\n", max_size=6), max_size=3)
        | st.dictionaries(KEYS, st.integers(), max_size=3),
        max_size=4,
    )
)
def test_toml_positions_point_at_their_keys(tree: dict[str, Any]) -> None:
    """Whatever TOML accepts is walked to its end, and each top-level key is where its name stands."""
    text = _toml(tree)
    assert tomllib.loads(text) == tree
    keys, values = positions(text)
    lines = text.splitlines(keepends=True)
    for name in tree:
        at = keys[(name,)]
        assert lines[at.line - 1][at.column - 1 :].startswith((name, json.dumps(name, ensure_ascii=False)))
        assert (name,) in values


def _toml(tree: dict[str, Any]) -> str:
    """JSON's strings and lists are TOML's too; a mapping becomes an inline table."""

    def said(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {said(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[\n" + ", # one\n".join(map(said, value)) + "]"
        return json.dumps(value)

    return "# start\n" + "".join(f"{json.dumps(k, ensure_ascii=False)} = {said(v)}\n" for k, v in tree.items())


def test_positions_of_headers_and_dotted_keys(tmp_path: Path) -> None:
    """Arrays of tables count their elements; dotted keys have a position at every step."""
    text = 'a.b."c d" = 1\n[[x.y]]\nz = [1,\n  {w = 2}]\n[[x.y]]\n  z = 3 # no\n'
    text += '[x.y.v]\nu = """\n"quoted" # still\n"""\nt = 1\n'
    keys, values = positions(text)
    assert (keys[("a", "b", "c d")].line, keys[("a", "b", "c d")].column) == (1, 5)
    assert (keys[("x", "y", 1, "z")].line, keys[("x", "y", 1, "z")].column) == (6, 3)
    assert (values[("x", "y", 0, "z", 1, "w")].line, values[("x", "y", 0, "z", 1, "w")].column) == (4, 8)
    assert keys[("x", "y", 1, "v", "t")].line == 11
    (tmp_path / "x.toml").write_text(text)
    (document,), mistakes = read_documents(tmp_path / "x.toml", Kind(file="a file", object="keys"))
    assert mistakes == []
    assert document.at(("x", "y", 1, "z")) == keys[("x", "y", 1, "z")]
