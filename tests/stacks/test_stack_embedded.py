"""The embedded stack as a whole: it comes up, can be broken in every way that it says, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_world import Remembering

from servedrill.errors import StackError
from servedrill.host.clock import wait_for
from servedrill.host.processes import children
from servedrill.stacks import protocols
from servedrill.stacks.embedded import EmbeddedStack
from servedrill.stacks.file import Embedded, StackFile
from servedrill.stacks.lifecycle import stack_up

QUICK = {"costs": {"overhead_s": 0.002, "warmup_steps": 1}, "engine_limits": {"blocks": 64}, "restart_backoff_s": 0.05}


def up(folder: Path, made: Remembering, **how: Any) -> Any:
    """A small stack, up inside the block."""
    settings = {**QUICK, **how.pop("settings", {})}
    file = StackFile(embedded=Embedded(**{"engines": 1, "gateways": 1, "settings": settings, **how}))
    return stack_up(file, folder, on_undo=made, defects=[], seed=1, limit_memory=False)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """One engine behind one gateway; afterwards nothing of it is left."""
    made = Remembering()
    with up(tmp_path_factory.mktemp("stack"), made) as running:
        yield running
        family = made.family()
        assert len(family) >= 7
    assert not [identity for identity in family if identity.alive]


def healthy(stack: EmbeddedStack, name: str) -> bool:
    url = next(replica.url for replica in stack.replicas() if replica.name == name)
    try:
        return httpx.get(f"{url}/health", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def test_it_has_every_power_that_drills_ask_for(stack: EmbeddedStack) -> None:
    """The full list: a drill that needs something is never skipped here."""
    for name in (
        "Stack",
        "Signallable",
        "Supervised",
        "Proxied",
        "MemoryLimited",
        "Named",
        "Alerting",
        "Swappable",
        "Sleepable",
    ):
        assert isinstance(stack, getattr(protocols, name)), name
    assert (stack.name, stack.environment) == ("embedded", "local")
    assert [(r.name, r.role, r.hop) for r in stack.replicas()] == [
        ("engine-0", "engine", "engine-0"),
        ("gateway-0", "gateway", "gateway-0"),
    ]
    assert stack.hops() == ["engine-0", "gateway-0"]


def test_it_promises_what_it_was_started_with(stack: EmbeddedStack) -> None:
    """Limits are read from the stack itself and not from its file."""
    promises = stack.promises
    assert (promises.model, promises.version, promises.slots) == ("chat-model", "v1", 16)
    assert "v2" in promises.candidates
    assert promises.version not in promises.candidates


def test_users_come_in_by_name_through_both_proxies(stack: EmbeddedStack) -> None:
    """The name resolves to the gateway's proxy, and the tap at the engine's sees the request pass."""
    entry = stack.entry()
    assert entry.base_url.startswith("http://gateway.stack.test:")
    answers = httpx.get(f"http://{stack.records_api()}/records").json()["answers"]
    assert answers == list(stack.addresses().values()) == ["127.0.0.10"]
    url = entry.base_url.replace("gateway.stack.test", answers[0])
    body = {"model": stack.promises.model, "prompt": "hello", "max_tokens": 3}
    answer = httpx.post(f"{url}/v1/completions", json=body, headers={"x-request-id": "through"}, timeout=5)
    assert answer.status_code == 200
    assert answer.headers["x-served-via"] == "gateway-0"
    page = httpx.get(f"http://{stack.proxy_api()}/proxies/engine-0/exchanges").json()
    assert "through" in [exchange["request_id"] for exchange in page["exchanges"]]
    assert httpx.get(f"{stack.alerts_url()}/api/v2/alerts").json() == []


def test_processes_are_found_and_nobody_elses_are(stack: EmbeddedStack) -> None:
    """The API server and its core are two; a gateway has no core."""
    server, core = stack.process("engine-0"), stack.process("engine-0", "core")
    assert server is not None
    assert core is not None
    assert core.pid in children(server.pid)
    assert stack.process("gateway-0", "core") is None
    with pytest.raises(LookupError, match="no process 'engine-9'"):
        stack.process("engine-9")
    with pytest.raises(LookupError, match="gateway-0 has no running core"):
        stack.signal("gateway-0", signal.SIGCONT, "core")
    assert (stack.memory_group("engine-0"), stack.oom_kills("engine-0")) == ("", 0)
    assert stack.no_memory_group() == "no memory group was asked for"


@pytest.mark.parametrize(("name", "part"), [("engine-0", "core"), ("engine-0", "server"), ("gateway-0", "server")])
def test_what_is_killed_comes_back_as_another(stack: EmbeddedStack, name: str, part: Any) -> None:
    """The supervisor starts it again; both of an engine's processes are new."""
    before = stack.process(name), stack.process(name, "core")
    starts = stack.starts(name)
    stack.signal(name, signal.SIGKILL, part)
    wait_for(lambda: stack.starts(name) == starts + 1, what=f"{name} to be started", within_s=30)
    wait_for(lambda: healthy(stack, name), what=f"{name} to be healthy", within_s=30)
    after = stack.process(name), stack.process(name, "core")
    assert after[0] != before[0]
    assert name == "gateway-0" or after[1] != before[1]
    assert not any(one.alive for one in before if one is not None)


def test_a_restart_is_a_graceful_one(stack: EmbeddedStack) -> None:
    """SIGTERM, an end of its own, and a new process."""
    before = stack.process("engine-0")
    stack.restart("engine-0")
    wait_for(
        lambda: stack.process("engine-0") not in (None, before) and healthy(stack, "engine-0"),
        what="engine-0 to be back",
        within_s=30,
    )
    views = stack.processes()
    assert next(view["last_exit"] for view in views if view["name"] == "engine-0") == "exit 0"
    with pytest.raises(httpx.HTTPStatusError):
        stack.restart("engine-9")


def test_a_second_end_is_no_end(stack: EmbeddedStack, tmp_path: Path) -> None:
    """A stack that never came up can be ended, and twice."""
    never = EmbeddedStack(StackFile(), tmp_path, defects=[], seed=1, on_undo=Remembering(), limit_memory=False)
    never.down()
    never.down()


# ---- that it does not come up


def refused(folder: Path, **how: Any) -> str:
    """What is said of a stack that cannot come up; nothing of it is left."""
    made = Remembering()
    with pytest.raises(StackError) as error, up(folder, made, **how):
        pytest.fail("it came up")
    assert not [one for one in made.processes if one.alive]
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """Which setting, which port, and how to find out who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(tmp_path, control_port=port)
    assert text.startswith(f"embedded.control_port: port {port} is taken; expected a free port; hint: `ss -ltnp")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"drain_grace": 3}, "unknown field `drain_grace`"),
        ({"drain_grace_s": "soon"}, "Expected `float`"),
        ({"serves": "v9"}, "no version 'v9' among the models v1, v2"),
    ],
    ids=["unknown-key", "wrong-type", "unknown-version"],
)
def test_a_setting_that_the_stack_does_not_know_is_named(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    """By the process that refused it, with its log."""
    assert says in refused(tmp_path, settings=settings)
