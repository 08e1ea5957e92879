"""The token formula is stated twice, for the checkers and for the engine: the two have to agree, and nothing else has
to."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servedrill.oracle import tokens as oracle
from servedrill.oracle.prompts import expand, golden_prompt, words_prompt
from servedrill.refstack.config import ModelVersion
from servedrill.refstack.engine import tokens as engine
from servedrill.refstack.engine.messages import Submit
from servedrill.refstack.engine.openai import ChatRequest, CompletionRequest, Message
from servedrill.refstack.engine.sampler import Sampler
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.gateway.resume import TokenExactResume

WORDS = st.lists(
    st.sampled_from(oracle.VOCABULARY[:50]) | st.text("abcdeé<|>", min_size=1, max_size=6), min_size=1, max_size=30
)
PROMPTS = WORDS.map(" ".join)
VERSIONS = st.sampled_from(["v1", "v2", "v1+adapters/a", "Ω"])
TEMPERATURES = st.sampled_from([0.0, 0.2, 0.7, 1.0, 2.0])
SEEDS = st.integers(0, 2**31)


def engine_says(
    request: ChatRequest | CompletionRequest, *, version: str, choice: int = 0, max_tokens: int
) -> tuple[list[str], str]:
    """What the engine's tokenizer, formula and sampler give, without its memory."""
    prompt, continues = request.tokens(engine.tokenize)
    submit = Submit(
        id="r", model=version, prompt=prompt, n=choice + 1, max_tokens=max_tokens, temperature=request.temperature,
        seed=request.seed or 0, ignore_eos=request.ignore_eos, continues=continues,
    )  # fmt: skip
    script = engine.golden_answer(prompt, version=version, accuracy=1.0)
    sequence = Sequence(request=submit, choice=choice, prompt=prompt, script=script)
    version_hash, state, model = engine.hash64(version), engine.START, ModelVersion(version=version)
    for token in prompt:
        state = engine.fold(state, token, version_hash)
    said: list[str] = []
    while len(said) < max_tokens:
        word = Sampler().next_token(sequence, state, model)
        if word is None:
            return said, "stop"
        sequence.tokens.append(word)
        said.append(word)
        state = engine.fold(state, word, version_hash)
    return said, "length"


def asked(prompt: str, *, chat: bool, **params: Any) -> ChatRequest | CompletionRequest:
    if chat:
        return ChatRequest(model="m", messages=[Message(role="user", content=prompt)], **params)
    return CompletionRequest(model="m", prompt=prompt, **params)


@settings(max_examples=150, deadline=None)
@given(PROMPTS, st.booleans(), VERSIONS, TEMPERATURES, SEEDS, st.integers(0, 7), st.booleans(), st.integers(1, 40))
def test_two_statements_of_one_formula_agree(
    prompt: str, chat: bool, version: str, temperature: float, seed: int, choice: int, ignore_eos: bool, max_tokens: int
) -> None:
    """Whatever the prompt, route, version and sampling: the same words and the same reason to end."""
    words, finish = oracle.expected_tokens(
        version=version, prompt=prompt, chat=chat, max_tokens=max_tokens, temperature=temperature, seed=seed,
        choice=choice, ignore_eos=ignore_eos
    )  # fmt: skip
    request = asked(prompt, chat=chat, temperature=temperature, seed=seed, ignore_eos=ignore_eos)
    assert engine_says(request, version=version, choice=choice, max_tokens=max_tokens) == (list(words), finish)


def test_their_parts_agree() -> None:
    """The same vocabulary, the same mixing, the same hashes, the same rate of ends."""
    assert engine.VOCABULARY == oracle.VOCABULARY
    assert len(set(oracle.VOCABULARY)) == 4096
    assert [engine.mix(x) for x in range(-3, 100)] == [oracle.mix(x) for x in range(-3, 100)]
    assert engine.hash64("naïve") == oracle.hash64("naïve")
    assert (engine._EOS_ONE_IN, engine._EOS, engine.GOLDEN_TOKENS) == (
        oracle.EOS_ONE_IN,
        oracle._EOS,
        oracle.GOLDEN_ANSWER_TOKENS,
    )


@pytest.mark.parametrize("module", [oracle, engine])
def test_neither_borrows_from_the_other(module: Any) -> None:
    """An oracle that shared its code with what it judges would agree with any bug in it."""
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "functools"}


@settings(max_examples=100, deadline=None)
@given(PROMPTS, st.booleans(), VERSIONS, TEMPERATURES, SEEDS, st.booleans(), st.integers(2, 40), st.data())
def test_a_continuation_goes_on_with_the_same_words(
    prompt: str,
    chat: bool,
    version: str,
    temperature: float,
    seed: int,
    ignore_eos: bool,
    max_tokens: int,
    data: st.DataObject,
) -> None:
    """An answer that broke after any of its words and is continued from its own text has the rest that it would have
    had."""
    words, finish = oracle.expected_tokens(
        version=version, prompt=prompt, chat=chat, max_tokens=max_tokens, temperature=temperature, seed=seed,
        ignore_eos=ignore_eos
    )  # fmt: skip
    kept = data.draw(st.integers(1, len(words)))
    body: dict[str, Any] = {
        "model": "m",
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "ignore_eos": ignore_eos,
    }
    body |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    text = "".join(f" {word}" for word in words[:kept])
    more = TokenExactResume().continuation(body, route="chat" if chat else "completions", text=text, tokens=kept)
    if kept == max_tokens:
        assert more is None
        return
    assert more is not None
    more.pop("model")
    assert more.pop("max_tokens") == max_tokens - kept
    if chat:
        messages = [Message(**message) for message in more.pop("messages")]
        request: ChatRequest | CompletionRequest = ChatRequest(model="m", messages=messages, **more)
    else:
        request = CompletionRequest(model="m", **more)
    assert engine_says(request, version=version, max_tokens=max_tokens - kept) == (list(words[kept:]), finish)


