"""What operators change in a serving engine: sleep, prefix cache, adapters, weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ref_engine import STEADY, Server, engine, oracle_text

from servedrill.host.clock import wait_for
from servedrill.host.processes import read_status
from servedrill.oracle.prompts import expand, words_prompt


def test_sleep_gives_memory_back_and_wake_up_serves_the_same(tmp_path: Path) -> None:
    """A sleeping engine is unhealthy, refuses, and holds less resident memory; awake it answers as before."""
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
        wait_for(server.healthy, what="the engine to be awake", within_s=30)
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
    """After a reset a known prompt is computed again, with the same answer."""
    ask = {"prompt": PREFIX, "max_tokens": 4, "temperature": 0, "ignore_eos": True}
    quick.post("/reset_prefix_cache")
    assert cached(quick.ask(**ask)) == 0
    warm = quick.ask(**ask)
    assert cached(warm) == 64
    assert quick.post("/reset_prefix_cache") == (200, {"success": True})
    cold = quick.ask(**ask)
    assert (cached(cold), cold.texts) == (0, warm.texts)


def test_adapters_come_go_and_change(quick: Server) -> None:
    """An adapter has tokens of its own, and so has each revision of it under the same name."""
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
    """A stream that began with one revision ends with it."""
    ask = {"prompt": "p", "model": "tuned", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server:
        server.post("/v1/load_lora_adapter", {"lora_name": "tuned", "lora_path": "adapters/one"})
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(server.ask, stream=True, **ask)
            wait_for(lambda: server.metrics()["generated_tokens"] >= 8, what="some tokens", within_s=30)
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
    """New weights wait for open streams and begin with an empty cache; weights that do not load change nothing."""
    ask = {"prompt": PREFIX, "max_tokens": 30, "temperature": 0, "ignore_eos": True}
    with engine(tmp_path, costs=STEADY) as server, ThreadPoolExecutor(1) as pool:
        open_ = pool.submit(server.ask, stream=True, **ask)
        wait_for(lambda: server.metrics()["generated_tokens"] >= 3, what="some tokens", within_s=30)
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
