"""A server that repeats the key wherever it can say anything, drilled for real: nothing of it is written anywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from servedrill.host.clock import wait_for
from tests.secrecy.parrot_drills import DRILLS, STACK
from tests.worlds.parrot import small

ROOT = Path(__file__).parents[2]
KEY, METRICS_KEY, PASSWORD = "sk-Parrot+/=\"7391'Geheimnis", "metrics_7391_key", "pass/7391+word"
QUERY = "Query/9284+token="
PYTEST = (sys.executable, "-m", "pytest", "-p", "servedrill.plugin", "-p", "no:cacheprovider", "--drill-runs", "runs")
SHOWN = (
    "--tb=long",
    "-l",
    "-rA",
    "--full-trace",
    "-o",
    "log_cli=true",
    "--log-level",
    "DEBUG",
    "--log-file",
    "log.txt",
)
INPUTS = ("parrot.toml", "test_it.py", "conftest.py")
"""What a person wrote, not the run."""


def needles() -> dict[str, bytes]:
    """What may stand nowhere: each secret as it is, in URLs, in JSON, in Basic's base64."""
    found: dict[str, bytes] = {}
    for secret in (KEY, METRICS_KEY, PASSWORD, QUERY):
        quoted, basic = quote(secret, safe=""), base64.b64encode(f"user:{secret}".encode()).decode().rstrip("=")[8:-1]
        for form in (secret, quoted, small(quoted), json.dumps(secret)[1:-1], repr(secret)[1:-1], basic):
            found[f"{secret} as {form}"] = form.encode()
        found[f"half of {secret}"] = secret[: len(secret) // 2 + 2].encode()
        found[f"the other half of {secret}"] = secret[len(secret) // 2 - 2 :].encode()
    return found


def leaks(folder: Path, console: bytes) -> list[str]:
    """Every place of every secret."""
    places = {"the console": console}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in INPUTS:
            places[str(path.relative_to(folder))] = path.read_bytes()
    return [
        f"{where}: {what}" for where, content in places.items() for what, form in needles().items() if form in content
    ]


@contextlib.contextmanager
def parrot(folder: Path) -> Iterator[str]:
    """``host:port`` of one."""
    told = folder / "port"
    process = subprocess.Popen([sys.executable, "-m", "tests.worlds.parrot", str(told)], cwd=ROOT)
    try:
        wait_for(told.exists, what="the parrot", within_s=30)
        yield f"127.0.0.1:{told.read_text()}"
    finally:
        process.kill()
        process.wait()


def environment(folder: Path) -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PARROT_KEY": KEY,
        "METRICS_KEY": METRICS_KEY,
        "TMPDIR": str(temporary),
    }


def servedrill(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "servedrill.commands.main", *arguments],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("more", [(), ("-p", "xdist.plugin", "-n", "1")], ids=["one process", "xdist"])
def test_a_key_that_is_repeated_everywhere_is_written_nowhere(tmp_path: Path, more: tuple[str, ...]) -> None:
    """History, verdicts, reports, JUnit, tracebacks with locals, logs, the console, temporary files, the index."""
    with parrot(tmp_path) as address:
        with_user = f"http://user:{quote(PASSWORD, safe='')}@{address}"
        stack = STACK.format(url=f"http://{address}", with_user=with_user, python=sys.executable)
        (tmp_path / "parrot.toml").write_text(stack)
        (tmp_path / "conftest.py").write_text("from fixtures.drill import drill\n")
        (tmp_path / "test_it.py").write_text(DRILLS)
        asked = [*PYTEST, "--drill-stack", "parrot.toml", "--junitxml", "junit.xml", *SHOWN, *more]
        done = subprocess.run(
            asked, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 4, done.stdout.decode()  # a hook that cannot be run is wrong usage
    console = done.stdout
    latest = "runs/latest"
    for command in (["report", latest, "--markdown", "--openmetrics", "om.txt", "--chaostoolkit", "chaos.json"],
                    ["report", latest, "--push", f"http://user:{quote(PASSWORD, safe='')}@127.0.0.1:9"],
                    ["report", latest], ["judge", latest], ["runs", "--runs", "runs"]):  # fmt: skip
        console += servedrill(tmp_path, *command).stdout
    found = leaks(tmp_path, console)
    assert not found, "\n".join(found)
    assert more or "•••" in (tmp_path / "log.txt").read_text(), "nothing was logged"
    history = (tmp_path / "runs/latest/listens/history.jsonl").read_text()
    assert history.count("•••") > 100, "the parrot said nothing"
    assert len((tmp_path / "runs/latest/listens/verdict.json").read_bytes()) < 200_000


@pytest.mark.parametrize("key", ["abc", "password", "llama", "1234567"])
def test_a_key_that_cannot_be_told_from_words_is_refused(tmp_path: Path, key: str) -> None:
    """In one line, before anything is sent; nothing is drilled with a mask over ordinary words."""
    (tmp_path / "parrot.toml").write_text(
        STACK.format(url="http://127.0.0.1:9", with_user="http://127.0.0.1:9", python=sys.executable)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "servedrill.plugin", "--drill-stack", "parrot.toml"],
        cwd=tmp_path, env=environment(tmp_path) | {"PARROT_KEY": key}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert b"PARROT_KEY" in done.stderr
    assert b"EMPTY" in done.stderr
