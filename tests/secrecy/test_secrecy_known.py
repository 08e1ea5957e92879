"""Secrets are taken out of texts in every form in which somebody may repeat them, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.errors import UsageError
from servedrill.history.events import Observed, PhaseStarted, RequestRecord
from servedrill.history.journal import Journal, read_events
from servedrill.secrecy.forms import can_be_hidden, secrets_of_url
from servedrill.secrecy.known import KNOWN, MASK, NAMES_MAX, TEXT_MAX, Known, cut, ending, hidden, names, text
from servedrill.secrecy.looks import secrets_by_look
from servedrill.stacks.file import StackFile
from servedrill.stacks.reading import read_stack_file
from servedrill.stacks.secrets_of import require_hidden

KEY = "sk-7391/+=\"q'x\\z"
SECRETS = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=8, max_size=40).filter(can_be_hidden)
FORMS = {
    "as it is": str,
    "in a URL": lambda s: urllib.parse.quote(s, safe=""),
    "in a path": urllib.parse.quote,
    "in a form": urllib.parse.quote_plus,
    "in HTML": html.escape,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda s: json.dumps(json.dumps({"a": s})),
    "as Python writes it": repr,
    "as Python writes JSON": lambda s: repr((json.dumps(s), s)),
    "in base64": lambda s: base64.b64encode(s.encode()).decode(),
    "as Basic sends it": lambda s: base64.b64encode(f"anybody:{s}".encode()).decode(),
    "as Basic sends a token": lambda s: base64.b64encode(f"{s}:".encode()).decode(),
    "in base64 for URLs": lambda s: base64.urlsafe_b64encode(f"ab{s}c".encode()).decode(),
}


@given(SECRETS, st.sampled_from(sorted(FORMS)), st.text(max_size=5), st.text(max_size=5))
def test_no_form_of_a_secret_is_left(secret: str, form: str, before: str, after: str) -> None:
    """Whatever stands around it, of texts and of bytes."""
    secret = secret.strip()
    known = Known()
    known.learn(secret)
    said = FORMS[form](secret)
    core = said.strip("\"'=()")[8:-8] if "base64" in form or "Basic" in form else said.strip("\"'()")
    left = known.hidden(f"{before} {said} {after}")
    assert MASK in left or not can_be_hidden(secret)
    assert len(core) < 12 or core not in left.replace(MASK, "\0") or not can_be_hidden(secret)
    assert known.hidden_bytes(f"{before} {said} {after}".encode(errors="surrogateescape")).decode() == left


@pytest.mark.parametrize("at", range(-len(KEY) - 2, 3))
def test_half_a_key_does_not_survive_a_cut(at: int) -> None:
    """Ours: it is gone before. Somebody else's: the half beside the cut is known by its look."""
    KNOWN.learn(KEY)
    said = "x" * (300 + at) + KEY + "y" * 300
    for short in (cut(said, 300), ending(said[::-1].replace(KEY[::-1], KEY), 300)):
        assert not any(KEY[n : n + 6] in short for n in range(len(KEY) - 5))
    theirs = KNOWN.hidden_parts(f"{said[:300]}...{said[-300 + at :]}")
    assert not any(KEY[n : n + 8] in theirs for n in range(len(KEY) - 7))


def test_what_cannot_be_told_from_words_is_left_alone(tmp_path: Path) -> None:
    """A mask over an `a` would destroy any history; so would one over a name of its own words."""
    KNOWN.learn(
        "a", "EMPTY", "password", "engine-0", "http_503", "first_token_timeout", "8000", "2026-11-28", " ", None
    )
    event = PhaseStarted(t_ns=1, phase="password", step="engine-0")
    Journal(path := tmp_path / "h.jsonl").append(event)
    assert read_events(path) == [event]


def test_figures_and_names_of_fields_are_left_alone(tmp_path: Path) -> None:
    """A key of figures may stand in an instant by chance; a history stays one."""
    KNOWN.learn("123456789012", "t_ns-observed-9")
    event = Observed(t_ns=12345678901234, name="m 123456789012", value=123456789012.0, detail={"123456789012": [1]})
    Journal(path := tmp_path / "h.jsonl").append(event)
    (read,) = read_events(path)
    assert read == msgspec.structs.replace(event, name=f"m {MASK}", detail={MASK: [1]})


