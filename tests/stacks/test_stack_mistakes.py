"""Mistakes in stack files: all of them at once, where they are, before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servedrill.commands.main import main
from servedrill.errors import FileError
from servedrill.stacks.reading import check_stack_files, read_stack_file
from tests.worlds.stack_files import CONTAINERS, EXTERNAL, PROCESSES

HOP = '[[proxy.hop]]\nname = "db"\nlisten = "h:1"\nupstream = "h:2"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "stack.toml"
    path.write_text(text)
    return path


def complaints(folder: Path, text: str) -> list[str]:
    """Mistakes without the file's folder."""
    return [str(one).removeprefix(f"{folder}/") for one in check_stack_files([written(folder, text)])]


@pytest.mark.parametrize("text", ["", PROCESSES, CONTAINERS, EXTERNAL, HOP])
def test_what_is_changed_below_is_right_before(text: str, tmp_path: Path) -> None:
    """So that each mistake comes from the change."""
    assert complaints(tmp_path, text) == []


WRONG = {
    "engines": ("", "embedded.engines = 0", "1:20: embedded.engines: is 0; expected 1 to 16"),
    "gateways": ("", "embedded.gateways = 9", "1:21: embedded.gateways: is 9; expected 1 to 8"),
    "port": ("", "embedded.dns_port = 70000", "1:21: embedded.dns_port: is 70000; expected 0 to 65535"),
    "nice": (PROCESSES, 'nice = 20\nkind = "process"', "1:8: nice: is 20; expected 0 to 19"),
    "production": (
        "",
        'environment = "production"',
        "1:15: environment: is production, and there is no blast_radius; expected what a drill may cost users at worst",
    ),
    "kind": ("", 'kind = "cloud"', "1:8: kind: no kind 'cloud'; expected one of docker, embedded, external, process"),
    "process-embedded": (
        PROCESSES,
        'kind = "embedded"',
        '6:3: process: has no use where kind is "embedded"; expected kind = "process" or kind = "docker"',
    ),
    "container-process": (
        CONTAINERS + PROCESSES[PROCESSES.index("[[") :].replace('"engine"', '"other"'),
        'kind = "process"',
        '4:3: container: has no use where kind is "process"; expected kind = "docker"',
    ),
    "rollouts": (EXTERNAL, 'rollouts = "http://a"\nkind = "external"', "1:12: rollouts: has no use where kind is"),
    "no-promises": (PROCESSES, ("[promises]\nmodel = ", "name = "), "1:1: promises: is missing; expected at least the"),
    "no-engine": (PROCESSES, ('role = "engine"\n', ""), "6:3: process: no engine; expected at least one [[process]]"),
    "engin": (
        PROCESSES,
        ('role = "engine"', 'role = "engin"'),
        "6:3: process: no engine; expected at least one [[process]] with role = \"engine\"; did you mean 'engine'?",
    ),
    "no-command": (PROCESSES, ('["vllm"]', "[]"), "9:11: process[0].command: is empty; expected a list of texts"),
    "command-text": (
        PROCESSES,
        ('["vllm"]', '"vllm serve m"'),
        '9:11: process[0].command: is "vllm serve m"; expected a list of texts; did you mean ["vllm", "serve", "m"]?',
    ),
    "comand": (
        PROCESSES,
        ("command", "comand"),
        "9:1: process[0].comand: unknown key 'comand'; did you mean 'command'?",
    ),
    "name": (PROCESSES, ('name = "gateway"', 'name = "g/w"'), "12:8: process[1].name: 'g/w' is no file name"),
    "twice": (
        PROCESSES,
        ('name = "gateway"', 'name = "engine"'),
        "12:8: process[1].name: 'engine' twice, first in line 7",
    ),
    "count": (PROCESSES, ('"engine"', '"engine"\ncount = 65'), "8:9: process[0].count: is 65; expected 1 to 64"),
    "process-port": (
        PROCESSES,
        ('"engine"', '"engine"\nport = -1'),
        "8:8: process[0].port: is -1; expected 0 to 65535",
    ),
    "placeholder": (
        PROCESSES,
        ('["vllm"]', '["vllm", "{prot}"]'),
        "9:20: process[0].command[1]: no placeholder {prot}; expected one of {cache}, {env}, {folder}, {here}, {hop}",
    ),
    "placeholder-name": (
        PROCESSES,
        ('["vllm"]', '["{name:x}"]'),
        "9:12: process[0].command[0]: no placeholder {name:x}",
    ),
    "placeholder-env": (
        PROCESSES,
        ('["vllm"]', '["vllm"]\nenv = { A = "{versoin}" }'),
        "10:13: process[0].env.A: no placeholder {versoin}; expected one of",
    ),
    "hop": (
        PROCESSES,
        ('["nginx"]', '["nginx", "{hop:engin}"]'),
        "14:21: process[1].command[1]: no engine or gateway 'engin'; expected one of engine, gateway; did you mean",
    ),
    "file-placeholder": (
        PROCESSES + '[[file]]\npath = "x"\ntext = "server {hop:engine}; listen {poort}"\n',
        'kind = "process"',
        "18:8: file[0].text: no placeholder {poort}; expected one of",
    ),
    "file-variable": (
        PROCESSES + '[[file]]\npath = "x"\ntext = "listen ${POORT}"\n',
        'kind = "process"',
        "18:8: file[0].text: no placeholder {POORT}; expected one of",
    ),
    "after": (
        PROCESSES,
        ('["engine"]', '["engin"]'),
        "15:10: process[1].after[0]: no process 'engin'; expected one of engine, gateway; did you mean 'engine'?",
    ),
    "circle": (
        PROCESSES,
        ('["vllm"]', '["vllm"]\nafter = ["gateway"]'),
        "10:9: process[0].after: engine, gateway wait for each other; expected an order to start in",
    ),
    "no-image": (
        CONTAINERS,
        ("image", "core"),
        "4:1: container[0]: has no image; expected exactly one of image, build,",
    ),
    "two-images": (
        CONTAINERS,
        ("image", 'build = "b"\nimage'),
        "4:1: container[0]: has image and build; expected exactly",
    ),
    "existing": (CONTAINERS, ("image", "existing"), "4:1: container[0].port: is missing; expected the port that the"),
    "memory": (
        CONTAINERS,
        ("image", 'memory = "much"\nimage'),
        "7:10: container[0].memory: is 'much'; expected a number",
    ),
    "mount": (
        CONTAINERS,
        ("image", 'mounts = ["a:b", "/c"]\nimage'),
        "7:18: container[0].mounts[1]: is '/c'; expected",
    ),
    "file": (
        PROCESSES + '[[file]]\npath = "../x"\ntext = ""\n',
        'kind = "process"',
        "17:8: file[0].path: is '../x'; expected a path below the drill's folder",
    ),
    "no-external": (
        EXTERNAL,
        ('[external]\nurl = "http://10.0.0.1"\n', ""),
        "1:1: external: is missing; expected where",
    ),
    "url": (
        EXTERNAL,
        ("http://10.0.0.1", "llm.test"),
        "5:7: external.url: is 'llm.test'; expected http://host:port or",
    ),
    "url-of-nothing": (EXTERNAL, ("http://10.0.0.1", "http://["), "5:7: external.url: is 'http://['; expected http://"),
    "replica-url": (EXTERNAL, ("http://10.0.0.7", "ftp://a"), "10:7: replica[0].url: is 'ftp://a:8000'; expected http"),
    "listen": (EXTERNAL, ("role", 'listen = "h:0"\nrole'), "9:10: replica[0].listen: is 'h:0'; expected host:port"),
    "replica-twice": (
        EXTERNAL + EXTERNAL[EXTERNAL.index("[[") :],
        'kind = "external"',
        "12:8: replica[1].name: 'engine-0' twice, first in line 8; expected a name of its own for each",
    ),
    "hops": (
        "",
        'proxy.hops = ["alerts", "engnes"]',
        "1:25: proxy.hops[1]: no hop 'engnes'; expected some of gateways,",
    ),
    "hop-name": (HOP, ('"db"', '"d/b"'), "2:8: proxy.hop[0].name: 'd/b' is no name; expected letters, digits"),
    "hop-taken": (HOP, ('"db"', '"engine-0"'), "2:8: proxy.hop[0].name: 'engine-0' twice; expected none of alerts,"),
    "hop-address": (HOP, ("h:2", "h:99999"), "4:12: proxy.hop[0].upstream: is 'h:99999'; expected host:port"),
    "server": ("", 'proxy.server = "no-such-x"', "1:16: proxy.server: is 'no-such-x', and there is no such program"),
    "no-toml": ("", "engines: 3", "1:8: is no TOML: Expected '=' after a key in a key/value pair"),
}
"""Name -> a file; what its first line is replaced by, or (what, by what); the mistake."""


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_one_line_with_its_place(what: str, tmp_path: Path) -> None:
    """And the only one: nothing is said that only follows from it."""
    text, change, said = WRONG[what]
    changed = text.replace(*change, 1) if isinstance(change, tuple) else "\n".join([change, *text.splitlines()[1:]])
    assert changed != text
    (found,) = complaints(tmp_path, changed)
    assert found.startswith(f"stack.toml:{said}")
    with pytest.raises(FileError) as error:
        read_stack_file(tmp_path / "stack.toml")
    assert str(error.value) == f"{tmp_path}/{found}"


