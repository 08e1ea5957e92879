"""What one engine answers, word for word, what it counts, and what becomes of a client that hangs up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from ref_engine import STEADY, Server, engine, oracle_text, read_answer, request_body

from servedrill.oracle.prompts import expand, golden_prompt, words_prompt
from servedrill.oracle.tokens import golden_answer
from servedrill.refstack import wire

# ---- word for word


@pytest.mark.parametrize(("chat", "stream"), list(product((True, False), repeat=2)), ids=lambda value: str(value))
def test_every_answer_is_what_the_oracle_says(quick: Server, chat: bool, stream: bool) -> None:
    """For all choices, seeds and stop strings an answer has the oracle's words, each once, and its reason to end."""
    cases = []
    for number, (n, seed, ignore_eos, stopped) in enumerate(product((1, 3), (0, 7), (True, False), (True, False))):
        prompt = expand(words_prompt(seed=number, words=3 + 9 * number))
        params = {"max_tokens": 20 + 40 * (not ignore_eos), "temperature": 0.7, "seed": seed, "ignore_eos": ignore_eos}
        plain, _ = oracle_text(chat=chat, prompt=prompt, **params)
        cases.append((prompt, n, params, {"stop": plain[12:18]} if stopped else {}))

    def check(case: tuple[str, int, dict[str, Any], dict[str, str]]) -> None:
        prompt, n, params, stop = case
        usage = {"stream_options": {"include_usage": True}} if stream else {}
        answer = quick.ask(chat=chat, prompt=prompt, stream=stream, n=n, **params, **stop, **usage)
        wanted = [oracle_text(chat=chat, prompt=prompt, choice=choice, **params, **stop) for choice in range(n)]
        assert answer.status == 200
        assert list(zip(answer.texts, answer.finishes, strict=True)) == wanted
        assert (answer.fingerprints, len(answer.ids), answer.error) == ({"v1"}, 1, None)
        assert (answer.roles, answer.done) == ((n if chat else 0, 1) if stream else (0, 0))
        assert answer.usage is not None
        assert answer.usage["prompt_tokens"] == len(prompt.split()) + 2 * chat
        if not stop:
            assert answer.usage["completion_tokens"] == sum(len(text.split()) for text in answer.texts)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(check, cases))


def test_a_pool_that_is_too_small_is_not_seen_in_any_answer(tmp_path: Path) -> None:
    """Twelve long answers in a third of the memory that they need are preempted, computed again, and the same."""
    with engine(tmp_path, blocks=48) as server:

        def ask(number: int) -> None:
            prompt = expand(words_prompt(seed=number, words=60, prefix_seed=1, prefix_words=40))
            params = {"max_tokens": 80, "temperature": 0.5, "seed": number, "ignore_eos": True}
            answer = server.ask(chat=False, prompt=prompt, stream=True, **params)
            assert (answer.texts[0], answer.finishes[0]) == oracle_text(chat=False, prompt=prompt, **params)

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, range(12)))
        assert server.metrics()["preemptions"] > 0
        server.wait_quiet()


def test_an_answer_is_continued_from_its_own_text(quick: Server) -> None:
    """Asked to continue its own text, on either route, the engine goes on as if it had never stopped."""
    whole, finish = oracle_text(chat=True, prompt="go on", max_tokens=20, ignore_eos=True)
    kept = "".join(f" {word}" for word in whole.split()[:8])
    messages = [{"role": "user", "content": "go on"}, {"role": "assistant", "content": kept}]
    more = quick.ask(
        messages=messages, continue_final_message=True, add_generation_prompt=False, max_tokens=12, ignore_eos=True
    )
    assert (kept + more.texts[0], more.finishes[0]) == (whole, finish)
    whole, finish = oracle_text(chat=False, prompt="go on", max_tokens=20, ignore_eos=True)
    kept = "".join(f" {word}" for word in whole.split()[:8])
    more = quick.ask(chat=False, prompt=f"go on{kept}", continues=8, max_tokens=12, ignore_eos=True)
    assert (kept + more.texts[0], more.finishes[0]) == (whole, finish)


def test_golden_questions_are_answered_right(quick: Server) -> None:
    """A golden question is answered with its four words and an end."""
    for question in (0, 5):
        answer = quick.ask(prompt=expand(golden_prompt(question)), max_tokens=9)
        assert (answer.texts[0], answer.finishes[0]) == (golden_answer(question), "stop")


def test_what_is_not_said_has_a_default(quick: Server) -> None:
    """Where a request names neither, temperature and length are the model's own."""
    answer = quick.ask(prompt="defaults")
    assert (answer.texts[0], answer.finishes[0]) == oracle_text(chat=True, prompt="defaults", max_tokens=96)


def test_answers_say_who_gave_them(quick: Server) -> None:
    """An answer carries the request's id, the process and the names served there."""
    answer = quick.ask(headers={"x-request-id": "mine"}, max_tokens=2)
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-served-by"] == f"engine-0/{quick.process.pid}"
    assert answer.headers["x-served-models"] == "v1"
    assert answer.ids == {"chatcmpl-mine"}
    assert [model["id"] for model in quick.http.get("/v1/models").json()["data"]] == ["v1"]
    assert quick.http.get("/server_info").json()["max_model_len"] == 2048
    assert quick.http.get("/load").json() == {"server_load": 0}
    assert quick.http.get("/version").status_code == quick.http.get("/ping").status_code == 200


def test_read_answer_is_not_fooled() -> None:
    """The tests' own reader counts what it reads: two preambles are two."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    preamble = wire.event({"system_fingerprint": "v", "id": "i", "choices": [choice]})
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=preamble * 2 + b"data: [DONE]\n\n"
    )
    answer = read_answer(response, n=1)
    assert (answer.roles, answer.done, answer.texts) == (2, 1, [""])


# ---- counts and cancels


def test_each_choice_is_counted_and_timed_by_itself(tmp_path: Path) -> None:
    """As in vLLM, three choices of eight tokens are three ends, three first tokens and 21 gaps of a step each."""
    with engine(tmp_path, costs=STEADY) as server:
        assert server.ask(n=3, max_tokens=8, ignore_eos=True).status == 200
        assert server.metrics()["ended/length"] == 3
        page = server.http.get("/metrics").text
        values = {line.split("{")[0]: float(line.split()[-1]) for line in page.splitlines() if line.startswith("vllm:")}
        counts = {"time_to_first_token": 3, "inter_token_latency": 21, "e2e_request_latency": 3}
        assert {name: values[f"vllm:{name}_seconds_count"] for name in counts} == counts
        mean_s = values["vllm:inter_token_latency_seconds_sum"] / 21
        per_token_s = values["vllm:request_time_per_output_token_seconds_sum"] / 3
        assert mean_s == pytest.approx(per_token_s, rel=0.2)
        assert mean_s > 0.9 * STEADY.overhead_s


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("n", [1, 4])
def test_a_client_that_hangs_up_is_not_served_any_longer(tmp_path: Path, quick: Server, stream: bool, n: int) -> None:
    """Its sequences are gone and its blocks free, however many it asked for; as in vLLM, it counts as no answer."""
    before = {word: value for word, value in quick.metrics().items() if word.startswith("ended/")}
    path, body = request_body(chat=True, prompt="long", stream=stream, n=n, max_tokens=1000, ignore_eos=True)
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(base_url=quick.url) as http,
        http.stream("POST", path, json=body, timeout=0.15) as response,
    ):
        for _ in response.iter_lines():
            assert stream
            raise httpx.ReadTimeout("enough")
    quick.wait_quiet()
    assert before == {word: value for word, value in quick.metrics().items() if word.startswith("ended/")}
