"""Log-probabilities, held against the formula stated a second time."""

from __future__ import annotations

import json
import math

import pytest
from ref_engine import Server

from servedrill.oracle.prompts import expand, words_prompt
from servedrill.oracle.tokens import VOCABULARY, hash64, mix


def likelihood(prompt: str, tokens: list[str], *, version: str = "v1") -> list[float]:
    """The formula, stated a second time: state by state over the prompt and the answer."""
    state = hash64("servedrill")
    for token in prompt.split():
        state = mix(state ^ hash64(token) ^ hash64(version))
    found = []
    for token in tokens:
        best = -0.25 * (mix(state ^ 0xCE27A1217CE27A12) / 2**64) ** 3
        likeliest = VOCABULARY[mix(state) % len(VOCABULARY)]
        found.append(best if token == likeliest else math.log((1 - math.exp(best)) / (len(VOCABULARY) - 1)))
        state = mix(state ^ hash64(token) ^ hash64(version))
    return found


def test_log_probabilities_are_a_function_of_version_prompt_and_tokens(quick: Server) -> None:
    """They come on request, in OpenAI's shape of either route, streamed or not, for sampled tokens too."""
    prompt = expand(words_prompt(seed=5, words=30))
    ask = {"model": "v1", "prompt": prompt, "max_tokens": 12, "ignore_eos": True, "logprobs": 1}
    for temperature in (0, 0.7):
        (choice,) = quick.post("/v1/completions", {**ask, "temperature": temperature})[1]["choices"]
        told = choice["logprobs"]
        words = choice["text"].split()
        assert "".join(told["tokens"]) == choice["text"]
        assert told["token_logprobs"] == pytest.approx(likelihood(prompt, words), rel=1e-6)
        assert [choice["text"][at:].split()[0] for at in told["text_offset"]] == words
        assert all((value > -0.26) == (temperature == 0) for value in told["token_logprobs"])
    streamed = []
    with quick.streaming(chat=False, **{**ask, "temperature": 0.7, "stop": words[9]}) as response:  # type: ignore[arg-type]
        for line in response.iter_lines():
            if line.startswith("data: {"):
                streamed.append(json.loads(line[6:])["choices"][0])
    assert [t for one in streamed for t in one["logprobs"]["tokens"]][:9] == told["tokens"][:9]
    assert [at for one in streamed for at in one["logprobs"]["text_offset"]][:9] == told["text_offset"][:9]
    chat = {"model": "v1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "temperature": 0}
    (choice,) = quick.post("/v1/chat/completions", {**chat, "logprobs": True, "n": 1})[1]["choices"]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    words = choice["message"]["content"].split()
    assert [one["logprob"] for one in content] == pytest.approx(likelihood("<|user|> hi <|assistant|>", words))
    assert bytes(content[0]["bytes"]).decode() == content[0]["token"]
    assert quick.post("/v1/chat/completions", chat)[1]["choices"][0]["logprobs"] is None
