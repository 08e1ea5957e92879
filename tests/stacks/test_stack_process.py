"""A stack of commands: it comes up in order, is kept running, can be broken, and leaves nothing behind; what is wrong
with one is said in one line.

The commands are cheap and real: a tiny server with the routes that a stack is asked for.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_world import Remembering
from toy_stack import get, healthy, refused, up, written

from servedrill.errors import StackError, UsageError
from servedrill.host.clock import wait_for
from servedrill.host.processes import identify
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.lifecycle import make_stack
from servedrill.stacks.process import ProcessStack
from servedrill.stacks.reading import read_stack_file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessStack]:
    """Two engines, one that waits for both; afterwards nothing is left."""
    folder = tmp_path_factory.mktemp("toy")
    second = """
            env = { GREETING = "from engine {n} on {port}" }
            count = 2
            [[process]]
            name = "door"
            role = "gateway"
            after = ["engine"]
            command = ["{python}", "{here}/server.py", "{port}", "door", "", "{hop:engine-0}", "{hop:engine-1}"]
    """
    made = Remembering()
    path = written(folder, engine=second, promises='model = "toy"\ncandidates = ["v2", "broken"]')
    with up(path, folder / "run", made) as running:
        yield running
        family = made.family()
        assert len(family) >= 8  # supervisor, proxy, three servers, three cores
    assert not [one for one in family if one.alive]


# ---- what it is


def test_a_count_makes_several_and_placeholders_are_filled_in(stack: ProcessStack) -> None:
    """Each has its own number and port, and others reach it through its proxy."""
    assert [(r.name, r.role, r.hop) for r in stack.replicas()] == [
        ("engine-0", "engine", "engine-0"),
        ("engine-1", "engine", "engine-1"),
        ("door", "gateway", "door"),
    ]
    greetings = [get(stack, f"engine-{n}", "/env").json()["greeting"] for n in (0, 1)]
    ports = [replica.url.rpartition(":")[2] for replica in stack.replicas()]
    assert greetings == [f"from engine {n} on {ports[n]}" for n in (0, 1)]
    hops = get(stack, "door", "/env").json()["argv"][3:]
    assert all(httpx.get(f"http://{hop}/health").status_code == 200 for hop in hops)
    assert not set(ports) & {hop.rpartition(":")[2] for hop in hops}


def test_users_come_in_through_the_gateways_proxy(stack: ProcessStack) -> None:
    """And an engine's proxy notes what passes."""
    entry = stack.entry()
    assert entry.resolver is None
    answer = httpx.post(f"{entry.base_url}/v1/completions", json={"model": "toy"}, timeout=5)
    assert answer.json()["system_fingerprint"] == "door"
    assert stack.hops() == ["engine-0", "engine-1", "door"]


def test_what_a_file_does_not_give_is_lacking_with_a_reason(stack: ProcessStack) -> None:
    """Powers that every process stack has, and those that depend on its file or its engines."""
    for name in ("Signallable", "Supervised", "Proxied", "Swappable"):
        assert lacking(stack, name) == ""
    assert lacking(stack, "Named") == "toy.toml has no [dns]: nothing leads users to another gateway"
    assert lacking(stack, "Alerting") == "toy.toml names no alert endpoint (alerts = ...)"
    assert lacking(stack, "Sleepable") == "engine-0 has no /is_sleeping (404)"


def session_nice(pid: int) -> int:
    """How a process's session stands against others, where the kernel shares cores out by sessions; else the
    process against this one."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])
    except FileNotFoundError:
        return os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)


def test_it_steps_back_behind_others_only_where_its_file_says_so(stack: ProcessStack, tmp_path: Path) -> None:
    """A stack that does is starved by any neighbour, so that is nobody's default."""
    with up(written(tmp_path, top="nice = 7"), tmp_path / "run") as modest:
        engines = stack.process("engine-0"), modest.process("engine")
        assert [engine and session_nice(engine.pid) for engine in engines] == [0, 7]


