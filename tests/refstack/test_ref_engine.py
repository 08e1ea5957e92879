"""One engine as a process: what it says word for word, what it refuses, how it changes and how it ends."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from ref_engine import STEADY, Server, engine, oracle_text, read_answer, request_body

from servedrill.host.clock import wait_for
from servedrill.host.processes import read_status
from servedrill.oracle.prompts import expand, golden_prompt, words_prompt
from servedrill.oracle.tokens import VOCABULARY, golden_answer, hash64, mix


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An engine that answers in no time."""
    with engine(tmp_path_factory.mktemp("quick")) as server:
        yield server
        server.wait_quiet()
        assert "Traceback" not in server.log.read_text()


# ---- word for word


@pytest.mark.parametrize(("chat", "stream"), list(product((True, False), repeat=2)), ids=lambda value: str(value))
def test_every_answer_is_what_the_oracle_says(quick: Server, chat: bool, stream: bool) -> None:
    """Over choices, seeds, stop strings and ends, whichever way it is asked: the same words, each once, and a true reason."""
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
    """Twelve long answers at once in a third of the memory that they need: preempted, computed again, word for word the same."""
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
    """As a gateway does it that resumes a broken stream, on both routes."""
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
    """Four words and an end."""
    for question in (0, 5):
        answer = quick.ask(prompt=expand(golden_prompt(question)), max_tokens=9)
        assert (answer.texts[0], answer.finishes[0]) == (golden_answer(question), "stop")


def test_what_is_not_said_has_a_default(quick: Server) -> None:
    """Temperature and length are the model's own."""
    answer = quick.ask(prompt="defaults")
    assert (answer.texts[0], answer.finishes[0]) == oracle_text(chat=True, prompt="defaults", max_tokens=96)


def test_answers_say_who_gave_them(quick: Server) -> None:
    """The request's own id, the process, and what else is served there."""
    answer = quick.ask(headers={"x-request-id": "mine"}, max_tokens=2)
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-served-by"] == f"engine-0/{quick.process.pid}"
    assert answer.headers["x-served-models"] == "v1"
    assert answer.ids == {"chatcmpl-mine"}
    assert [model["id"] for model in quick.http.get("/v1/models").json()["data"]] == ["v1"]
    assert quick.http.get("/server_info").json()["max_model_len"] == 2048
    assert quick.http.get("/load").json() == {"server_load": 0}
    assert quick.http.get("/version").status_code == quick.http.get("/ping").status_code == 200


# ---- refusals

LONG = "word " * 3000
BAD: dict[str, tuple[int, str, dict[str, Any]]] = {
    "n of none": (400, "invalid_n", {"n": 0}),
    "too many choices": (400, "invalid_n", {"n": 9}),
    "too hot": (400, "invalid_temperature", {"temperature": 9.0}),
    "colder than cold": (400, "invalid_temperature", {"temperature": -0.1}),
    "no top_p": (400, "invalid_top_p", {"top_p": 0}),
    "too much top_p": (400, "invalid_top_p", {"top_p": 1.1}),
    "no tokens": (400, "invalid_max_tokens", {"max_tokens": 0}),
    "fewer than no tokens": (400, "invalid_max_tokens", {"max_tokens": -5}),
    "too many tokens": (400, "invalid_max_tokens", {"max_tokens": 1025}),
    "more than the room": (400, "context_length_exceeded", {"prompt": "word " * 1500, "max_tokens": 1000}),
    "too long a prompt": (400, "context_length_exceeded", {"prompt": LONG}),
    "another model": (404, "model_not_found", {"model": "gpt"}),
    "no model": (400, "invalid_body", {"model": None}),
    "a word for a number": (400, "invalid_body", {"max_tokens": "many"}),
    "stop of the wrong kind": (400, "invalid_body", {"stop": 3}),
    "half a token": (400, "invalid_body", {"max_tokens": 1.5}),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completions"])
def test_bad_requests_are_refused_in_one_schema(quick: Server, chat: bool, stream: bool) -> None:
    """A status before anything is generated, in both stream modes alike, with a message, a code and the request's id."""
    for what, (status, code, body) in BAD.items():
        answer = quick.ask(chat=chat, stream=stream, headers={"x-request-id": "bad-1"}, **body)
        assert answer.status == status, what
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.error is not None
        assert set(answer.error) == {"message", "type", "code", "param", "request_id"}
        assert (answer.error["code"], answer.error["request_id"], answer.headers["x-request-id"]) == (
            code,
            "bad-1",
            "bad-1",
        ), what
        assert answer.error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
        assert answer.error["message"]
    assert quick.ask(max_tokens=2).status == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"model": "v1"}', b'{"model": "v1", "messages": 3, "prompt": 3}', b"\xff\xfe", b'{"model": "v1", "prompt": "", "messages": [{}]}'])  # fmt: skip
