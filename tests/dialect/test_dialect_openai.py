"""OpenAI's words stand in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.dialect import openai
from servedrill.dialect.frames import Choice, Part

ROOT = Path(__file__).parents[2] / "servedrill"
PROGRAMS_OF_THEIR_OWN = {"refstack", "toxiproxy"}
WORDS = re.compile(
    r"/v1/(chat/)?completions\b|/v1/models\b|/is_sleeping\b|/wake_up\b|/v1/load_lora_adapter\b|x-served-"
)


def texts_of(path: Path) -> Iterator[str]:
    """Every text of a module's code, docstrings left out."""
    tree = ast.parse(path.read_text())
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_no_other_room_spells_a_route() -> None:
    """A route that stood in a second place would be changed in one of them only."""
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in {"dialect", *PROGRAMS_OF_THEIR_OWN}
        for text in texts_of(path)
        if WORDS.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "base"), [("", ""), ("/v1", ""), ("/v1/", ""), ("/api/v1", "/api"), ("/api/", "/api"), ("/v11", "/v11")]
)
def test_a_base_url_may_end_as_sdks_have_it(path: str, base: str) -> None:
    """With or without /v1 at its end it is the same place."""
    assert openai.base(path) == base


def test_a_question_has_the_form_of_its_route() -> None:
    """A chat's prompt is one user's message, a completion's is plain; answers are read back alike."""
    assert openai.question("chat", "m", "hi") == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert openai.question("completions", "m", "hi") == {"model": "m", "prompt": "hi"}
    assert Choice(message=Part(content="a")).said == "a" == Choice(text="a").said
    assert Choice(message=Part(role="assistant")).said is None