def test_a_name_leads_to_every_gateway_and_away_from_a_dead_one(tmp_path: Path) -> None:
    """On addresses of their own and one port, by their proxies. Their health is where their file says."""
    doors = """
            [[process]]
            name = "door"
            count = 2
            role = "gateway"
            published = "127.0.0.2{n}"
            command = ["{python}", "{here}/server.py", "{port}", "door-{n}", "elsewhere"]
            ready.path = "/well"
            health = "/well"
            restart = { policy = "never" }
    """
    with up(written(tmp_path, engine=doors, top="[dns]"), tmp_path / "run") as stack:
        assert stack.addresses() == {"door-0": "127.0.0.20", "door-1": "127.0.0.21"}
        assert stack.entry().resolver == stack.records_api()
        port, toy = stack.entry().base_url.rpartition(":")[2], {"model": "toy"}
        urls = [f"http://{address}:{port}/v1/completions" for address in stack.addresses().values()]
        said = [httpx.post(url, json=toy).json()["system_fingerprint"] for url in urls]
        assert said == ["door-0", "door-1"]
        stack.signal("door-0", signal.SIGKILL)

        def answers() -> list[str]:
            return list(httpx.get(f"http://{stack.records_api()}/records").json()["answers"])

        wait_for(lambda: answers() == ["127.0.0.21"], what="the name to lead away", within_s=30)
        assert stack.process("door-0") is None


# ---- what can be done to it


@pytest.mark.parametrize("part", ["core", "server"])
def test_what_is_killed_comes_back_as_another(stack: ProcessStack, part: Any) -> None:
    """A dead server takes its core with it before the next one starts; a dead core is the server's own affair."""
    before = stack.process("engine-0"), stack.process("engine-0", "core")
    assert None not in before
    starts = stack.starts("engine-0")
    stack.signal("engine-0", signal.SIGKILL, part)
    if part == "core":
        wait_for(lambda: not healthy(stack, "engine-0"), what="engine-0 to say so", within_s=30)
        stack.signal("engine-0", signal.SIGKILL)
    wait_for(lambda: stack.starts("engine-0") == starts + 1, what="a new life", within_s=30)
    wait_for(lambda: healthy(stack, "engine-0"), what="engine-0 to be healthy", within_s=30)
    assert not any(one.alive for one in before if one is not None)
    assert stack.process("door", "server") is not None


def test_a_restart_is_a_graceful_one(stack: ProcessStack) -> None:
    """SIGTERM, an end of its own, and a new process although it ended well."""
    before = stack.process("engine-1")
    stack.restart("engine-1")
    wait_for(
        lambda: stack.process("engine-1") not in (None, before) and healthy(stack, "engine-1"),
        what="engine-1 to be back",
        within_s=30,
    )
    views = stack.processes()
    assert next(view["last_exit"] for view in views if view["name"] == "engine-1") == "exit status 0"


def test_nobody_elses_processes_are_found(stack: ProcessStack) -> None:
    """A name or a part that the stack has not got is nobody's process."""
    with pytest.raises(LookupError, match="no process 'engine-9'"):
        stack.process("engine-9")
    with pytest.raises(LookupError, match="toxiproxy"):
        stack.signal("toxiproxy-0", signal.SIGCONT)


def version_of(stack: ProcessStack, name: str) -> str:
    """Empty while it does not answer."""
    url = next(replica.url for replica in stack.replicas() if replica.name == name)
    try:
        return str(httpx.post(f"{url}/v1/completions", json={"model": "toy"}).json()["system_fingerprint"])
    except httpx.HTTPError:
        return ""


def test_a_candidate_that_does_not_start_is_rolled_back(stack: ProcessStack) -> None:
    """The first engine that cannot be had with it goes back to what served before."""
    number = stack.start_rollout("broken")
    wait_for(lambda: stack.rollout(number)["state"] != "running", what="the rollout to end", within_s=30)
    over = stack.rollout(number)
    assert (over["state"], over["reason"]) == ("rolled_back", "load: it ended (exit status 1)")
    assert [version_of(stack, f"engine-{n}") for n in (0, 1)] == ["v1", "v1"]


def test_a_good_candidate_replaces_every_engine(stack: ProcessStack) -> None:
    """The next one's turn comes when gateways have had the time to notice that the one before is back."""
    starts = stack.starts("engine-1")
    number = stack.start_rollout("v2")
    wait_for(lambda: version_of(stack, "engine-0") == "v2", what="engine-0 with v2", within_s=30)
    back = time.monotonic()
    wait_for(lambda: stack.starts("engine-1") > starts, what="engine-1 to start again", within_s=30)
    assert time.monotonic() - back > stack.promises.detect_s / 2
    wait_for(lambda: stack.rollout(number)["state"] != "running", what="the rollout to end", within_s=30)
    assert stack.rollout(number)["state"] == "promoted"
    assert stack.rollout(number)["steps"] == ["engine-0: serves v2", "engine-1: serves v2"]
    assert [version_of(stack, f"engine-{n}") for n in (0, 1)] == ["v2", "v2"]