def test_bodies_that_are_no_request(quick: Server, content: bytes) -> None:
    """A 400 that says what is wrong with it."""
    for path in ("/v1/chat/completions", "/v1/completions"):
        response = quick.http.post(path, content=content)
        assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


EDGES = [
    b'{"model": "v1", "prompt": "a \\ud800 b", "max_tokens": 2}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 99999999999999999999999}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "temperature": 1e999}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "n": 1e2}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "seed": -9223372036854775808}',
    b'{"model": "v1", "prompt": "a", "max_tokens": 2, "seed": 36893488147419103232}',
]


def test_numbers_and_texts_at_the_edge_leave_nothing_open(tmp_path: Path) -> None:
    """Served or refused, but never an error of the engine's own, and nothing stays behind."""
    with engine(tmp_path) as server:
        answers = [server.http.post("/v1/completions", content=body) for body in EDGES]
        assert server.http.get("/load").json() == {"server_load": 0}
        assert {answer.status_code for answer in answers} <= {200, 400}


def test_a_full_queue_refuses_with_503_and_says_when_to_come_again(tmp_path: Path) -> None:
    """In both stream modes; what was admitted is served to its end, and then there is room again."""
    with engine(tmp_path, costs=STEADY, max_num_seqs=1, max_num_queued_reqs=1) as server, ThreadPoolExecutor(2) as pool:
        admitted = [
            pool.submit(server.ask, prompt=f"p{i}", stream=True, max_tokens=30, temperature=0, ignore_eos=True)
            for i in range(2)
        ]
        wait_for(lambda: server.http.get("/load").json()["server_load"] == 2, what="two requests", within_s=5)
        for stream in (True, False):
            answer = server.ask(stream=stream, max_tokens=2)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.error is not None
            assert (answer.error["code"], answer.error["type"]) == ("queue_full", "overloaded_error")
        for number, future in enumerate(admitted):
            wanted = oracle_text(chat=True, prompt=f"p{number}", max_tokens=30, temperature=0, ignore_eos=True)
            assert (future.result().texts[0], future.result().finishes[0]) == wanted
        assert server.ask(max_tokens=2).status == 200
        assert server.metrics()["rejections"] == 2
        page = server.http.get("/metrics").text
        assert 'vllm:admission_rejections_total{model_name="chat-model",reason="max_num_queued_reqs"} 2.0' in page


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
    """Its sequences are gone and its blocks are free, however many it asked for; as in vLLM, it counts as no answer, not even as an aborted one."""
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


# ---- changes


def test_sleep_gives_memory_back_and_wake_up_serves_the_same(tmp_path: Path) -> None:
    """Asleep it is not healthy and refuses; its resident memory really shrinks."""
    with engine(tmp_path, blocks=512, block_bytes=64 << 10) as server:
        awake = server.ask(prompt="before", max_tokens=5, temperature=0, ignore_eos=True)
        core = server.core

        def rss() -> int:
            status = read_status(core.pid)
            return status.rss_bytes if status else 0

        before = rss()
        assert server.post("/sleep?level=2") == (200, {"success": True, "detail": "", "version": "v1"})
        assert server.http.get("/is_sleeping").json() == {"is_sleeping": True}
        assert before - rss() > 24 << 20
        assert server.metrics()["memory_bytes"] == 0
        assert not server.healthy()
        refused = server.ask(prompt="asleep", max_tokens=2)
        assert (refused.status, refused.error and refused.error["code"], refused.headers["retry-after"]) == (
            503,
            "loading",
            "1",
        )
        assert server.post("/wake_up")[0] == 200
        wait_for(server.healthy, what="the engine to be awake", within_s=5)
        assert rss() > before - (4 << 20)
        again = server.ask(prompt="before", max_tokens=5, temperature=0, ignore_eos=True)
        assert (
            again.texts
            == awake.texts
            == [oracle_text(chat=True, prompt="before", max_tokens=5, temperature=0, ignore_eos=True)[0]]
        )
        assert again.usage is not None
        assert again.usage["prompt_tokens_details"] == {"cached_tokens": 0}


