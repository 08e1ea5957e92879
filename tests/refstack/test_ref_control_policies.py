"""The control plane's policies: who is restarted, who is resolved, who is told, which candidate takes over."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ref_core import small_stack

from servedrill.host.clock import wait_for
from servedrill.refstack.control.alert_rules import AlertRules, Fact
from servedrill.refstack.control.canary import Canary
from servedrill.refstack.control.dns_health import DnsHealth
from servedrill.refstack.control.memory_group import oom_kills
from servedrill.refstack.control.restart import RestartWhenGone
from servedrill.refstack.control.supervised import Supervised
from servedrill.refstack.engine.messages import (
    Abort,
    FromCore,
    LoadAdapter,
    Pong,
    Ready,
    Submit,
    ToCore,
    Unpacker,
    pack,
)
from servedrill.refstack.gateway.versions import LAST, Versions, VersionStats

STACK = small_stack()


def test_restarts_back_off_and_stop_growing() -> None:
    """The wait doubles with each exit of the last minute, up to a bound; a process is never given up."""
    restart = RestartWhenGone(backoff_s=0.2, backoff_max_s=2.0)
    assert [restart.delay_s(name="e", recent_exits=n) for n in (1, 2, 3, 4, 5, 300)] == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_nothing_starts_before_the_last_of_the_dead_is_gone() -> None:
    """What a dead leader left in its process group is killed and waited for."""
    restart = RestartWhenGone(backoff_s=0.2, backoff_max_s=2.0)
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True) as leader:
        assert not restart.gone(leader.pid)
        restart.reap(leader.pid)
        leader.wait()
        wait_for(lambda: restart.gone(leader.pid), what="the group to be empty", within_s=30)
        restart.reap(leader.pid)
    assert leader.returncode == -signal.SIGKILL
    assert restart.gone(leader.pid)


def test_what_does_not_end_by_itself_is_killed() -> None:
    """A process that is told to end has its grace period; another life under the same name is left alone."""

    async def end(pid: int) -> tuple[int, int]:
        restart = RestartWhenGone(backoff_s=0.2, backoff_max_s=2.0)
        restart.grace_s = lambda *, name: 0.05  # type: ignore[method-assign]
        supervised = Supervised(None, role="engine", name="e", restart=restart, memory_group="")  # type: ignore[arg-type]
        supervised.pid = pid
        supervised.terminate(pid)
        killed = await asyncio.to_thread(stubborn.wait, 30)
        supervised.pid = another.pid
        supervised._kill(pid)
        return killed, another.poll() or 0

    command = ["sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done"]
    with (
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as stubborn,
        subprocess.Popen(["sleep", "60"]) as another,
    ):
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        assert asyncio.run(end(stubborn.pid)) == (-signal.SIGKILL, 0)
        another.kill()
    assert RestartWhenGone(backoff_s=0.2, backoff_max_s=2.0).grace_s(name="engine-0") == 30.0


def test_a_name_answers_with_the_healthy_ones() -> None:
    """Two bad probes in a row withdraw an address, a good one restores it; with none healthy, all are answered."""
    health, addresses = DnsHealth(STACK), ["a", "b"]
    assert health.answers(addresses) == ["a", "b"]
    health.observe("a", ok=False)
    assert health.answers(addresses) == ["a", "b"]
    health.observe("a", ok=False)
    assert health.answers(addresses) == ["b"]
    for _ in range(2):
        health.observe("b", ok=False)
    assert health.answers(addresses) == ["a", "b"]
    health.observe("a", ok=True)
    assert health.answers(addresses) == ["a"]


@pytest.mark.parametrize(
    ("fields", "alerts"),
    [
        ({}, []),
        ({"down_s": 0.4}, []),
        ({"down_s": 0.6}, ["ReplicaDown"]),
        ({"down_s": 0.6, "last_exit": "OOMKilled"}, ["ReplicaDown", "EngineOutOfMemory"]),
        ({"last_exit": "OOMKilled"}, []),
        ({"tokens_flat_s": 1.4}, []),
        ({"tokens_flat_s": 1.6}, ["NoProgress"]),
        ({"tokens_flat_s": 1.6, "down_s": 0.6}, ["ReplicaDown", "NoProgress"]),
    ],
)
def test_who_is_told_of_what(fields: dict[str, Any], alerts: list[str]) -> None:
    """A replica that is down, killed for memory or without progress raises the alert of that name."""
    fact = Fact(
        **{
            "name": "engine-0",
            "role": "engine",
            "down_s": 0.0,
            "last_exit": "",
            "kv_usage": 0,
            "running": 0,
            "tokens_flat_s": 0.0,
            **fields,
        }
    )
    assert AlertRules().firing([fact]) == [(alert, "engine-0") for alert in alerts]


@pytest.mark.parametrize(
    ("candidate", "against"),
    [
        ({}, None),
        ({"pid": 7}, None),
        ({"max_model_len": 1024}, "max_model_len is 1024, 2048 is served now"),
        ({"dtype": "float16"}, "dtype is float16"),
        ({"default_sampling_params": {"temperature": 0.2}}, "default_sampling_params is"),
        ({"max_model_len": None}, "max_model_len is None"),
    ],
)
def test_a_candidate_with_other_parameters_is_refused(candidate: dict[str, Any], against: str | None) -> None:
    """Parameters that differ from the serving version's refuse a candidate before it gets traffic."""
    serving = {"max_model_len": 2048, "dtype": "bfloat16", "default_sampling_params": {"temperature": 1.0}, "pid": 3}
    says = Canary(STACK).check_parameters(serving, {**serving, **candidate})
    assert (says is None) if against is None else (says or "").startswith(against)


