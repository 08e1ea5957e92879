"""A stack that somebody else runs: what can be read and done is what its file gives, and it is as it was afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_world import Remembering

from servedrill.errors import StackError, UsageError
from servedrill.faults.process import ProcessKill
from servedrill.host.clock import wait_for
from servedrill.host.ports import free_ports
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.embedded import EmbeddedStack
from servedrill.stacks.external import KIND
from servedrill.stacks.file import StackFile
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.reading import read_stack_file


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Somebody's stack: the embedded one, known by its addresses alone. Every test leaves it as it was."""
    folder = tmp_path_factory.mktemp("theirs")
    with stack_up(
        StackFile(), folder, on_undo=Remembering("process", "proxy"), defects=[], seed=1, limit_memory=False
    ) as stack:
        assert isinstance(stack, EmbeddedStack)
        yield stack


BARE = """
kind = "external"
name = "ours"
[external]
url = "{url}"
[promises]
model = "chat-model"
version = "v1"
oracle = "frames"
slots = 40
"""


REPLICA = '[[replica]]\nname = "e"\nrole = "engine"\nurl = '


@contextlib.contextmanager
def ours(folder: Path, text: str) -> Iterator[Any]:
    path = folder / "ours.toml"
    path.write_text(text)
    with stack_up(
        read_stack_file(path),
        folder / "ours",
        on_undo=Remembering("process", "proxy"),
        defects=[],
        seed=1,
        limit_memory=False,
    ) as stack:
        yield stack


def front(stack: EmbeddedStack) -> str:
    return next(str(r.url) for r in stack.replicas() if r.role == "gateway")


def test_a_bare_url_can_be_sent_traffic_and_nothing_else(tmp_path: Path, theirs: EmbeddedStack) -> None:
    """What it lacks is said with its reason."""
    with ours(tmp_path, BARE.replace("{url}", front(theirs))) as bare:
        assert bare.entry().base_url == front(theirs)
        assert bare.replicas() == []
        for capability in ("Proxied", "Proxied:engines", "Signallable", "Supervised", "Scrapable", "Alerting"):
            assert lacking(bare, capability), capability
        assert "names no [[replica]]" in lacking(bare, "Scrapable")
        question = {"model": "chat-model", "prompt": "a", "max_tokens": 2}
        assert httpx.post(f"{bare.entry().base_url}/v1/completions", json=question).status_code == 200