PREFIX = expand(words_prompt(seed=5, words=70))


def cached(answer: Any) -> int:
    return int(answer.usage["prompt_tokens_details"]["cached_tokens"])


def test_the_prefix_cache_can_be_emptied(quick: Server) -> None:
    """A prompt that is known is computed again afterwards; the answer is the same in any case."""
    ask = {"prompt": PREFIX, "max_tokens": 4, "temperature": 0, "ignore_eos": True}
    quick.post("/reset_prefix_cache")
    assert cached(quick.ask(**ask)) == 0
    warm = quick.ask(**ask)
    assert cached(warm) == 64
    assert quick.post("/reset_prefix_cache") == (200, {"success": True})
    cold = quick.ask(**ask)
    assert (cached(cold), cold.texts) == (0, warm.texts)


def test_adapters_come_go_and_change(quick: Server) -> None:
    """An adapter has tokens of its own, and so has each revision of it, though its name and the prompt are the same."""
    ask = {"prompt": PREFIX, "model": "tuned", "max_tokens": 6, "temperature": 0, "ignore_eos": True}

    def wanted(path: str) -> list[str]:
        return [
            oracle_text(chat=True, prompt=PREFIX, version=f"v1+{path}", max_tokens=6, temperature=0, ignore_eos=True)[0]
        ]

    assert quick.ask(**ask).status == 404
    for path in ("adapters/one", "adapters/two", "adapters/one"):
        status, said = quick.post(
            "/v1/load_lora_adapter", {"lora_name": "tuned", "lora_path": path, "load_inplace": True}
        )
        assert (status, said["success"]) == (200, True)
        for _ in range(2):
            answer = quick.ask(**ask, stream=True)
            assert (answer.texts, answer.fingerprints) == (wanted(path), {f"v1+{path}"})
    assert quick.ask(**{**ask, "model": "v1"}).texts == [
        oracle_text(chat=True, prompt=PREFIX, max_tokens=6, temperature=0, ignore_eos=True)[0]
    ]
    assert [m["id"] for m in quick.http.get("/v1/models").json()["data"]] == ["v1", "tuned"]
    for path, why in (("somewhere", "no adapter at 'somewhere'"), ("adapters/x-mismatch", "do not fit")):
        status, said = quick.post("/v1/load_lora_adapter", {"lora_name": "tuned", "lora_path": path})
        assert (status, said["success"]) == (400, False)
        assert why in said["detail"]
    assert quick.ask(**ask).texts == wanted("adapters/one")
    assert quick.post("/v1/unload_lora_adapter", {"lora_name": "tuned"})[0] == 200
    assert quick.ask(**ask).status == 404
    assert quick.post("/v1/unload_lora_adapter", {"lora_name": "tuned"})[0] == 400
    assert quick.healthy()


