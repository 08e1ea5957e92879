"""Marks in tools of others: a Grafana, whoever Apprise notifies, a collector of traces; each of them over HTTP."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servedrill.errors import UsageError
from servedrill.history.events import (
    DrillEnded,
    DrillStarted,
    FaultHealed,
    FaultInjected,
    RequestRecord,
    WindowClosed,
    WindowOpened,
)
from servedrill.history.journal import Journal
from servedrill.host.clock import now_ns
from servedrill.load.encode import RequestEncoder
from servedrill.marks.marking import LOG, marking, require_notifier
from servedrill.marks.settings import Marks
from servedrill.marks.traces import span_of, trace_of, traceparent

TRACE = trace_of("run", "drill")


class Heard(list[tuple[str, str, Any, str]]):
    """Method, path, body, authorization of each call; answers with a number that counts up, or with ``status``."""

    status = 200


@contextlib.contextmanager
def listening(*, status: int = 200) -> Iterator[tuple[str, Heard]]:
    heard = Heard()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append((self.command, self.path, body, self.headers.get("authorization", "")))
            said = json.dumps({"id": len(heard)}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_PATCH = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def drilled(marks: Marks, folder: Path) -> None:
    """A drill with one window, one fault and one request that failed."""
    journal, t = Journal(folder / "history.jsonl"), now_ns()
    with marking(marks, journal.path, trace=TRACE, answer=lambda: "fail"):
        journal.append(
            DrillStarted(
                t_ns=t,
                version="x",
                drill="spike",
                hypothesis="It holds.",
                seed=1,
                control=False,
                wall_time="2027-01-01T00:00:00+00:00",
                stack="staging",
                promises={},
            ),
            WindowOpened(t_ns=t + 1, window="slow"),
            FaultInjected(t_ns=t + 2, lease="latency-1", fault="latency", target="engine-0", deadline_ns=t),
            RequestRecord(
                t_ns=t + 5,
                id="chat-1",
                cls="chat",
                route="chat",
                stream=True,
                model="m",
                prompt="",
                prompt_tokens=1,
                max_tokens=1,
                t_int_ns=t + 3,
                t_send_ns=t + 3,
                t_end_ns=t + 5,
                deadline_s=1,
                failure="http_503",
                status=503,
            ),
            FaultHealed(t_ns=t + 6, lease="latency-1", proven=True, proof="gone"),
            WindowClosed(t_ns=t + 7, window="slow"),
            DrillEnded(t_ns=t + 8, interrupted=None),
        )
    journal.close()


def test_a_drill_and_its_faults_are_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a begin, an end, the target, and in the end what the drill came to."""
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_of-a-test")
    with listening() as (url, heard):
        drilled(Marks(grafana=url, grafana_key_env="GRAFANA_TOKEN"), tmp_path)
    assert [(method, path) for method, path, _, _ in heard] == [
        ("POST", "/api/annotations"),
        ("POST", "/api/annotations"),
        ("PATCH", "/api/annotations/2"),
        ("PATCH", "/api/annotations/1"),
    ]
    (_, _, drill, key), (_, _, fault, _), (_, _, healed, _), (_, _, over, _) = heard
    assert key == "Bearer glsa_of-a-test"
    assert "spike on staging" in drill["text"] and fault["text"] == "latency on engine-0"
    assert fault["tags"] == ["servedrill", "spike", "latency"]
    assert fault["time"] <= healed["timeEnd"] and "drill spike: fail" in over["text"]
    assert not (tmp_path / LOG).exists()


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of Apprise's own import, on Python 3.11
def test_people_are_notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Apprise, which knows Slack and a hundred others; here its plain JSON."""
    with listening() as (url, heard):
        monkeypatch.setenv("DRILL_NOTIFY", url.replace("http", "json"))
        drilled(Marks(notify_env="DRILL_NOTIFY"), tmp_path)
    assert [body["title"] for _, _, body, _ in heard] == [
        "Drill spike begins", "latency on engine-0", "Healed", "Drill spike: FAIL",
    ]  # fmt: skip


def test_a_drill_is_a_trace(tmp_path: Path) -> None:
    """Windows, faults and requests below it, with the ids that requests carry."""
    with listening() as (url, heard):
        drilled(Marks(otlp=url), tmp_path)
    ((_, path, body, _),) = heard
    spans = {span["name"]: span for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]}
    assert path == "/v1/traces"
    assert set(spans) == {"drill spike", "window slow", "fault latency on engine-0", "chat"}
    root = spans.pop("drill spike")
    assert "parentSpanId" not in root and root["traceId"] == TRACE
    assert {span["parentSpanId"] for span in spans.values()} == {root["spanId"]}
    assert spans["chat"]["status"] == {"code": 2, "message": "http_503"}
    assert traceparent(TRACE, "chat-1") == f"00-{TRACE}-{spans['chat']['spanId']}-01"
    assert int(spans["chat"]["startTimeUnixNano"]) > 1e18


def test_requests_say_which_span_is_theirs() -> None:
    """Where there are spans, and only there."""
    from servedrill.drill.traffic import chat
    from servedrill.history.dialect import Dialect
    from servedrill.load.plan import LoadPlan, Target
    from servedrill.load.schedule import requests

    cls = chat(rate=1, model="m")
    for trace in ("", TRACE):
        target = Target(base_url="http://127.0.0.1:1", trace=trace)
        planned = next(requests(LoadPlan(classes=[cls], seed=1, target=target)))
        whole = RequestEncoder(cls, target, api_key=None, dialect=Dialect()).encode(planned, "id-1")
        head = whole.partition(b"\r\n\r\n")[0]
        said = f"traceparent: 00-{TRACE}-{span_of('id-1')}-01".encode()
        assert (said in head) is bool(trace)


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")
@pytest.mark.parametrize("status", [401, 500])
def test_marks_are_never_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """What refuses them is a line in a log."""
    with listening(status=status) as (url, _):
        monkeypatch.setenv("DRILL_NOTIFY", url.replace("http", "json"))
        drilled(Marks(grafana=url, notify_env="DRILL_NOTIFY", otlp=url), tmp_path)
    assert str(status) in (tmp_path / LOG).read_text()


def test_who_cannot_be_notified_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set."""
    monkeypatch.delenv("DRILL_NOTIFY", raising=False)
    with pytest.raises(UsageError, match="DRILL_NOTIFY is not set"):
        require_notifier(Marks(notify_env="DRILL_NOTIFY"))
