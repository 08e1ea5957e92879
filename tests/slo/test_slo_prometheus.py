"""The whole way from rules to a real Prometheus and Alertmanager and back into a verdict; Prometheus' answers."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from servedrill.checkers.finding import Answer
from servedrill.checkers.replicas import AlertFired
from servedrill.commands.main import main
from servedrill.drill.observer import Observer
from servedrill.errors import UsageError
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.journal import Journal, read_events
from servedrill.host.clock import now_ns, wait_for
from servedrill.host.ports import free_ports
from servedrill.slo.prometheus import Prometheus
from tests.worlds.prometheus import ALERTMANAGER, PROMETHEUS, needs_servers
from tests.worlds.slos import AVAILABILITY, rules_file

# ---- the whole way, with real servers


class Exporter(ThreadingHTTPServer):
    """Says what it is told to, as an engine's /metrics does."""

    daemon_threads = True

    def __init__(self) -> None:
        self.good = self.bad = 0
        super().__init__(("127.0.0.1", 0), _Page)

    def text(self) -> str:
        labels = 'engine="0",model_name="m"'
        return (
            "# TYPE vllm:request_success_total counter\n"
            f'vllm:request_success_total{{finished_reason="stop",{labels}}} {self.good}\n'
            f'vllm:request_success_total{{finished_reason="error",{labels}}} {self.bad}\n'
            "# TYPE vllm:num_requests_running gauge\n"
            f"vllm:num_requests_running{{{labels}}} 1\n"
        )


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Exporter)
        self.server.good += 20  # traffic goes on
        body = self.server.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    """The process, until the block ends; up when ``ready`` answers 200."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(ready, timeout=1).status_code == 200
            return False

        wait_for(up, what=ready, within_s=30, every_s=0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Watched:
    """A stack of which only its Alertmanager is known."""

    name = "watched"

    def __init__(self, url: str) -> None:
        self._url = url

    def replicas(self) -> list[Any]:
        return []

    def alerts_url(self) -> str:
        return self._url


@dataclass(frozen=True)
class Servers:
    """An exporter, scraped by a Prometheus with the rules of an SLO file, which tells an Alertmanager."""

    exporter: Exporter
    slo_file: Path
    prometheus: str
    alertmanager: str


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """All up; every interval half a second."""
    slo_file = folder / "slo.yaml"
    slo_file.write_text(AVAILABILITY)
    rules = yaml.safe_load(rules_file(folder, slo_file).read_text())
    for group in rules["groups"]:
        group["interval"] = "500ms"
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    exporter = Exporter()
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    prometheus, alertmanager = (f"127.0.0.1:{port}" for port in free_ports(2))
    route = {"receiver": "nobody", "group_wait": "0s", "group_interval": "1s"}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump({"route": route, "receivers": [{"name": "nobody"}]}))
    engine = f"127.0.0.1:{exporter.server_address[1]}"
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "engines", "static_configs": [{"targets": [engine]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    assert PROMETHEUS is not None
    assert ALERTMANAGER is not None
    manage = [ALERTMANAGER, "--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address="]
    scrape = [PROMETHEUS, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
    try:
        with (
            running(
                [*manage, f"--web.listen-address={alertmanager}"], folder / "am.log", f"http://{alertmanager}/-/ready"
            ),
            running(
                [*scrape, f"--web.listen-address={prometheus}"], folder / "prom.log", f"http://{prometheus}/-/ready"
            ),
        ):
            yield Servers(exporter, slo_file, f"http://{prometheus}", f"http://{alertmanager}")
    finally:
        exporter.shutdown()
        exporter.server_close()


@needs_servers
def test_an_alert_fires_is_seen_and_resolves(tmp_path: Path) -> None:
    """Errors in an exporter become a page in a real Alertmanager, which a drill's history shows to begin and to end."""
    path = tmp_path / "history.jsonl"
    with contextlib.closing(Journal(path)) as journal, servers(tmp_path) as up:
        server = Prometheus(up.prometheus)
        journal.append(e.DrillStarted(t_ns=now_ns(), drill="d", hypothesis="h", seed=1))
        observer = Observer(Watched(up.alertmanager), journal)  # type: ignore[arg-type]

        def burns() -> bool:
            return any(seen.alert == "SloBurnRate" for seen in observer.alerts.values())

        observer.start()
        try:
            recorded = 'servedrill:sli_bad:ratio_1h{slo="answers"}'
            wait_for(lambda: server.value(recorded) == 0, what="a clean ratio", within_s=30, every_s=0.2)
            assert not burns()
            began = now_ns()
            journal.append(e.WindowOpened(t_ns=began, window="inject"))
            journal.append(e.FaultInjected(t_ns=began, lease="l", fault="errors", target="answers", deadline_ns=began))
            up.exporter.bad += 100_000
            wait_for(burns, what="the alert", within_s=30, every_s=0.1)
            assert {labels["alertname"] for labels in server.firing()} >= {"SloBurnRate"}
            up.exporter.good += 10**10  # so much good traffic that the windows are clean again at once
            journal.append(e.WindowClosed(t_ns=now_ns(), window="inject"))
            wait_for(lambda: not burns(), what="its end", within_s=30, every_s=0.1)
            # The windows have seen it all: what Prometheus says of the budget is what is left of it.
            assert main(["budget", "--slo", str(up.slo_file), "--prometheus", up.prometheus]) == 0
        finally:
            observer.stop()
    history = History(read_events(path))
    fired = AlertFired(alert="SloBurnRate", replica="answers", window="inject", within_s=30, resolves_within_s=30)
    finding = fired(history)
    assert finding.answer is Answer.PASS, finding.observed
    seen = [alert for alert in history.of(e.AlertSeen) if alert.alert == "SloBurnRate"]
    assert {alert.labels["severity"] for alert in seen} == {"page", "ticket"}
    assert msgspec.structs.replace(fired, replica="other")(history).answer is Answer.INCONCLUSIVE


# ---- Prometheus' answers


class _Canned(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = self.server.answers  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "no answer"),
        (400, b'{"status": "error", "error": "parse error"}', "HTTP 400 parse error"),
        (
            200,
            b'{"status": "success", "data": {"result": [{"value": [1, "1"]}, {"value": [1, "2"]}]}}',
            "2 series; expected one",
        ),
        (200, b"[]", "no answer: an answer that is none"),
    ],
)
def test_what_is_no_answer_of_prometheus_is_said(status: int, body: bytes, said: str) -> None:
    """One line with the address, and nothing is taken for a number."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Canned)
    server.answers = status, body  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(UsageError, match=said):
            Prometheus(f"http://127.0.0.1:{server.server_address[1]}").value("up")
    finally:
        server.shutdown()
        server.server_close()


def test_a_prometheus_that_is_not_there_is_one_line() -> None:
    """Neither a traceback nor a number; and a URL is asked for where there is none."""
    (port,) = free_ports(1)
    with pytest.raises(UsageError, match="no answer"):
        Prometheus(f"http://127.0.0.1:{port}").value("up")
    with pytest.raises(UsageError, match="is no URL"):
        Prometheus("localhost:9090")