def test_hooks_kill_and_restart_and_tell_lives_apart(tmp_path: Path, theirs: EmbeddedStack) -> None:
    """A kill is proven by another identity, as one of our own processes is by another pid; a proxy stands where the
    file says."""
    engine = next(r for r in theirs.replicas() if r.role == "engine")
    port = free_ports(1)[0]
    find = f"{sys.executable} {tmp_path}/find.py"
    (tmp_path / "find.py").write_text(
        "import json, os, signal, sys, urllib.request\n"
        f"views = json.load(urllib.request.urlopen('{theirs.control_urls()[0]}'))\n"
        f"pid = next(v['pid'] for v in views if v['name'] == '{engine.name}')\n"
        "os.kill(pid, signal.SIGKILL) if sys.argv[1:] == ['kill'] else print(pid or sys.exit('no pid'))\n"
    )
    text = BARE.replace("{url}", front(theirs)) + (
        f'[[replica]]\nname = "engine-0"\nrole = "engine"\nurl = "{engine.url}"\nlisten = "127.0.0.1:{port}"\n'
        f'hooks = {{ kill = "{find} kill", identity = "{find}", restart = "false" }}\n'
    )
    with ours(tmp_path, text) as external:
        assert lacking(external, "Signallable") == "" == lacking(external, "Proxied:engines")
        assert "no core" in lacking(external, "Signallable:core")
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        kill = ProcessKill(external, "engine-0", back_within_s=15)
        kill.undo()
        kill.inject()
        assert kill.evidence().proven
        assert kill.heal().proven
        assert external.starts("engine-0") == 2
        assert external.processes()[0]["pid"] < 0
        with pytest.raises(StackError, match="exit status 1"):
            external.restart("engine-0")
        with pytest.raises(StackError, match="can be killed, and no more"):
            external.signal("engine-0", signal.SIGSTOP)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")
    assert httpx.get(f"{front(theirs)}/health").status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{url}", "http://127.0.0.1:9", "no answer through http://127.0.0.1:9"),
        ('model = "chat-model"', 'model = "nobody"', "no model 'nobody'"),
        ("[promises]", f'{REPLICA}"http://127.0.0.1:9"\n[promises]', "no metrics of e: "),
    ],
    ids=["nobody-there", "model", "metrics"],
)
def test_what_is_wrong_is_said_before_any_drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: EmbeddedStack, old: str, new: str, says: str
) -> None:
    """With what was answered instead."""
    monkeypatch.setattr("servedrill.stacks.first_look._WITHIN_S", 1.0)
    text = BARE.replace(old, new).replace("{url}", front(theirs))
    with pytest.raises(StackError, match=says), ours(tmp_path, text):
        pass


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('[external]\nurl = "{url}"', "", "external: is missing"),
        ("[external]", "nice = 3\n[external]", "nice: has no use where kind is .external.; expected kind"),
        ("{url}", "llm.example.com", "external.url: is 'llm.example.com'"),
        ('[promises]\nmodel = "chat-model"\nversion = "v1"\noracle = "frames"\nslots = 40', "", "promises: is missing"),
        ("[promises]", f'{REPLICA}"http://a:1"\nlisten = "there"\n[promises]', "listen: is 'there'"),
        ("[promises]", f'{REPLICA}"http://a:1"\nhook = "x"\n[promises]', "did you mean 'hooks'"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Refused when they are read."""
    path = tmp_path / "ours.toml"
    path.write_text(BARE.replace(old, new).replace("{url}", "http://127.0.0.1:9"))
    with pytest.raises(UsageError, match=says):
        read_stack_file(path)


def test_drills_that_need_only_traffic_run_against_a_bare_url(tmp_path: Path, theirs: EmbeddedStack) -> None:
    """The cancel storm is judged; others are skipped with their reasons; the stack is as it was.

    What is claimed about time is not looked at: nobody knows whether a stack of somebody else had cores to run on.
    """
    path = tmp_path / "ours.toml"
    told = BARE.replace("{url}", front(theirs)) + "overload_ttft_s = 6.0\n"
    path.write_text(f"{told}pace = 2.0\n")  # it is not alone on its cores
    starts = [(view["name"], view["starts"]) for view in theirs.processes()]
    drills = ["drills/test_4_gateway_failover.py", "drills/test_5_cancel_storm.py"]
    options = ["--drill-stack", str(path), "--drill-runs", str(tmp_path / "runs"), "--drill-no-report", "-rs"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *drills, *options],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1"},
        check=False,
    )
    verdict = json.loads((tmp_path / "runs/latest/cancel_storm/verdict.json").read_text())
    untimed = {finding["checker"]: finding["answer"] for finding in verdict["findings"] if not finding.get("timing")}
    assert {"NoFailures", "ErrorsReadable", "CancelsCovered", "RanToItsEnd"} <= set(untimed), done.stdout
    assert "fail" not in untimed.values(), done.stdout
    assert "1 skipped" in done.stdout, done.stdout
    assert "no hooks kill, restart and identity" in done.stdout
    wait_for(lambda: httpx.get(f"{front(theirs)}/health").status_code == 200, what="their stack", within_s=30)
    assert [(view["name"], view["starts"]) for view in theirs.processes()] == starts


def test_who_serves_on_this_machine_is_seen_there(tmp_path: Path, theirs: EmbeddedStack) -> None:
    """So that what is late for want of a core is not held against it; of another machine nothing is known."""
    with ours(tmp_path, BARE.replace("{url}", front(theirs))) as bare:
        gateway = next(one.name for one in theirs.replicas() if one.url == front(theirs))
        life = theirs.process(gateway)
        assert life is not None and lacking(bare, "OnCores") == ""
        assert bare.on_cores() == bare.on_cores() == {"service": life.pid}
    text = BARE.replace("{url}", "http://192.0.2.7:8000")
    (tmp_path / "far.toml").write_text(text)
    far = read_stack_file(tmp_path / "far.toml")
    assert (
        "OnCores"
        in KIND.make(far, tmp_path, defects=[], seed=1, on_undo=Remembering("proxy"), limit_memory=False).lacks
    )  # type: ignore[attr-defined]
