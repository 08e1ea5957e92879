"""The fault proxy of a stack: any hop of it, our server or another, and nothing left behind on one that is not ours."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_world import Remembering, proxies_at

from servedrill.errors import StackError, UsageError
from servedrill.faults.toxic import Toxic
from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.embedded import EmbeddedStack
from servedrill.stacks.file import Embedded, StackFile
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.proxies import ExtraHop, Hop, Proxies, ProxyTable

ORIGINAL = shutil.which(os.environ.get("SERVEDRILL_TOXIPROXY_SERVER", "toxiproxy-server"))
needs_original = pytest.mark.skipif(
    ORIGINAL is None, reason="no toxiproxy-server on PATH or in SERVEDRILL_TOXIPROXY_SERVER"
)
QUICK = {"costs": {"overhead_s": 0.002, "warmup_steps": 1}, "engine_limits": {"blocks": 64}, "restart_backoff_s": 0.05}


class Answering(http.server.BaseHTTPRequestHandler):
    """A web server that is no Toxiproxy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """Its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def running(command: list[str], address: str) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def up() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://{address}/version").status_code == 200
            return False

        try:
            wait_for(up, what="the fault proxy", within_s=30)
            yield address
        finally:
            process.kill()


def ours(port: int) -> list[str]:
    return [sys.executable, "-m", "servedrill.toxiproxy", "--port", str(port), "--die-with-parent"]


@pytest.fixture(scope="module", params=["ours", pytest.param("the original", marks=needs_original)])
def foreign(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that runs already; its address."""
    port = free_ports(1)[0]
    original = [str(ORIGINAL), "-host", "127.0.0.1", "-port", str(port)]
    with running(ours(port) if request.param == "ours" else original, f"127.0.0.1:{port}") as address:
        yield address


@pytest.fixture
def theirs(foreign: str, web: str) -> Iterator[dict[str, Any]]:
    """A proxy of somebody else on that server, as it has to be afterwards too."""
    body = {"name": "theirs", "listen": f"127.0.0.1:{free_ports(1)[0]}", "upstream": web}
    httpx.post(f"http://{foreign}/proxies", json=body).raise_for_status()
    before = proxies_at(foreign)
    assert list(before) == ["theirs"]
    yield before
    assert proxies_at(foreign) == before
    httpx.delete(f"http://{foreign}/proxies/theirs").raise_for_status()


def proxies(table: ProxyTable, folder: Path, undo: Remembering) -> Proxies:
    return Proxies(table, logs=folder, seed=1, on_undo=undo)


def local(port: int = 0) -> str:
    return f"127.0.0.1:{port or free_ports(1)[0]}"


# ---- a server that we start