OWN_ROLLOUTS = """
kind = "process"
name = "own"
alerts = "http://{host}:{port:alerts}"
rollouts = "http://{host}:{port:rollouts}"
[proxy]
hops = []
[promises]
model = "chat-model"
version = "v1"
candidates = ["v2", "v2-damaged"]
[[file]]
path = "refstack.json"
text = '''
{"engines": [{"name": "engine-0", "port": {port:engine-0}}, {"name": "engine-1", "port": {port:engine-1}}],
 "gateways": [{"name": "gateway", "host": "127.0.0.1", "port": {port:gateway}}],
 "control_host": "{host}", "control_port": {port:rollouts}, "alerts_port": {port:alerts}, "dns_port": 0,
 "models": [{"version": "v1"}, {"version": "v2"}, {"version": "v2-damaged", "loads": false}],
 "canary_observe_s": 0.2, "log_dir": "{folder}"}
'''
[[process]]
name = "engine"
count = 2
role = "engine"
command = ["{python}", "-m", "servedrill.refstack", "--config", "{folder}/refstack.json", "engine", "{name}"]
[[process]]
name = "gateway"
role = "gateway"
after = ["engine"]
command = ["{python}", "-m", "servedrill.refstack", "--config", "{folder}/refstack.json", "gateway", "{name}"]
[[process]]
name = "rollouts"
command = ["{python}", "-m", "servedrill.refstack", "--config", "{folder}/refstack.json", "rollouts"]
ready = { path = "", log = "listening" }
[[process]]
name = "alerts"
command = ["{python}", "-m", "servedrill.refstack", "--config", "{folder}/refstack.json", "alerts"]
ready = { path = "/-/ready" }
"""


def test_a_stack_may_decide_on_rollouts_itself_and_tell_of_what_is_down(tmp_path: Path) -> None:
    """The embedded stack's own canary and alerts, as programs beside engines that somebody else keeps."""
    path = tmp_path / "own.toml"
    path.write_text(OWN_ROLLOUTS)
    with up(path, tmp_path / "run") as stack:
        number = stack.start_rollout("v2-damaged")
        wait_for(lambda: stack.rollout(number)["state"] != "running", what="the rollout to end", within_s=30)
        assert stack.rollout(number)["state"] == "rolled_back"
        assert "did not load on engine-1" in stack.rollout(number)["reason"]
        stack.signal("engine-0", signal.SIGSTOP)
        wait_for(
            lambda: [one["labels"]["alertname"] for one in httpx.get(f"{stack.alerts_url()}/api/v2/alerts").json()],
            what="an alert",
            within_s=30,
        )
        stack.signal("engine-0", signal.SIGCONT)


# ---- that nothing is left


def test_everything_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """kill -9 of whoever brought it up: the end of a pipe is enough, before any watchdog."""
    path = written(tmp_path)
    script = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from stack_world import Remembering
        from toy_stack import up
        made = Remembering()
        with up(Path({str(path)!r}), Path({str(tmp_path / "run")!r}), made) as stack:
            print(*(one.pid for one in made.family()), flush=True)
            time.sleep(60)
        """
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ)
    assert starter.stdout is not None
    identities = [identify(int(pid)) for pid in starter.stdout.readline().split()]
    assert len(identities) == 4  # supervisor, proxy, server, core
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not any(one is not None and one.alive for one in identities), what="all to end", within_s=30)


# ---- that it does not come up


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the process that wanted it, before anything starts."""
    text = refused(written(tmp_path, command='["no-such-program-1", "--port", "{port}"]'), tmp_path / "run")
    assert "process 'engine': no program 'no-such-program-1'" in text


def test_an_engine_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """Its exit status alone would not say why."""
    command = '["{python}", "{here}/server.py", "{port}", "{version}", "dies"]'
    text = refused(written(tmp_path, command=command), tmp_path / "run")
    assert "engine ended before it was ready: exit status 1" in text
    assert "ValueError: the weights are torn" in text