def test_names_and_texts_have_a_length() -> None:
    """However many and long the names are that a stack gives itself."""
    assert len(text("m" * 10**6)) < TEXT_MAX + 40
    assert len(names(f"{n}" for n in range(1000))) == NAMES_MAX + 1


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://user:pa%2Fss-7391@host/x", {"user:pa%2Fss-7391", "user:pa/ss-7391", "pa%2Fss-7391", "pa/ss-7391"}),
        ("https://token-7391@host", {"token-7391"}),
        ("http://host/path?sig=ab%2B12345&v=1", {"sig=ab%2B12345&v=1", "ab%2B12345", "ab+12345"}),
        ("http://host:80/path", set()),
        ("no url at all", set()),
    ],
)
def test_what_is_secret_in_a_url(url: str, secrets: set[str]) -> None:
    """Its user's part and its query, as they stand there and as they are meant."""
    assert {one for one in secrets_of_url(url) if can_be_hidden(one)} == secrets


def test_secrets_of_commands_hooks_and_environments_are_known_by_their_look() -> None:
    """What a stack file has in it that it had better not."""
    told = {
        "env": {"HF_TOKEN": "hf-0123-abc", "LOG_LEVEL": "debug-0123"},
        "api_key_env": "NAME_OF_1_VARIABLE",
        "command": ["serve", "--api-key", "k-0123-abc", "--port", "8000"],
        "hooks": {"kill": "curl -H 'Authorization: Bearer b-0123-abc' http://u:p-0123-abc@host/"},
    }
    found = {one for one in secrets_by_look(told) if can_be_hidden(one)}
    assert found == {"hf-0123-abc", "k-0123-abc", "b-0123-abc", "u:p-0123-abc", "p-0123-abc"}


def test_a_stack_file_makes_its_secrets_known_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, what is filled in, URLs; not the places of this machine, nor what the stack calls itself."""
    for name, value in {"K": "key-7391-a", "F": "fill-7391", "HOME_OF": str(tmp_path), "MODEL": "qwen2.5-7b"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "s.toml").write_text(
        'kind = "process"\napi_key_env = "K"\n[promises]\nmodel = "qwen2.5-7b-instruct"\n[[process]]\nname = "e"\n'
        'role = "engine"\ncommand = ["x", "{env:F}", "{env:HOME_OF}", "{env:MODEL}"]\n'
    )
    read_stack_file(tmp_path / "s.toml")
    assert KNOWN.secrets == ["fill-7391", "key-7391-a"]


@pytest.mark.parametrize("key", ["abc", "sesame", "llama-7b", "12345678"])
def test_a_key_that_cannot_be_hidden_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: a word, a number, what the stack calls itself. A stand-in is no key."""
    file = StackFile(name="llama-7b-q4", api_key_env="LLM_KEY", path="s.toml")
    monkeypatch.setenv("LLM_KEY", key)
    with pytest.raises(UsageError, match=r"LLM_KEY.*EMPTY"):
        require_hidden(file)
    monkeypatch.setenv("LLM_KEY", "EMPTY")
    require_hidden(file)
    monkeypatch.delenv("LLM_KEY")
    require_hidden(file)


def test_our_own_errors_say_no_secret() -> None:
    """Wherever they are shown: console, traceback, report."""
    KNOWN.learn(KEY)
    error = UsageError(f"no {KEY}", where=KEY, hint=KEY)
    assert KEY not in f"{error} {error!r} {error.hint} {error.where} {error.what}"


def test_a_record_of_a_request_goes_through_the_journal_without_its_key(tmp_path: Path) -> None:
    """A place that was forgotten where bytes come in writes nothing either."""
    KNOWN.learn(KEY)
    record = RequestRecord(
        t_ns=1, id="a", cls="chat", route="chat", stream=True, model="m", prompt="p", prompt_tokens=1, max_tokens=1,
        t_int_ns=1, t_send_ns=1, t_end_ns=1, deadline_s=1.0, models=[KEY], params={KEY: {"a": KEY}},
    )  # fmt: skip
    Journal(path := tmp_path / "h.jsonl").append(record)
    assert "7391" not in path.read_text()
    assert read_events(path) == [msgspec.structs.replace(record, models=[MASK], params={MASK: {"a": MASK}})]
    assert hidden(KEY) == MASK
