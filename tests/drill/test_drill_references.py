"""What a real model says is recorded before its traffic begins, from engines themselves; and a drill's pace changes its
times, not its counts.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servedrill.drill.references import POOL, Recorder
from servedrill.drill.traffic import SAMPLED, at_pace, burst, cancel_storm, chat, code, golden, idle_sweep
from servedrill.history.dialect import Spoken
from servedrill.history.events import Observed, Reference
from servedrill.history.journal import Journal, read_events
from servedrill.history.measurements import NOT_RECORDED
from servedrill.history.promises import Promises
from servedrill.load.arrivals import Burst, Constant, Poisson
from servedrill.load.lengths import Uniform
from servedrill.oracle.prompts import expand
from servedrill.stacks.protocols import Entry, Replica


class Parrot:
    """Two engines that say the prompt's first words again; the second one may be another version, or down."""

    name, environment = "parrot", "local"
    promises = Promises(model="bird", engine_model="bird", version="v1", oracle="recorded", max_tokens_cap=64)
    spoken = Spoken()

    def __init__(self) -> None:
        self.asked: list[tuple[int, dict[str, Any]]] = []
        self.versions = ["v1", "v1"]
        self.down: set[int] = set()
        self.refuses = 0
        """So many more are refused."""
        self.bodies: list[bytes] = []
        """Said instead, the first to whoever asks next."""
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler(n)) for n in (0, 1)]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def handler(self, number: int) -> type[http.server.BaseHTTPRequestHandler]:
        parrot = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *about: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                parrot.asked.append((number, body))
                text = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
                said = "".join(f" {word}" for word in text.split()[: body["max_tokens"]])
                choice: dict[str, Any] = {"finish_reason": "length"}
                choice |= {"text": said} if "prompt" in body else {"message": {"content": said}}
                data = json.dumps({"choices": [choice], "system_fingerprint": parrot.versions[number]}).encode()
                data = parrot.bodies.pop(0) if parrot.bodies else data
                parrot.refuses -= 1
                self.send_response(503 if number in parrot.down or parrot.refuses >= 0 else 200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def entry(self) -> Entry:
        return Entry(base_url="http://127.0.0.1:9")

    def replicas(self) -> list[Replica]:
        return [
            Replica(name=f"engine-{n}", role="engine", url=f"http://127.0.0.1:{server.server_port}")
            for n, server in enumerate(self.servers)
        ]


@pytest.fixture
def parrot() -> Iterator[Parrot]:
    parrot = Parrot()
    yield parrot
    for server in parrot.servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def recorder(parrot: Parrot, tmp_path: Path) -> Recorder:
    return Recorder(parrot, Journal(tmp_path / "history.jsonl"), seed=1)


def recorded(tmp_path: Path) -> list[Reference]:
    return [event for event in read_events(tmp_path / "history.jsonl") if isinstance(event, Reference)]


def test_every_prompt_is_asked_once_and_the_first_of_every_engine(
    parrot: Parrot, recorder: Recorder, tmp_path: Path
) -> None:
    """Greedily, for as many tokens as the longest answer of the class, and written down as it was said."""
    cls = recorder.pooled(chat(rate=5, model="bird", output_tokens=Uniform(4, 9)))
    recorder.record(cls)
    recorder.record(cls)
    assert len(cls.prompts) == len(set(cls.prompts)) == POOL
    assert len(parrot.asked) == POOL + 1
    assert {number for number, _ in parrot.asked} == {0, 1}
    assert {(body["model"], body["temperature"], body["max_tokens"]) for _, body in parrot.asked} == {("bird", 0, 9)}
    said = recorded(tmp_path)
    assert [one.text.split() for one in said] == [expand(one.prompt).split()[:9] for one in said]
    assert {one.source for one in said[:2]} == {"engine-0", "engine-1"}
    assert said[0].prompt == said[1].prompt


def test_pooled_prompts_are_as_long_as_the_classes_own(recorder: Recorder) -> None:
    cls = recorder.pooled(code(rate=5, model="bird"))
    lengths = [len(expand(prompt).split()) for prompt in cls.prompts]
    assert all(150 <= length <= 400 for length in lengths)
    assert len(set(lengths)) > 1
    again = recorder.pooled(code(rate=5, model="bird"))
    assert again.prompts == cls.prompts


def test_what_is_sampled_or_has_prompts_of_its_own_keeps_them(recorder: Recorder, parrot: Parrot) -> None:
    sampled = burst(5, over_s=1, model="bird", params=SAMPLED)
    questions = golden(rate=1, model="bird", questions=3)
    assert recorder.pooled(sampled) is sampled
    assert recorder.pooled(questions) is questions
    recorder.record(sampled, questions)
    assert len(parrot.asked) == 4


def test_of_clients_that_hang_up_only_the_beginning_is_recorded(recorder: Recorder, parrot: Parrot) -> None:
    recorder.record(recorder.pooled(cancel_storm(80, over_s=1)[0]))
    assert {body["max_tokens"] for _, body in parrot.asked} == {32}


def test_an_engine_that_does_not_answer_leaves_it_to_the_next(
    parrot: Parrot, recorder: Recorder, tmp_path: Path
) -> None:
    parrot.down = {0}
    recorder.record(recorder.pooled(chat(rate=5, model="bird")))
    assert {one.source for one in recorded(tmp_path)} == {"engine-1"}
    assert len(recorded(tmp_path)) == POOL


def test_a_version_that_came_with_a_swap_is_asked_in_the_end(
    parrot: Parrot, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.record(recorder.pooled(chat(rate=5, model="bird")))
    recorder.record_new_versions()
    assert len(recorded(tmp_path)) == POOL + 1
    parrot.versions = ["v2", "v2"]
    recorder.record_new_versions()
    assert len([one for one in recorded(tmp_path) if one.version == "v2"]) == POOL


# ---- pace


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Poisson(rate=20, stop_s=3), Poisson(rate=5, stop_s=12)),
        (Constant(rate=8), Constant(rate=2)),
        (Burst(count=30, over_s=0.5), Burst(count=30, over_s=2)),
    ],
)
def test_slow_motion_is_as_many_requests_over_a_longer_time(before: Any, after: Any) -> None:
    slow = at_pace(chat(rate=1, model="m", arrivals=before), 4)
    assert slow.arrivals == after
    assert (slow.deadline_s, slow.first_token_timeout_s, slow.idle_timeout_s) == (48, 32, 16)


