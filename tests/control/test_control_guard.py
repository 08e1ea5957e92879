"""Control ports answer who has the secret of their run, and no web page: what an attacker on this machine would try."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from servedrill.control.guard import foreign
from servedrill.control.secret import SECRET, proof, run_secret
from servedrill.host.ports import free_ports
from servedrill.stacks.keeper import Keeper
from servedrill.stacks.supervisor import Plan, Planned

PAGES: dict[str, dict[str, str]] = {
    "a page": {"Origin": "https://evil.example"},
    "a page of a file": {"Origin": "null"},
    "a page at another port of this machine": {"Origin": "http://127.0.0.1:8000"},
    "a page, by what browsers add": {"Sec-Fetch-Site": "cross-site"},
    "DNS rebinding": {"Host": "evil.example"},
    "DNS rebinding with a port": {"Host": "evil.example:8474"},
    "a name that looks like an address": {"Host": "127.0.0.1.evil.example"},
    "a name that ends like ours": {"Host": "evil.localhost.example"},
    "a broken Host": {"Host": "[::1"},
}
GUESSES: dict[str, dict[str, str]] = {
    "nothing": {},
    "an empty secret": {"Authorization": "Bearer"},
    "another secret": {"Authorization": f"Bearer {'a' * 43}"},
    "another scheme": {"Authorization": "Basic YTpi"},
    "not even text": {"Authorization": "Bearer \xff\xfe"},
}


@pytest.mark.parametrize("host", ["127.0.0.1:8474", "localhost", "LOCALHOST:1", "[::1]:8474", "10.0.0.7", "", "toxi:1"])
def test_who_comes_by_an_address_or_a_known_name_is_no_web_page(host: str) -> None:
    """Programs send no Origin, and an address cannot be made to lead elsewhere."""
    assert foreign(httpx.Headers({"Host": host}), known=("toxi",)) is None


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory, forgetting: Any) -> Iterator[Keeper]:
    """A supervisor with one command that was not started."""
    folder = tmp_path_factory.mktemp("supervisor")
    port = free_ports(1)[0]
    keeper = Keeper("servedrill.stacks.supervisor", control_port=port, log=folder / "supervisor.log")
    keeper.begin(forgetting)
    quiet = Planned(
        name="one",
        role="other",
        command=[sys.executable, "-c", ""],
        env={},
        folder=str(folder),
        log=str(folder / "one.log"),
    )
    keeper.plan(Plan(control_port=port, secret=keeper.secret, processes=[quiet]))
    yield keeper
    keeper.end()


@pytest.mark.parametrize("attack", [*PAGES, *GUESSES])
def test_nobody_else_runs_commands_by_a_supervisor(keeper: Keeper, tmp_path: Path, attack: str) -> None:
    """PUT of a command and POST of a start are what `kind = "process"` is made of: without the secret, or with it from
    a web page, neither is taken, and nothing is told."""
    headers = {**proof(keeper.secret), **PAGES[attack]} if attack in PAGES else GUESSES[attack]
    headers = {name: value.encode("latin-1") for name, value in headers.items()}  # type: ignore[misc]
    done = tmp_path / "done"
    evil = {"name": "one", "role": "other", "command": ["touch", str(done)], "env": {}, "folder": "/", "log": "x"}
    expected = 403 if attack in PAGES else 401
    for kind in ("application/json", "text/plain"):
        put = httpx.put(f"{keeper.url}/one", content=json.dumps(evil), headers={**headers, "content-type": kind})
        assert put.status_code == expected
    for method, path in (("GET", ""), ("POST", "/one/start"), ("POST", "/one/restart"), ("POST", "/none/start")):
        answer = httpx.request(method, keeper.url + path, headers=headers)
        assert answer.status_code == expected
        assert "supervisor" not in answer.text and keeper.secret not in answer.text
    assert keeper.view("one")["starts"] == 0
    assert not done.exists()


def test_the_secret_of_a_supervisor_is_on_no_command_line_and_in_no_environment(keeper: Keeper) -> None:
    """It goes by the pipe alone: any user of the machine sees a command line."""
    assert keeper._process is not None
    for what in ("cmdline", "environ"):
        assert keeper.secret.encode() not in Path(f"/proc/{keeper._process.pid}/{what}").read_bytes()


def writes(stack: Any) -> list[tuple[str, str, Any]]:
    """Everything by which somebody could change the embedded stack: method, URL, body."""
    control = stack.control_urls()[0].removesuffix("/processes")
    gateway = next(replica.url for replica in stack.replicas() if replica.role == "gateway")
    return [
        ("POST", f"{control}/processes/engine-0/restart", None),
        ("POST", f"{control}/rollouts", {"candidate": "v2"}),
        ("PUT", f"http://{stack.records_api()}/records", ["127.0.0.66"]),
        ("POST", f"{stack.alerts_url()}/api/v2/alerts", [{"labels": {"alertname": "Fake"}}]),
        ("PUT", f"{gateway}/admin/aliases", {}),
        ("PUT", f"{gateway}/admin/cordons", ["engine-0"]),
    ]


def reads(stack: Any) -> list[str]:
    control = stack.control_urls()[0].removesuffix("/processes")
    gateway = next(replica.url for replica in stack.replicas() if replica.role == "gateway")
    return [
        *(f"{control}/{path}" for path in ("stack", "processes", "rollouts", "aliases")),
        f"http://{stack.records_api()}/records",
        f"{stack.alerts_url()}/api/v2/alerts",
        f"{stack.alerts_url()}/api/v2/status",
        *(f"{gateway}/admin/{path}" for path in ("aliases", "upstreams", "versions")),
    ]


def test_the_embedded_stack_is_changed_by_nobody_else(small_stack: Any) -> None:
    """Its control API, its names, its alerts and its gateways' tables may be read on this machine; changed only with
    the secret of the run; and neither by a web page."""
    before = [httpx.get(url).text for url in reads(small_stack)[-4:]]
    for method, url, body in writes(small_stack):
        for headers in PAGES.values():
            assert httpx.request(method, url, json=body, headers={**proof(run_secret()), **headers}).status_code == 403
        for guess in GUESSES.values():
            raw = {name: value.encode("latin-1") for name, value in guess.items()}
            assert httpx.request(method, url, json=body, headers=raw).status_code == 401, url  # type: ignore[arg-type]
    for url in reads(small_stack):
        assert httpx.get(url).status_code == 200
        for headers in PAGES.values():
            assert httpx.get(url, headers=headers).status_code == 403
    assert [httpx.get(url).text for url in reads(small_stack)[-4:]] == before
    assert all(view["starts"] == 1 for view in small_stack.processes())


def test_who_has_the_secret_changes_it(small_stack: Any) -> None:
    """The same calls with the secret are taken."""
    method, url, body = writes(small_stack)[3]
    assert httpx.request(method, url, json=body, headers=proof(run_secret())).status_code == 200
    assert "Fake" in httpx.get(url).text


def test_no_port_of_ours_listens_beyond_loopback(small_stack: Any) -> None:
    """Of everything that runs for a stack."""
    from servedrill.host.processes import family

    inodes = set()
    for pid in [*family(small_stack._children["supervisor"].process.pid), small_stack._proxies._process.pid]:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = str(link.readlink()) if link.is_symlink() else ""
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    listening = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in inodes
    ]
    assert len(listening) >= 6
    for row in listening:
        address = row[1].split(":")[0]
        assert socket.inet_ntoa(bytes.fromhex(address)[::-1]).startswith("127."), row


def test_the_secret_is_chosen_by_whoever_wants_to_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script of somebody's own needs it; otherwise it is made once."""
    monkeypatch.setenv(SECRET, "mine")
    assert run_secret() == "mine"
    monkeypatch.setenv(SECRET, "")
    made = run_secret()
    assert len(made) >= 43
    assert run_secret() == made


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_the_control_api_does_not_listen_on_every_address(tmp_path: Path, host: str) -> None:
    """One line that says where it stands, and exit status 4."""
    path = tmp_path / "stack.json"
    path.write_text(
        json.dumps(
            {
                "engines": [],
                "gateways": [],
                "models": [{"version": "v1"}],
                "control_host": host,
                **dict.fromkeys(("control_port", "alerts_port", "dns_port"), 0),
                "log_dir": str(tmp_path),
            }
        )
    )
    ended = subprocess.run(
        [sys.executable, "-m", "servedrill.refstack", "--config", str(path), "rollouts"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 4
    assert "is every address of this machine" in ended.stderr and "$.control_host" in ended.stderr
    assert ended.stderr.count("\n") == 1
