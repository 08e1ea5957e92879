"""Stack files: what is wrong with one is said in one line, before anything starts."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from servedrill.errors import StackError, UsageError
from servedrill.host import ports
from servedrill.host.ports import free_ports, is_free, require_free
from servedrill.judging.catalogue import ALWAYS, require_declarable
from servedrill.refstack.config import Stack
from servedrill.stacks.embedded import promised_by
from servedrill.stacks.file import StackFile, read_stack_file


def test_without_a_file_the_embedded_stack_has_its_defaults() -> None:
    assert read_stack_file(None) == StackFile()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml: no stack file.*expected a TOML file"):
        read_stack_file(tmp_path / "nowhere.toml")


def test_an_unknown_key_is_named_with_the_one_that_was_probably_meant(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text("[embedded]\nengins = 3\n")
    with pytest.raises(UsageError, match=r"stack\.toml.*`engins`.*did you mean `engines`"):
        read_stack_file(file)


@pytest.mark.parametrize("line", ["engines = 0", "engines = 17", "gateways = 0", "control_port = 70000"])
def test_a_number_out_of_range_is_refused_with_the_range(tmp_path: Path, line: str) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(f"[embedded]\n{line}\n")
    with pytest.raises(UsageError, match=f"{line.split()[0]} is {line.split()[-1]}; expected"):
        read_stack_file(file)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text("engines: 3")
    with pytest.raises(UsageError, match="expected a stack file"):
        read_stack_file(file)


def test_free_ports_are_different_and_below_the_range_of_outgoing_connections() -> None:
    found = free_ports(20)
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(found)) == 20
    assert all(is_free(port) and port < lowest_ephemeral for port in found)


def test_no_port_is_given_to_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nobody listens there yet."""
    lowest = random.randrange(20000, 31000)
    monkeypatch.setattr(ports, "_LOWEST", lowest)
    monkeypatch.setattr(ports, "_HIGHEST", lowest + 60)
    ours = free_ports(20)
    asks = f"from servedrill.host import ports; ports._LOWEST, ports._HIGHEST = {lowest}, {lowest + 60}"
    command = [sys.executable, "-c", f"{asks}; print(*ports.free_ports(20))"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(set(ours) | set(map(int, theirs.stdout.split()))) == 40


def test_a_taken_port_is_refused_by_name() -> None:
    port = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(StackError, match=rf"embedded\.control_port: port {port} is taken"):
            require_free(port, where="embedded.control_port")
    assert require_free(port, where="embedded.control_port") == port


SHIPPED = sorted((Path(__file__).parents[2] / "fixtures/data/stacks").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_file_can_be_read(path: Path) -> None:
    """Its commands, its order, its promises, and the checkers that its weaknesses name; of an embedded one, settings that its processes take."""
    file = read_stack_file(path)
    if file.kind == "embedded":
        written = {"engines": [], "gateways": [], "control_port": 1, "alerts_port": 1, "dns_port": 1, "log_dir": ""}
        stack = msgspec.convert({**file.embedded.settings, **written}, type=Stack)
        assert stack.model(stack.serves) is not None
        return
    if file.kind != "external":
        assert {command.role for command in [*file.process, *file.container]} >= {"engine", "gateway"}
    assert file.promises is not None
    for weakness in file.weaknesses:
        assert weakness.because.endswith(".")
        for check in weakness.checks:
            require_declarable(check.partition(":")[0], where=path.name)


def test_the_containers_promise_what_their_configuration_says() -> None:
    """They are the embedded stack's processes; only what takes longer in a container is promised otherwise."""
    slower = ["pace", "detect_s", "dns_detect_s", "restart_within_s", "settle_within_s", "recovers_within_s", "overload_ttft_s", "health_within_s", "oom_alert"]  # fmt: skip
    file = read_stack_file(next(path for path in SHIPPED if path.stem == "docker"))
    written = json.loads(re.sub(r"\{(?:port:[^}]+|hop:[^}]+|host)\}", "1", file.file[0].text))
    promised = msgspec.to_builtins(promised_by(msgspec.to_builtins(msgspec.convert(written, Stack, strict=False))))
    stated = msgspec.to_builtins(file.promises)
    assert {key: stated[key] for key in stated if key not in slower} == {
        key: promised[key] for key in promised if key not in slower
    }


def test_nobody_declares_away_what_makes_a_verdict_a_verdict() -> None:
    """Faults that healed, traffic that flowed and answers that are true are no matter of promises."""
    for checker in ALWAYS:
        with pytest.raises(UsageError, match="is always judged"):
            require_declarable(type(checker).__name__, where="stack.toml")
    with pytest.raises(UsageError, match=r"no checker 'NoFailure'.*did you mean 'NoFailures'"):
        require_declarable("NoFailure", where="stack.toml")