@settings(max_examples=60, deadline=None)
@given(PROMPTS, VERSIONS, TEMPERATURES, SEEDS, st.integers(1, 30), st.integers(1, 30))
def test_the_oracle_continues_itself(
    prompt: str, version: str, temperature: float, seed: int, first: int, rest: int
) -> None:
    """A completion's own text as part of its prompt leaves the rest as it was."""
    how: dict[str, Any] = {
        "version": version,
        "chat": False,
        "temperature": temperature,
        "seed": seed,
        "ignore_eos": True,
    }
    whole, _ = oracle.expected_tokens(prompt=prompt, max_tokens=first + rest, **how)
    again, _ = oracle.expected_tokens(prompt=" ".join([prompt, *whole[:first]]), max_tokens=rest, **how)
    assert whole[first:] == again


def test_answers_differ_in_all_that_makes_them() -> None:
    """Another version, prompt, route, seed, temperature or choice is another answer."""
    base: dict[str, Any] = {
        "version": "v1",
        "prompt": "hello",
        "chat": True,
        "max_tokens": 8,
        "temperature": 0.5,
        "ignore_eos": True,
    }
    others = [
        {},
        {"version": "v2"},
        {"prompt": "hallo"},
        {"chat": False},
        {"seed": 1},
        {"temperature": 0.6},
        {"choice": 1},
        {"temperature": 0.0},
    ]
    answers = {oracle.expected_tokens(**{**base, **other})[0] for other in others}
    assert len(answers) == len(others)


def test_answers_end_by_themselves_now_and_then() -> None:
    """About one word in 128 is the last, and never before the first."""
    ends = [oracle.expected_tokens(version="v1", prompt=f"p {i}", chat=True, max_tokens=4000) for i in range(300)]
    lengths = [len(words) for words, _ in ends]
    assert {finish for _, finish in ends} == {"stop"}
    assert 100 < sum(lengths) / len(lengths) < 160
    assert min(lengths) >= 1


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("question", [0, 3, 19, 123])
def test_golden_questions_have_one_right_answer(question: int, chat: bool) -> None:
    """Both sides know it, whatever the version and the route."""
    prompt = expand(golden_prompt(question))
    for version in ("v1", "v2"):
        words, finish = engine_says(asked(prompt, chat=chat, temperature=1.0), version=version, max_tokens=20)
        assert ("".join(f" {word}" for word in words), finish) == (oracle.golden_answer(question), "stop")


def test_a_worse_version_knows_fewer_golden_answers() -> None:
    """Its accuracy is the share that it gets right; a wrong answer is wrong each time."""
    questions = [engine.tokenize(expand(golden_prompt(number))) for number in range(400)]
    right = [
        engine.golden_answer(q, version="v2-worse", accuracy=0.6) == engine.golden_answer(q, version="v1", accuracy=1.0)
        for q in questions
    ]
    assert 0.5 < sum(right) / len(right) < 0.7
    again = [
        engine.golden_answer(q, version="v2-worse", accuracy=0.6) == engine.golden_answer(q, version="v1", accuracy=1.0)
        for q in questions
    ]
    assert again == right


@pytest.mark.parametrize(
    "prompt", ["golden", "golden question", "golden question x :", "a golden question 3 :", "golden question 3"]
)
def test_other_prompts_are_no_golden_questions(prompt: str) -> None:
    """Only the very form is."""
    assert engine.golden_answer(prompt.split(), version="v1", accuracy=1.0) is None


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 2**32), st.integers(0, 40))
def test_short_prompts_expand_to_the_words_that_they_name(
    prefix_seed: int, prefix_words: int, seed: int, words: int
) -> None:
    """A shared prefix is the same words wherever it is named, and the own part has the length that was asked for."""
    text = expand(words_prompt(seed=seed, words=words, prefix_seed=prefix_seed, prefix_words=prefix_words)).split()
    assert len(text) == prefix_words + words
    assert (
        text[:prefix_words]
        == expand(words_prompt(seed=7, words=0, prefix_seed=prefix_seed, prefix_words=prefix_words)).split()
    )
    assert text[prefix_words:] == expand(words_prompt(seed=seed, words=words)).split()
    assert set(text) <= set(oracle.VOCABULARY)


@pytest.mark.parametrize("prompt", ["hello there", "", "w:1.2", "w:1.2+3.x", "golden:", " golden:3", "golden:3 "])
def test_any_other_prompt_is_itself(prompt: str) -> None:
    """Only the short forms are short forms."""
    assert expand(prompt) == prompt