@pytest.mark.parametrize("server", ["embedded", pytest.param(str(ORIGINAL), marks=needs_original)])
def test_a_server_of_ours_ends_with_its_proxies(tmp_path: Path, web: str, server: str) -> None:
    """Its process is on record, its hops lead somewhere, and nothing listens afterwards."""
    undo, extra, port = Remembering(), local(), free_ports(1)[0]
    table = ProxyTable(server=server, hop=[ExtraHop(name="extra", listen=extra, upstream=web)])
    mine = proxies(table, tmp_path, undo)
    with contextlib.closing(mine):
        mine.start(port=port)
        listen = local()
        mine.make([Hop(name="engine-0", listen=listen, upstream=web, tap=True)])
        assert (mine.address, mine.names) == (f"127.0.0.1:{port}", ["engine-0", "extra"])
        assert (mine.listen_of("engine-0"), mine.listen_of("extra")) == (listen, extra)
        assert [httpx.get(f"http://{at}/").text for at in (listen, extra)] == ["hi", "hi"]
        tapped = httpx.get(f"http://{mine.address}/proxies/engine-0/exchanges")
        assert tapped.status_code == (200 if server == "embedded" else 404)
        (process,) = undo.processes
        assert process.alive
    assert not process.alive
    assert (undo.proxies, mine.names) == ([], [])
    mine.close()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """With the end of its log."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mine = proxies(ProxyTable(), tmp_path, Remembering())
        with (
            contextlib.closing(mine),
            pytest.raises(StackError, match=r"did not start: exit status 4.*address already"),
        ):
            mine.start(port=taken.getsockname()[1])
            mine.make([])


def test_without_any_hop_there_is_no_server(tmp_path: Path) -> None:
    """Who asks for it is told."""
    mine = proxies(ProxyTable(hops=[]), tmp_path, Remembering())
    with pytest.raises(StackError, match=r"no hop has a proxy.*table of the stack file"):
        _ = mine.address
    mine.close()


# ---- one that runs already


def test_on_a_server_that_runs_only_ours_are_removed(
    tmp_path: Path, foreign: str, theirs: dict[str, Any], web: str
) -> None:
    """Each on record before it is made; closing twice does no harm."""
    undo, listen = Remembering("proxy"), local()
    mine = proxies(ProxyTable(server=f"http://{foreign}"), tmp_path, undo)
    mine.start(port=0)
    mine.make([Hop(name=name, listen=at, upstream=web) for name, at in (("engine-0", listen), ("gateway-0", local()))])
    assert sorted(proxies_at(foreign)) == ["engine-0", "gateway-0", "theirs"]
    assert httpx.get(f"http://{listen}/").text == "hi"
    assert undo.proxies == [(foreign, "engine-0"), (foreign, "gateway-0")]
    assert undo.processes == []
    mine.close()
    assert proxies_at(foreign) == theirs
    mine.close()


def test_a_collision_is_refused_before_anything_is_made(
    tmp_path: Path, foreign: str, theirs: dict[str, Any], web: str
) -> None:
    """By name or by address, with what to do about it; their proxy stays as it is."""
    for hop in (
        Hop(name="theirs", listen=local(), upstream=web),
        Hop(name="engine-1", listen=theirs["theirs"]["listen"], upstream=web),
    ):
        undo = Remembering()
        with contextlib.closing(proxies(ProxyTable(server=f"http://{foreign}"), tmp_path, undo)) as mine:
            mine.start(port=0)
            with pytest.raises(
                StackError, match=r"has a proxy 'theirs' on .*; hint: remove it.*curl -X DELETE"
            ) as error:
                mine.make([Hop(name="engine-0", listen=local(), upstream=web), hop])
            assert isinstance(error.value, UsageError)
        assert undo.proxies == []
        assert proxies_at(foreign) == theirs


def test_a_hop_that_cannot_listen_takes_those_before_it_away(
    tmp_path: Path, foreign: str, theirs: dict[str, Any], web: str
) -> None:
    """Nothing is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        hops = [
            Hop(name="engine-0", listen=local(), upstream=web),
            Hop(name="engine-1", listen=local(taken.getsockname()[1]), upstream=web),
        ]
        mine = proxies(ProxyTable(server=f"http://{foreign}"), tmp_path, Remembering("proxy"))
        with contextlib.closing(mine), pytest.raises(StackError, match=r"engine-1 cannot listen on .*in use"):
            mine.start(port=0)
            mine.make(hops)
    assert proxies_at(foreign) == theirs


def test_a_url_where_no_toxiproxy_answers_is_a_usage_error(tmp_path: Path, web: str) -> None:
    """Nobody there, or somebody else."""
    for address, says in ((local(), "no server answers at http"), (web, "is no Toxiproxy server")):
        mine = proxies(ProxyTable(server=f"http://{address}"), tmp_path, Remembering())
        with contextlib.closing(mine), pytest.raises(UsageError, match=says):
            mine.start(port=0)


def test_a_server_that_went_away_has_nothing_left_of_ours(tmp_path: Path, web: str) -> None:
    """Its proxies ended with it."""
    port = free_ports(1)[0]
    mine = proxies(ProxyTable(server=f"http://127.0.0.1:{port}"), tmp_path, Remembering("proxy"))
    with running(ours(port), f"127.0.0.1:{port}"):
        mine.start(port=0)
        mine.make([Hop(name="engine-0", listen=local(), upstream=web)])
    mine.close()
    assert mine.names == []


PARENT = """
import sys
from pathlib import Path
from servedrill.leases.guard import Guard
from servedrill.leases.keeper import StackKeeper
from servedrill.stacks.proxies import Hop, Proxies, ProxyTable

folder, url, listen, upstream = sys.argv[1:]
keeper = StackKeeper(Guard(Path(folder)))
mine = Proxies(ProxyTable(server=url), logs=Path(folder), seed=1, on_undo=keeper)
mine.start(port=0)
mine.make([Hop(name="engine-0", listen=listen, upstream=upstream)])
print("made", flush=True)
sys.stdin.read()
"""