@pytest.mark.parametrize(("right", "refused"), [(20, False), (19, False), (18, True), (0, True)])
def test_a_candidate_that_knows_less_is_refused(right: int, refused: bool) -> None:
    """A candidate may get one golden answer less right than the serving version, not two."""
    assert (Canary(STACK).check_quality(right=right, asked=20, serving_right=20) is not None) == refused


SERVING = VersionStats(requests=50, ttft_s=[0.1] * 50, tpot_s=[0.02] * 50)


@pytest.mark.parametrize(
    ("candidate", "against"),
    [
        (VersionStats(requests=20, ttft_s=[0.11] * 20, tpot_s=[0.021] * 20), None),
        (VersionStats(requests=20), None),
        (VersionStats(requests=20, failures=1), None),
        (VersionStats(requests=20, failures=2), "2 of 20 requests failed"),
        (VersionStats(requests=20, tpot_s=[0.05] * 20), "tpot_s 0.050, 0.020 by the version that serves now"),
        (VersionStats(requests=20, ttft_s=[0.4] * 20), "ttft_s 0.400"),
        (VersionStats(), "no traffic reached the candidate"),
    ],
)
def test_a_candidate_is_judged_by_what_its_users_got(candidate: VersionStats, against: str | None) -> None:
    """Failures and speed are compared with the serving version's; without users a candidate is refused."""
    says = Canary(STACK).check_traffic(SERVING, candidate)
    assert (says is None) if against is None else (says or "").startswith(against)


def test_a_candidate_is_judged_when_it_has_served_enough() -> None:
    """A candidate is not judged by its first request."""
    canary = Canary(STACK)
    assert [canary.enough(VersionStats(requests=n)) for n in (0, 9, 10)] == [False, False, True]


def test_figures_of_a_version_are_those_of_late() -> None:
    """The last 200 times of a version count, and a new table of aliases begins a new count."""
    versions = Versions()
    for number in range(300):
        versions.ended("v1", ok=number % 10 > 0, ttft_s=float(number), tpot_s=None)
    stats = versions.stats["v1"]
    assert (stats.requests, stats.failures, len(stats.ttft_s), stats.ttft_s[-1], stats.tpot_s) == (
        300,
        30,
        LAST,
        299.0,
        [],
    )
    versions.reset()
    assert versions.stats == {}


@pytest.mark.parametrize(
    ("name", "text", "kills"),
    [
        ("memory.events", "low 0\noom 3\noom_kill 2\n", 2),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5),
        ("memory.stat", "oom_kill 9\n", 0),
    ],
)
def test_kills_are_read_from_either_kind_of_memory_group(tmp_path: Path, name: str, text: str, kills: int) -> None:
    """Kills are read from cgroup v1 and v2, and a group that is gone has none."""
    (tmp_path / name).write_text(text)
    assert oom_kills(str(tmp_path)) == kills
    assert oom_kills(str(tmp_path / "gone")) == 0


MESSAGES = st.lists(
    st.builds(Abort, ids=st.lists(st.text(max_size=5), max_size=3))
    | st.builds(LoadAdapter, name=st.text(max_size=5), path=st.text(max_size=5))
    | st.builds(
        Submit,
        id=st.text(max_size=5),
        model=st.just("m"),
        prompt=st.lists(st.text(max_size=9), max_size=50),
        n=st.integers(1, 8),
        max_tokens=st.integers(1, 99),
        temperature=st.none() | st.floats(0, 2),
    ),
    max_size=6,
)


@given(MESSAGES, st.lists(st.integers(0, 5000), max_size=10))
def test_messages_between_server_and_core_survive_any_cut(messages: list[Any], cuts: list[int]) -> None:
    """Messages are read whole, however the byte stream is cut."""
    data = b"".join(pack(message) for message in messages)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    unpacker = Unpacker()
    bodies = [body for start, end in pairwise(edges) for body in unpacker.feed(data[start:end])]
    assert [msgspec.msgpack.decode(body, type=ToCore) for body in bodies] == messages
    assert [
        msgspec.msgpack.decode(body, type=FromCore)
        for body in Unpacker().feed(pack(Pong(3)) + pack(Ready("v", True, False)))
    ] == [Pong(3), Ready("v", True, False)]