def test_an_engine_that_never_gets_ready_is_told_with_what_it_answered(tmp_path: Path) -> None:
    """Which status, and how long it was waited for."""
    command = '["{python}", "{here}/server.py", "{port}", "{version}", "sick"]'
    path = written(tmp_path, command=command)
    path.write_text(path.read_text().replace("within_s = 10.0", "within_s = 3.0"))
    text = refused(path, tmp_path / "run")
    assert "engine not ready after 3 s: /health answered 503; expected 200 from /health" in text


def test_a_model_that_is_not_served_is_told_with_those_that_are(tmp_path: Path) -> None:
    """A wrong name is told by the first answer, and not by every request."""
    text = refused(written(tmp_path, promises='model = "gpt-9"'), tmp_path / "run")
    assert "promises.model: no model 'gpt-9'" in text
    assert "expected one of toy" in text


def test_a_key_that_is_refused_is_told_with_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the key itself is in no message and in no file of the run."""
    command = '["{python}", "{here}/server.py", "{port}", "{version}", "locked"]'
    path = written(tmp_path, command=command, top='api_key_env = "TOY_KEY"')
    with pytest.raises(UsageError, match="TOY_KEY is not set"), up(path, tmp_path / "run"):
        pytest.fail("it came up")
    monkeypatch.setenv("TOY_KEY", "open-says-me")
    text = refused(path, tmp_path / "run2")
    assert "the key was refused: 401" in text
    assert "it comes from TOY_KEY" in text
    assert "open-says-me" not in text
    assert not [
        file for file in (tmp_path / "run2").rglob("*") if file.is_file() and "open-says-me" in file.read_text()
    ]
    monkeypatch.setenv("TOY_KEY", "sesame")
    with up(path, tmp_path / "run3") as stack:
        assert stack.entry().api_key_env == "TOY_KEY"


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """With the process that wanted it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(written(tmp_path, engine=f"port = {port}"), tmp_path / "run")
    assert f"process 'engine': port {port} is taken; expected a free port" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"engine": 'metrcs = "none"'}, "unknown key 'metrcs'; did you mean 'metrics'"),
        ({"engine": 'after = ["gateway"]'}, "no process 'gateway'; expected one of engine"),
        ({"engine": 'after = ["engine"]'}, "engine waits for itself"),
        ({"top": "nice = 20"}, "nice: is 20; expected 0 to 19"),
        ({"engine": "count = 0"}, "count: is 0; expected 1 to 64"),
        ({"promises": 'model = "toy"\nresumes_streem = true'}, "did you mean 'resumes_streams'"),
        ({"command": "[]"}, "command: is empty"),
        ({"engine": '[[process]]\nname = "engine"\ncommand = ["x"]'}, "'engine' twice, first in line"),
    ],
    ids=["key", "after", "circle", "nice", "count", "promise", "command", "twice"],
)
def test_what_is_wrong_with_a_file_is_said_before_anything_starts(
    tmp_path: Path, change: dict[str, str], says: str
) -> None:
    """When it is read."""
    with pytest.raises(UsageError, match=says):
        read_stack_file(written(tmp_path, **change))


def test_a_placeholder_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    """Braces around any other word are a mistake."""
    text = refused(written(tmp_path, command='["{python}", "{prot}"]'), tmp_path / "run")
    assert "no placeholder {prot}; expected one of {cache}, {env}, {folder}" in text


def test_json_in_a_command_is_left_alone(tmp_path: Path) -> None:
    """Braces around anything but a word are the command's own."""
    command = """["{python}", "{here}/server.py", "{port}", "{version}", "", '{"a": {"b": 1}}']"""
    with up(written(tmp_path, command=command), tmp_path / "run") as stack:
        assert get(stack, "engine", "/env").json()["argv"][3] == '{"a": {"b": 1}}'


def test_defects_are_for_the_embedded_stack(tmp_path: Path) -> None:
    """Nothing is made where a seeded bug cannot be planted."""
    file, undo = read_stack_file(written(tmp_path)), Remembering()
    with pytest.raises(StackError, match="defects are for the embedded stack only"):
        make_stack(file, tmp_path, defects=["a:B"], seed=1, on_undo=undo, limit_memory=False)
    assert undo.undo == []