def test_at_its_own_pace_a_class_is_what_it_was() -> None:
    cls = chat(rate=20, model="m")
    assert at_pace(cls, 1) is cls


def test_when_a_burst_begins_is_no_matter_of_pace() -> None:
    """It is tied to somebody's keep-alive, which is what it is."""
    first, then = idle_sweep(around_s=5)[:2]
    assert at_pace(first, 4).arrivals.start_s == first.arrivals.start_s
    assert at_pace(then, 4).arrivals.start_s == then.arrivals.start_s


def test_who_is_refused_asks_again(parrot: Parrot, recorder: Recorder, tmp_path: Path) -> None:
    """Every prompt has its answer in the end."""
    parrot.refuses = 5
    recorder.record(recorder.pooled(chat(rate=5, model="bird")))
    assert len({one.prompt for one in recorded(tmp_path)}) == POOL


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": [{"type": "image"}]}}]}',
        b'{"choices": []}',
        b'{"choices": [7]}',
        b"[]",
        b"\xff<html>",
    ],
)
def test_an_answer_without_words_is_no_reference(
    body: bytes, parrot: Parrot, recorder: Recorder, tmp_path: Path
) -> None:
    """Every answer would agree with it; the next engine is asked."""
    parrot.bodies = [body]
    recorder.record(recorder.pooled(chat(rate=5, model="bird")))
    for one in recorded(tmp_path):
        words = one.text.split()
        assert words and words == expand(one.prompt).split()[: len(words)]
    assert len({one.prompt for one in recorded(tmp_path)}) == POOL


def test_where_nobody_answers_that_is_written_down(
    parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All prompts together are waited for, not each anew."""
    monkeypatch.setattr("servedrill.drill.references._PATIENCE_S", 0.3)
    parrot.down = {0, 1}
    recorder = Recorder(parrot, Journal(tmp_path / "history.jsonl"), seed=1)
    recorder.record(recorder.pooled(chat(rate=5, model="bird")))
    events = [one for one in read_events(tmp_path / "history.jsonl") if isinstance(one, Observed)]
    assert [(one.name, one.detail["seen"]) for one in events] == [(NOT_RECORDED, "HTTP 503")] * POOL
    assert not recorded(tmp_path)
