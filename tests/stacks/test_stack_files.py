"""Stack files: what they mean, in three formats, and that all that are shown to people can be read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from servedrill.errors import UsageError
from servedrill.judging.catalogue import ALWAYS, require_declarable
from servedrill.refstack.config import Stack
from servedrill.stacks.embedded import promised_by
from servedrill.stacks.file import StackFile
from servedrill.stacks.placeholder_rules import HOPS, PLACEHOLDERS
from servedrill.stacks.reading import check_stack_files, read_stack_file
from servedrill.stacks.wiring import Wiring
from tests.worlds.stack_files import CONTAINERS, EXTERNAL, PROCESSES

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "fixtures/data/stacks").rglob("*.toml"))


def complaints(folder: Path, text: str, name: str = "stack.toml") -> list[str]:
    """Mistakes without the file's folder."""
    path = folder / name
    path.write_text(text)
    return [str(one).removeprefix(f"{folder}/") for one in check_stack_files([path])]


# ---- what is right


def test_without_a_file_the_embedded_stack_has_its_defaults() -> None:
    """No file is needed."""
    assert read_stack_file(None) == StackFile()


@pytest.mark.parametrize(
    "text", ["", PROCESSES, CONTAINERS, EXTERNAL], ids=["nothing", "process", "docker", "external"]
)
def test_the_smallest_files_of_each_kind_have_no_mistake(text: str, tmp_path: Path) -> None:
    """What the tests below change is right before the change."""
    assert complaints(tmp_path, text) == []


def test_yaml_and_json_come_to_the_same(tmp_path: Path) -> None:
    """The suffix says which format it is; a file of any other suffix is TOML."""
    tree = tomllib.loads(PROCESSES)
    texts = {"a.yaml": yaml.safe_dump(tree), "b.json": json.dumps(tree, indent=1), "c.conf": PROCESSES}
    for name, text in texts.items():
        assert complaints(tmp_path, text, name) == []
        found = read_stack_file(tmp_path / name)
        assert [one.after for one in found.process] == [[], ["engine"]]
    wrong = texts["b.json"].replace('"after"', '"aftr"')
    assert complaints(tmp_path, wrong, "b.json")[0].endswith(
        "process[1].aftr: unknown key 'aftr'; did you mean 'after'?"
    )
    assert complaints(tmp_path, "kind: external\n---\nkind: embedded\n", "d.yaml")[-1] == (
        "d.yaml:3:1: another stack; expected one in a file"
    )


def test_what_a_count_makes_can_be_waited_for_and_has_hops(tmp_path: Path) -> None:
    """By the name of all, by that of one, and from containers too."""
    text = PROCESSES.replace('name = "engine"\n', 'name = "engine"\ncount = 2\n').replace(
        '["engine"]', '["engine", "engine-1"]'
    )
    container = CONTAINERS.partition("\n\n")[2].replace('"engine"\nrole', '"late"\nafter = ["engine"]\nrole')
    text = text.replace('"process"', '"docker"', 1) + container + '[proxy]\nhops = ["engine-1", "gateways"]\n'
    assert complaints(tmp_path, text) == []
    file = read_stack_file(tmp_path / "stack.toml")
    assert [one.name for one in file.process] == ["engine-0", "engine-1", "gateway"]
    assert file.process[2].after == ["engine-0", "engine-1", "engine-1"]
    assert file.container[0].after == ["engine-0", "engine-1"]


def test_every_placeholder_is_filled_in_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file may say is what a stack of commands understands."""
    (tmp_path / "stack.toml").write_text(PROCESSES)
    wiring = Wiring(file := read_stack_file(tmp_path / "stack.toml"), tmp_path, covered=())
    wiring.take()
    monkeypatch.setenv("SOME", "thing")
    for word in PLACEHOLDERS:
        name = ":SOME" if word == "env" else ":engine" if word in HOPS else ""
        assert "{" not in wiring.filled(f"{{{word}{name}}}", file.process[0])
    with pytest.raises(UsageError) as error:
        wiring.filled("{zzz}", file.process[0])
    assert re.findall(r"{(\w+)}", error.value.expected) == sorted(PLACEHOLDERS)


def test_braces_that_are_doubled_are_meant_as_they_stand(tmp_path: Path) -> None:
    """A shell's, nginx's and a template's own words get through, and JSON needs no doubling."""
    text = '${{NAME}} {{port:engine}} {{{name}}} {version} {"a": {"b": {version}}}'
    assert complaints(tmp_path, f'{PROCESSES}\n[[file]]\npath = "x"\ntext = """{text}"""\n') == []
    wiring = Wiring(read := read_stack_file(tmp_path / "stack.toml"), tmp_path, covered=())
    wiring.take()
    version = wiring.filled("{version}", read.process[0])
    filled = wiring.filled(read.file[0].text, read.process[0])
    assert filled == f'${{NAME}} {{port:engine}} {{{{name}}}} {version} {{"a": {{"b": {version}}}}}'


def examples() -> list[tuple[str, str]]:
    """Every TOML example of the docs, with the line that it begins in; one that is a part of a file is put into a
    whole one."""
    found = []
    for page in sorted((ROOT / "docs").glob("*stacks.md")):
        text = page.read_text()
        for match in re.finditer(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            example = match[1]
            if "[[process]]" in example and "kind =" not in example:
                head = 'kind = "process"\npromises.model = "llama"\n'
                example = head + example + '[[process]]\nname = "engine"\nrole = "engine"\ncount = 2\ncommand = ["x"]\n'
            found.append((f"{page.name}:{text[: match.start()].count(chr(10)) + 1}", example))
    return found


def test_the_docs_have_examples() -> None:
    """Else the next test would look at none."""
    assert len(examples()) >= 5


@pytest.mark.parametrize(("place", "text"), examples(), ids=lambda value: value if "\n" not in value else "")
def test_every_example_of_the_docs_has_no_mistake(place: str, text: str, tmp_path: Path) -> None:
    """Whoever copies one gets a file that is read."""
    assert complaints(tmp_path, text) == [], place


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_file_can_be_read(path: Path) -> None:
    """Its commands, its promises, the checkers that its weaknesses name; of an embedded one, settings that its
    processes take."""
    assert check_stack_files([path]) == []
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
            require_declarable(check, where=path.name)


def test_the_containers_promise_what_their_configuration_says() -> None:
    """They are the embedded stack's processes; only what takes longer in a container is promised otherwise."""
    slower = ["pace", "detect_s", "dns_detect_s", "restart_within_s", "settle_within_s", "recovers_within_s"]
    slower += ["health_within_s", "oom_alert"]
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
