"""Runs with a drill that cannot be read: it is told in one line with its path, and the others are judged and counted.

A Pushgateway that does not get to an end has its time.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servedrill.commands.main import main
from servedrill.history.events import DrillStarted
from servedrill.reporting import openmetrics
from tests.reporting.report_world import history, run_folder, verdict
from tests.worlds.asked import refused, within

DAMAGES = {"no event": b"garbage\nmore\n", "no UTF-8": b'{"type": "\xff"}\nmore\n', "of yesterday": b""}


def today() -> list[Any]:
    """A history that counts for a budget."""
    first, *more = history()
    assert isinstance(first, DrillStarted)
    return [msgspec.structs.replace(first, wall_time=datetime.now(UTC).isoformat()), *more]


def run_with(tmp_path: Path, damage: bytes) -> Path:
    """One drill as it should be, and one that is damaged."""
    drills = {name: today() for name in ("good", "torn")}
    run = run_folder(tmp_path / "runs" / "20261128T030405-7", drills=drills)
    torn = run / "torn" / "history.jsonl"
    if damage:
        torn.write_bytes(damage)
    else:
        lines = torn.read_bytes().splitlines(keepends=True)
        torn.write_bytes(lines[0].replace(b'"wall_time":"', b'"wall_time":"yesterday ') + b"".join(lines[1:]))
    return run


@pytest.mark.parametrize("damage", ["no event", "no UTF-8"])
def test_the_others_are_judged(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """6 and not 4, nor what the others alone would come to; alone it is wrong usage."""
    run = run_with(tmp_path, DAMAGES[damage])
    status = main(["judge", str(run)])
    told = capsys.readouterr()
    assert status in (1, 6)
    assert (told.err.count("\n"), f"{run}/torn/history.jsonl:1" in told.err) == (1, True), told.err
    assert "paper" in told.out
    assert main(["judge", str(run / "torn")]) == 4
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_budgets_are_told_without_it(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """6 where nothing is spent: what cannot be read may have spent what is left."""
    run = run_with(tmp_path, DAMAGES[damage])
    (tmp_path / "slo.yaml").write_text(
        (Path(__file__).parents[2] / "fixtures/data/slos/chat.yaml").read_text().replace("target: 0.9", "target: 0.0")
    )
    status = main(["budget", "--runs", str(tmp_path / "runs"), "--slo", str(tmp_path / "slo.yaml")])
    told = capsys.readouterr()
    assert (told.err.count("\n"), f"{run}/torn/history.jsonl" in told.err) == (1, True), told.err
    assert "1 stored drill" in told.out
    assert status in (1, 6)


@pytest.mark.parametrize("damage", ["no event", "no UTF-8"])
@pytest.mark.parametrize("command", ["compare", "table"])
def test_what_cannot_be_read_is_not_compared(
    command: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the path and 4; verdicts that are there need no history."""
    run, other = run_with(tmp_path, DAMAGES[damage]), run_folder(tmp_path / "other", drills={"torn": today()})
    status = main([command, str(run), str(other)])
    told = capsys.readouterr().err
    assert (status, told.count("\n")) in ((4, 1), (0, 0)), told
    assert not told or f"{run}/torn/history.jsonl" in told


@pytest.fixture
def slow_gateway() -> Iterator[str]:
    """A Pushgateway that answers a byte every 0.2 s."""
    over = threading.Event()

    def serve() -> None:
        sock, _ = server.accept()
        with sock:
            sock.recv(1 << 20)
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000:
                if over.wait(0.2):
                    return
                try:
                    sock.send(bytes([byte]))
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


def test_a_push_has_a_time_in_all(
    slow_gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only between two bytes."""
    monkeypatch.setattr(openmetrics, "PUSH_WITHIN_S", 1.0)
    run = run_folder(tmp_path / "run")
    with within(30):
        assert main(["report", str(run), "--push", slow_gateway]) == 4
    told = capsys.readouterr().err
    assert ("--push: cannot be pushed to: " in told, told.count("\n")) == (True, 1), told


@pytest.mark.parametrize(
    "url", ["http://[::1", "gopher://x", "http://127.0.0.1:99999", "http://127.0.0.1:x", "", "http://"]
)
def test_a_push_to_no_url_is_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no error of ours."""
    run = run_folder(tmp_path / "run", verdicts={"paper": verdict()})
    refused(["report", str(run), "--push", url], lambda: capsys.readouterr().err)
