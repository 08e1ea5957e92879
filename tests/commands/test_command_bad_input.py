"""What people give that cannot be used: one clear line and exit code 4, before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.load.recording import read_recording
from tests.worlds.stack_files import CONTAINERS, EXTERNAL, PROCESSES


def embedded(line: str) -> str:
    return f"[embedded.settings]\n{line}\n"


def process(line: str) -> str:
    return PROCESSES + line + "\n"


def promised(line: str) -> str:
    return PROCESSES.replace('model = "llama"', f'model = "llama"\n{line}')


STACKS: dict[str, tuple[str | bytes, str]] = {
    "latin-1": (b'name = "\xe4"', "is no UTF-8 at byte 8; expected UTF-8; save it as UTF-8"),
    "UTF-16": ('name = "a"'.encode("utf-16"), "is no UTF-8 at byte 0"),
    "a NUL": ('name = "a\\u0000b"', 'stack.toml:1:8: name: is "a\\u0000b"; expected a text of whole characters'),
    "too large": (b"#" * (1 << 21), "cannot be read: more than 1048576 bytes"),
    "block of no token": (embedded("engine_limits.block_tokens = 0"), "2:30: embedded.settings.engine_limits."),
    "no block": (embedded("engine_limits.blocks = 0"), "blocks: is 0; expected a whole number at least 1"),
    "overhead below 0": (embedded("costs.overhead_s = -1"), "costs.overhead_s: is -1; expected a number at least 0"),
    "overhead is NaN": (embedded("costs.overhead_s = nan"), "costs.overhead_s: is nan; expected a number at least 0"),
    "weight above 1": (embedded("canary_weight = 1.5"), "is 1.5; expected a number at least 0 and at most 1"),
    "no try": (embedded("gateway_limits.max_tries = 0"), "max_tries: is 0"),
    "more bytes than there are": (embedded("engine_limits.block_bytes = 9e17"), "block_bytes: is 9"),
    "setting misspelt": (embedded("drain_grace = 1.0"), "unknown key 'drain_grace'; did you mean 'drain_grace_s'?"),
    "setting of another place": (embedded("control_port = 1"), "is not set here; expected embedded.control_port"),
    "setting of nobody": (embedded('log_dir = "x"'), "is not set here; expected no such key"),
    "no such version": (embedded('serves = "v9"'), "embedded.settings.serves: is 'v9'; expected one of v1, v2"),
    "model without version": (embedded("models = [{load_s = 1.0}]"), "'version' is missing; expected a text"),
    "pace 0": (promised("pace = 0"), "5:8: promises.pace: is 0; expected a number at least 0.01 and at most 1000"),
    "pace below 0": (promised("pace = -1.0"), "promises.pace: is -1.0"),
    "no slot": (promised("slots = 0"), "promises.slots: is 0; expected a whole number at least 1"),
    "promise in no time": (promised("settle_within_s = 0"), "settle_within_s: is 0; expected a number above 0"),
    "capacity above all": (promised("capacity_ratio_min = 2"), "expected a number above 0 and at most 1"),
    "no model": (PROCESSES.replace('"llama"', '""'), "promises.model: is empty"),
    "log pattern": (process('ready.log = "(up"'), "'(up' is no pattern: missing ), unterminated subpattern"),
    "core pattern": (process('core = "*core"'), "'*core' is no pattern: nothing to repeat"),
    "ready at once": (process("ready.within_s = 0"), "within_s: is 0; expected a number above 0"),
    "ready path": (process('ready.path = "health"'), "is 'health'; expected a path that begins with /"),
    "metrics nowhere": (process('metrics = "localhost:80/metrics"'), "expected http://host:port or https://host"),
    "published elsewhere": (process('published = "10.0.0.1"'), "expected an address of this machine's loopback"),
    "variable": (process('env = {"A=B" = "1"}'), "'A=B' is no name of a variable"),
    "dialect": (process("[dialect]\ninvalid = 4000"), "invalid: is 4000; expected a whole number at least 100 and"),
    "wait below 0": (process("restart.backoff_s = -1"), "backoff_s: is -1; expected a number at least 0"),
    "port that is none": (EXTERNAL.replace("10.0.0.1", "10.0.0.1:99999"), "external.url: is 'http://10.0.0.1:99999'"),
    "port that is no number": (EXTERNAL.replace("10.0.0.1", "10.0.0.1:http"), "external.url: is"),
    "port 0": (EXTERNAL.replace("10.0.0.7:8000", "10.0.0.7:0"), "replica[0].url: is 'http://10.0.0.7:0'"),
    "half an IPv6 address": (EXTERNAL.replace("10.0.0.1", "[::1"), "external.url: is 'http://[::1'"),
    "blank in a URL": (EXTERNAL.replace("10.0.0.1", "10.0.0.1 "), "external.url: is 'http://10.0.0.1 '"),
    "scheme": (EXTERNAL.replace("http://10.0.0.1", "ftp://10.0.0.1"), "external.url: is 'ftp://10.0.0.1'"),
    "alerts": ('alerts = "alertmanager"\n' + EXTERNAL, "1:10: alerts: is 'alertmanager'; expected http://host:port"),
    "listen": (EXTERNAL + 'listen = "127.0.0.1:70000"\n', "listen: is '127.0.0.1:70000'; expected host:port"),
    "hook": (EXTERNAL + "hooks.kill = \"echo '\"\n", "replica[0].hooks.kill: is no command line: No closing quotation"),
    "DNS name that nobody checks": (CONTAINERS + "[dns]\ncheck_failures = 0\n", "check_failures: is 0"),
}  # fmt: skip
SLO = "apiVersion: openslo/v1\nkind: Service\nmetadata: {}\nspec: {{}}\n"
SLOS: dict[str, tuple[bytes, str]] = {
    "latin-1": (b"kind: \xe4", "is no UTF-8 at byte 6"),
    "set": (SLO.format("!!set {name, b}").encode(), "3:11: metadata: has the tag !!set; expected plain data"),
    "tag of its own": (SLO.format("!mine {name: a}").encode(), "3:11: metadata: has the tag !mine"),
    "tag of Python": (SLO.format("!!python/object:os.system {name: a}").encode(), "has the tag !!python/object:os"),
    "bytes": (SLO.format("{name: !!binary aGk=}").encode(), "metadata.name: has the tag !!binary"),
    "a number that is none": (SLO.format("{name: !!int x}").encode(), "metadata.name: cannot be read as int"),
    "a truth that is none": (SLO.format("{name: !!bool x}").encode(), "metadata.name: cannot be read as bool"),
    "a key that is a list": (SLO.format("{name: a, ? [b] : c}").encode(), "metadata: a key that is no word"),
}


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to be refused before a stack is made; what it said."""

    def never(*_: object, **__: object) -> None:
        pytest.fail("a stack was made")

    monkeypatch.setattr("servedrill.session.stack.guarded_stack", never)

    def run(*arguments: str | Path) -> str:
        assert main([str(one) for one in arguments]) == 4
        said = capsys.readouterr().err
        assert said.startswith("servedrill: ")
        assert "Traceback" not in said
        return said

    return run


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_file_that_cannot_be_used_is_one_line(name: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    """With the place and what was expected."""
    content, says = STACKS[name]
    path = tmp_path / "stack.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused("stack", "up", "--stack", path)
    assert (says in said, said.count("\n"), str(path) in said) == (True, 1, True), said


@pytest.mark.parametrize("name", SLOS)
def test_an_slo_file_that_cannot_be_used_says_where(name: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    """One line for each mistake, the one that was made among them."""
    content, says = SLOS[name]
    path = tmp_path / "slo.yaml"
    path.write_bytes(content)
    said = refused("slo", "show", path)
    assert says in said, said
    assert all(str(path) in line for line in said.splitlines())


@pytest.mark.parametrize("sort", ["folder", "pipe", "device", "nothing"])
def test_what_is_no_file_is_neither_read_nor_waited_for(sort: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    """Whatever it was to be."""
    path = tmp_path / "given.toml"
    match sort:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
    for said in (refused("stack", "up", "--stack", path), refused("slo", "show", path)):
        assert ("cannot be read: " in said, said.count("\n")) == (True, 1)
    with pytest.raises(UsageError, match="cannot be read"):
        read_recording(str(path))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import sys; sys.exit(3)", "it ends the process, with 3"),
        ("raise SystemExit", "it ends the process, with None"),
        ("raise ValueError('a\\nb')", "cannot be imported: a b"),
        ("assert False", "cannot be imported: AssertionError"),
        ("class Late:\n    policy = []", "policy = []; expected a class whose `policy` is one of"),
        ("def Late(:", "cannot be imported: "),
    ],
)
def test_a_defect_that_cannot_be_loaded_is_one_line(
    source: str, says: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    """A script that ends its process among them, which is ours."""
    path = tmp_path / "late.py"
    path.write_text(source)
    said = refused("stack", "up", "--defect", f"{path}:Late")
    assert (says in said, said.count("\n")) == (True, 1), said


def test_what_an_editor_puts_before_the_text_is_no_mistake(tmp_path: Path, refused: Callable[..., str]) -> None:
    """UTF-8 with a mark of byte order: the mistake is the one behind it."""
    path = tmp_path / "stack.toml"
    path.write_bytes(b"\xef\xbb\xbfnice = 99\r\n")
    assert f"{path}:1:8: nice: is 99" in refused("stack", "up", "--stack", path)


def test_a_folder_that_is_not_there_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not after all the time that the process has to get ready."""
    path = tmp_path / "stack.toml"
    path.write_text(PROCESSES.replace('["vllm"]', '["true"]\nfolder = "{here}/none"').replace("nginx", "true"))
    assert main(["stack", "up", "--stack", str(path), "--folder", str(tmp_path / "up")]) == 4
    said = capsys.readouterr().err
    assert (f"no folder '{tmp_path}/none' to run in" in said, said.count("\n")) == (True, 1), said