def test_an_adapter_is_not_changed_under_a_stream(tmp_path: Path) -> None:
    """Who began with one revision ends with it."""
    ask = {"prompt": "p", "model": "tuned", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server:
        server.post("/v1/load_lora_adapter", {"lora_name": "tuned", "lora_path": "adapters/one"})
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(server.ask, stream=True, **ask)
            wait_for(lambda: server.metrics()["generated_tokens"] >= 8, what="some tokens", within_s=5)
            server.post("/v1/load_lora_adapter", {"lora_name": "tuned", "lora_path": "adapters/two"})
            answer = future.result(10)
        assert answer.fingerprints == {"v1+adapters/one"}
        assert (
            answer.texts[0]
            == oracle_text(
                chat=True, prompt="p", version="v1+adapters/one", max_tokens=40, temperature=0, ignore_eos=True
            )[0]
        )


def test_other_weights_answer_with_other_words(tmp_path: Path) -> None:
    """After the open streams; from an empty cache; and weights that cannot be loaded leave everything as it was."""
    ask = {"prompt": PREFIX, "max_tokens": 30, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        open_ = pool.submit(server.ask, stream=True, **ask)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=5)
        assert server.post("/update_weights", {"version": "v2"})[1]["success"] is True
        assert open_.result(5).texts == [
            oracle_text(chat=True, prompt=PREFIX, max_tokens=30, temperature=0, ignore_eos=True)[0]
        ]
        new = server.ask(**{**ask, "model": "v2", "max_tokens": 5})
        assert new.texts == [
            oracle_text(chat=True, prompt=PREFIX, version="v2", max_tokens=5, temperature=0, ignore_eos=True)[0]
        ]
        assert (new.fingerprints, cached(new)) == ({"v2"}, 0)
        assert server.ask(**ask).status == 404
        for version, why in (("v-damaged", "shard 2 of 4 is damaged"), ("v9", "no version 'v9'")):
            status, said = server.post("/update_weights", {"version": version})
            assert (status, said["success"], said["version"]) == (400, False, "v2")
            assert why in said["detail"]
        assert server.ask(**{**ask, "model": "v2", "max_tokens": 5}).texts == new.texts
        assert server.healthy()


# ---- ends


def test_sigterm_finishes_what_is_open_and_takes_nothing_new(tmp_path: Path) -> None:
    """Not healthy at once, 503 with Retry-After for newcomers, the open stream whole, exit status 0, and no core left."""
    ask = {"prompt": "p", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        core = server.core
        open_ = pool.submit(server.ask, stream=True, **ask)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=5)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not server.healthy(), what="the engine to say that it drains", within_s=2)
        refused = server.ask(prompt="late", max_tokens=2)
        assert (refused.status, refused.headers["retry-after"], refused.error and refused.error["code"]) == (
            503,
            "1",
            "draining",
        )
        answer = open_.result(5)
        assert (answer.texts[0], answer.done) == (
            oracle_text(chat=True, prompt="p", max_tokens=40, temperature=0, ignore_eos=True)[0],
            1,
        )
        assert server.process.wait(5) == 0
        assert server.process.stdin is not None
        server.process.stdin.close()
        wait_for(lambda: not core.alive, what="the core to end", within_s=5)


def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A stream that outlasts the grace period is cut."""
    with (
        engine(tmp_path, costs=STEADY, drain_grace_s=0.4) as server,
        server.streaming(max_tokens=1000, ignore_eos=True) as response,
    ):
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(3) == 0
        with pytest.raises(httpx.HTTPError):
            response.read()


def test_an_engine_without_its_core_is_not_healthy_and_ends(tmp_path: Path) -> None:
    """The open stream ends in an error that says so, /health answers 503, and the process exits with 1."""
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        open_ = pool.submit(server.ask, stream=True, max_tokens=500, ignore_eos=True)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=5)
        os.kill(server.core.pid, signal.SIGKILL)
        wait_for(lambda: not server.healthy(), what="the engine to say that it is ill", within_s=1)
        answer = open_.result(5)
        assert answer.error is not None
        assert (answer.error["code"], answer.error["type"], answer.done) == ("engine_dead", "server_error", 1)
        assert server.process.wait(3) == 1


def test_a_core_that_stands_still_makes_its_engine_unhealthy(tmp_path: Path) -> None:
    """Within a second, and healthy again when it goes on; being busy is no illness."""
    with engine(tmp_path, costs=STEADY) as server:
        core = server.core
        os.kill(core.pid, signal.SIGSTOP)
        try:
            waited_s = wait_for(lambda: not server.healthy(), what="the engine to say that it is ill", within_s=4)
            assert waited_s > 0.3
        finally:
            os.kill(core.pid, signal.SIGCONT)
        wait_for(server.healthy, what="the engine to be well", within_s=4)


def test_the_core_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Its standard input is the supervisor's life line; an engine without a core is of no use and ends too."""
    with engine(tmp_path) as server:
        core = server.core
        assert server.process.stdin is not None
        server.process.stdin.close()
        wait_for(lambda: not core.alive, what="the core to end", within_s=5)
        assert server.process.wait(5) == 1


def test_read_answer_is_not_fooled(quick: Server) -> None:
    """The tests' own reader counts what it reads: two preambles are two."""
    lines = b'data: {"system_fingerprint":"v","id":"i","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=lines * 2 + b"data: [DONE]\n\n"
    )
    answer = read_answer(response, n=1)
    assert (answer.roles, answer.done, answer.texts) == (2, 1, [""])


# ---- log-probabilities


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
    """In OpenAI's shape of either route, streamed or not; a sampled token is as unlikely as it is; none where none were asked for."""
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
