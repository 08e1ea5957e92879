"""A text from outside is shortened, a key is read and a file is written in few places: a new one is found here.

What comes in is found by test_house_bounded.py: answers are read by modules that take secrets out of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "servedrill"
OWN_PROGRAMS = ("refstack", "toxiproxy", "secrecy")
"""What is drilled, which has no keys; the fault proxy, which writes down nothing that passes it."""
OUTSIDE = ("control", "dialect", "drill", "faults", "files/logs.py", "host/output.py", "load", "stacks")
"""Where texts from outside come in."""
SHORT = 30
"""Characters; so much of a digest or a date is no text."""
BY_NAME = {
    "gameday/activity.py": "the configuration of an experiment, which is no secret there",
    "load/plan.py": "looks whether a variable is there",
    "plugin/asked.py": "options",
    "stacks/commands.py": "fills {env:NAME} in, which the reading of the file has made known",
    "stacks/secrets_of.py": "makes them known",
}
"""Modules that read a variable of the environment whose name somebody else gives them."""
WRITES = {
    "ci/record.py": "reports of tests, looked through",
    "commands/main.py": "nothing, where nobody reads any more",
    "faults/memory_limit.py": "the kernel's",
    "files/planted.py": "of an address that was looked at: names of variables, and no key",
    "files/whole.py": "`write_whole`",
    "gameday/record.py": "what happened, looked through",
    "history/journal.py": "events, looked through",
    "host/launch.py": "the kernel's",
    "host/memory_groups.py": "the kernel's",
    "leases/guard.py": "the watchdog's log",
    "leases/ledger.py": "undo records, which hold no key",
    "leases/stack_lock.py": "who has a stack",
    "leases/undo.py": "the kernel's",
    "load/generator.py": "logs of our own workers",
    "marks/marking.py": "what could not be told, without secrets",
    "reporting/incident.py": "drawn from histories",
    "reporting/leavings.py": "drawn from histories",
    "reporting/pictures.py": "drawn from histories",
    "runs/folder.py": "locks",
    "stacks/containers.py": "logs, by lines that are looked through",
    "stacks/docker.py": "an image",
    "stacks/embedded.py": "its own settings and logs",
    "stacks/external.py": "stack.json, looked through",
    "stacks/image.py": "an image",
    "stacks/keeper.py": "the supervisor's log",
    "stacks/name.py": "the DNS server's settings",
    "stacks/process.py": "stack.json, looked through",
    "stacks/proxies.py": "the fault proxy's log",
    "stacks/supervisor.py": "the kernel's",
    "stacks/wiring.py": "what the stack file says, with its keys for as long as the stack is up",
}
"""Modules that write files, and what they write."""


def cuts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts that are shortened by hand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            bounds = [ast.unparse(one).lstrip("-") for one in (node.slice.lower, node.slice.upper) if one is not None]
            if any((one.isdigit() and int(one) >= SHORT) or re.fullmatch(r"_?[A-Z_]+_MAX", one) for one in bounds):
                yield node.lineno, ast.unparse(node)


def named_reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Reads of the environment by a name that is no constant."""
    for node in ast.walk(tree):
        match = (
            re.match(r"os\.(?:environ(?:\.get)?|getenv)[(\[]([^,)\]]*)", ast.unparse(node)) if _reads(node) else None
        )
        if match and not re.fullmatch(r"'.*'|[A-Z_]+", match[1]):
            yield node.lineno, ast.unparse(node)


def writes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Files that are opened to be written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called, said = ast.unparse(node.func), ast.unparse(node)
            opened = called.endswith("open") and re.search(r"'[awx]b?\+?b?'|O_WRONLY|O_RDWR", said)
            if opened or called.endswith((".write_text", ".write_bytes")):
                yield node.lineno, said


def _reads(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript | ast.Call)


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(OWN_PROGRAMS):
            yield name, ast.parse(path.read_text())


def test_a_text_from_outside_is_shortened_in_one_way() -> None:
    """By `servedrill.secrecy.known`: secrets go first, or half of one is left that nobody finds."""
    found = [
        f"{name}:{line}: {what}" for name, tree in sources() if name.startswith(OUTSIDE) for line, what in cuts(tree)
    ]
    found = [one for one in found if "host/sockets.py" not in one]
    assert found == []


def test_a_key_is_read_in_one_way() -> None:
    """By `servedrill.secrecy.known.secret_in`: it is known before anybody can repeat it."""
    found = {name: [what for _, what in named_reads(tree)] for name, tree in sources()}
    assert {name for name, whats in found.items() if whats} == BY_NAME.keys(), found


def test_whoever_writes_files_is_known() -> None:
    """Another one says here why nothing secret can come into them."""
    assert {name for name, tree in sources() if any(writes(tree))} == WRITES.keys()


def test_what_is_new_is_found() -> None:
    """Each in the ways in which people write it."""
    tree = ast.parse(
        "said[:300]; said[-_SAID_MAX:]; digest[:12]\n"
        "os.environ[name]; os.environ.get(self.key or '', ''); os.environ['HOME']; os.environ.get(SECRET)\n"
        "open(p, 'wb'); p.open('a'); os.open(p, os.O_WRONLY); p.write_text(x); open(p); p.open('rb')\n"
    )
    assert [what for _, what in cuts(tree)] == ["said[:300]", "said[-_SAID_MAX:]"]
    assert {what for _, what in named_reads(tree)} == {"os.environ[name]", "os.environ.get(self.key or '', '')"}
    assert len(list(writes(tree))) == 4