MANY = """\
kind = "process"
environment = "production"
nam = "x"

[[process]]
name = "engine"
role = "engine"
serves = ["token"]
comand = ["vllm", "serve"]

[[process]]
name = "gate way"
role = "gateway"
command = "nginx -c x"
after = ["enginee"]
port = 70000

[[file]]
path = "../x"
text = 5

[proxy]
hops = ["engnes", "dns"]
server = "no-such-program"

[promisses]
model = "m"
tries_max = "2"
"""


def test_all_mistakes_come_at_once_from_top_to_bottom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of shape and those of meaning; the command ends with exit code 4 before anything starts."""
    path = written(tmp_path, MANY)
    assert main(["stack", "up", "--stack", str(path)]) == 4
    lines = capsys.readouterr().err.removeprefix("servedrill: ").splitlines()
    assert [re.match(rf"{path}:(\d+:\d+): (\S+): ", line).groups() for line in lines] == [
        ("2:15", "environment"),
        ("3:1", "nam"),
        ("8:11", "process[0].serves[0]"),
        ("9:1", "process[0].comand"),
        ("12:8", "process[1].name"),
        ("14:11", "process[1].command"),
        ("15:10", "process[1].after[0]"),
        ("16:8", "process[1].port"),
        ("19:8", "file[0].path"),
        ("20:8", "file[0].text"),
        ("23:9", "proxy.hops[0]"),
        ("23:19", "proxy.hops[1]"),
        ("24:10", "proxy.server"),
        ("26:2", "promisses"),
        ("28:13", "promisses.tries_max"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        ('kind = "process"', 'kind = "cloud"'),
        ('name = "engine"', "name = 5"),
        ('role = "engine"', 'role = "leader"'),
        ('name = "engine"\n', ""),
        ('"engine"', '"engine"\ncount = 0'),
        ('[promises]\nmodel = "llama"', "promises = 5"),
    ],
    ids=["kind", "name", "role", "no-name", "count", "promises"],
)
def test_what_a_mistake_leaves_open_is_not_guessed(change: tuple[str, str], tmp_path: Path) -> None:
    """No word of an engine that is missing, or a name that nobody has, where another mistake may be the reason."""
    text = PROCESSES.replace(*change, 1) + '[proxy]\nhops = ["engine"]\n'
    assert len(complaints(tmp_path, text)) == 1


@pytest.mark.parametrize("text", ["- kind: embedded\n", "embedded\n", "12\n"])
def test_a_file_that_holds_no_table_is_one_mistake(text: str, tmp_path: Path) -> None:
    """A list or a word of YAML is no stack."""
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    (found,) = check_stack_files([path])
    assert "expected a mapping with kind, name, environment" in str(found)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what was expected, and what to do without one."""
    with pytest.raises(
        FileError, match=r"nowhere\.toml:1:1: cannot be read: No such file.*; expected a stack file, or no"
    ):
        read_stack_file(tmp_path / "nowhere.toml")


def test_files_are_checked_one_after_the_other(tmp_path: Path) -> None:
    """In the order in which they are given."""
    paths = [tmp_path / "b.toml", tmp_path / "a.toml", tmp_path / "c.toml"]
    for path, text in zip(paths, ["nam = 'x'\n", "\nnam = 'x'\nowne = 'y'\n", ""], strict=True):
        path.write_text(text)
    found = check_stack_files(paths)
    assert [(Path(one.file).name, one.position.line) for one in found] == [("b.toml", 1), ("a.toml", 2), ("a.toml", 3)]