def test_after_a_crash_the_watchdog_removes_ours(
    tmp_path: Path, foreign: str, theirs: dict[str, Any], web: str
) -> None:
    """`kill -9` of whoever made them."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), f"http://{foreign}", local(), web],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"made\n"
        assert "engine-0" in proxies_at(foreign)
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: "engine-0" not in proxies_at(foreign), what="engine-0 to be removed", within_s=30)
    assert proxies_at(foreign) == theirs


# ---- the embedded stack


def up(folder: Path, undo: Remembering, table: ProxyTable) -> contextlib.AbstractContextManager[EmbeddedStack]:
    file = StackFile(embedded=Embedded(engines=1, gateways=1, settings=QUICK), proxy=table)
    return stack_up(file, folder, on_undo=undo, defects=[], seed=1, limit_memory=False)


def answer_of(stack: EmbeddedStack) -> httpx.Response:
    (address,) = stack.addresses().values()
    body = {"model": "chat-model", "prompt": "hello", "max_tokens": 2}
    return httpx.post(
        f"{stack.entry().base_url.replace('gateway.stack.test', address)}/v1/completions", json=body, timeout=5
    )


def test_hops_without_a_proxy_are_reached_directly(tmp_path: Path, web: str) -> None:
    """The alert endpoint and a hop of one's own have one, the gateway and the engine have none: all are there."""
    extra = ExtraHop(name="db", listen=local(), upstream=web)
    with up(tmp_path, Remembering(), ProxyTable(hops=["alerts"], hop=[extra])) as stack:
        assert answer_of(stack).status_code == 200
        assert stack.hops() == ["alerts", "db"]
        assert [replica.hop for replica in stack.replicas()] == ["", ""]
        assert isinstance(httpx.get(f"http://{stack.hop_address('alerts')}/api/v2/alerts").json(), list)
        assert httpx.get(f"http://{stack.hop_address('db')}/").text == "hi"
        with pytest.raises(UsageError, match="no proxy at hop 'engine-0'; expected one of alerts, db"):
            Toxic(stack, "engine-0", "latency")
        assert lacking(stack, "Proxied:db") == ""
        assert lacking(stack, "Proxied").startswith(
            "stack 'embedded' has no proxy at gateway-0, engine-0; the `proxy` table"
        )


def test_tries_are_noted_at_every_engine_or_at_none(tmp_path: Path) -> None:
    """Half of them would be taken for all."""
    file = StackFile(embedded=Embedded(engines=2, gateways=1, settings=QUICK), proxy=ProxyTable(hops=["engine-1"]))
    with stack_up(file, tmp_path, on_undo=Remembering(), defects=[], seed=1, limit_memory=False) as stack:
        assert stack.hops() == ["engine-1"]
        assert httpx.get(f"http://{stack.proxy_api()}/proxies/engine-1/exchanges").status_code == 404


def test_a_stack_without_any_proxy_starts_no_server(tmp_path: Path) -> None:
    """Users come in directly, and drills that need a proxy are told."""
    with up(tmp_path, Remembering(), ProxyTable(hops=[])) as stack:
        assert answer_of(stack).status_code == 200
        assert stack.hops() == []
        assert lacking(stack, "Proxied") != ""
        assert not (tmp_path / "logs" / "toxiproxy.log").exists()


def test_a_stack_on_a_server_that_runs_leaves_it_as_it_was(
    tmp_path: Path, foreign: str, theirs: dict[str, Any]
) -> None:
    """Ours or the original: users come through it, a plain toxic bites, and only theirs is left."""
    undo = Remembering("process", "proxy")
    with up(tmp_path, undo, ProxyTable(server=f"http://{foreign}")) as stack:
        assert answer_of(stack).status_code == 200
        assert (stack.proxy_api(), stack.hops()) == (foreign, ["engine-0", "gateway-0"])
        assert undo.proxies == [(foreign, "engine-0"), (foreign, "gateway-0")]
        fault = Toxic(stack, "gateway-0", "latency", latency=300)
        fault.inject()
        assert answer_of(stack).elapsed.total_seconds() >= 0.3
        assert fault.heal().proven
        assert lacking(stack, "Proxied") == ""
    assert proxies_at(foreign) == theirs


def test_a_server_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Not even the stack's own supervisor."""
    undo = Remembering()
    with (
        pytest.raises(UsageError, match="no server answers at"),
        up(tmp_path, undo, ProxyTable(server=f"http://{local()}")),
    ):
        pytest.fail("it came up")
    assert undo.processes == []
