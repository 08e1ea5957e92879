"""Nobody reads an answer of a stack but by the modules that bound it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "servedrill"
OWN_PROGRAMS = ("refstack", "toxiproxy")
"""What is drilled, and the fault proxy, which pass bytes on."""
BOUNDED = {"control/bounded.py", "control/plain.py", "control/direct.py", "control/toxiproxies.py"}
CLIENTS = {
    "httpx": {"get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "Client", "AsyncClient"},
    "http.client": {"HTTPResponse"},
    "urllib.request": {"urlopen", "urlretrieve"},
    "subprocess": {"check_output", "getoutput", "getstatusoutput"},
}
FOREIGN = {"requests", "urllib3", "aiohttp", "toxiproxy"}
NOT_ASKING = {
    "aiohttp": {"control/guard.py", "control/listen.py", "stacks/supervisor.py"},
    "toxiproxy": {"faults/toxic.py"},
}
"""Modules that answer, and ask nobody; or name a type alone."""


def unbounded(source: str, path: str) -> Iterator[str]:
    """Each place where an answer is read in another way."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in {one.partition(".")[0] for one in names} & FOREIGN:
                if path not in NOT_ASKING.get(name, set()):
                    yield f"{path}:{node.lineno}: imports {name}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, name = ast.unparse(node.func.value), node.func.attr
            if name in CLIENTS.get(of, set()) or (name in ("json", "getresponse") and not node.args):
                yield f"{path}:{node.lineno}: {ast.unparse(node.func)}"


def test_every_answer_is_read_within_bounds() -> None:
    """By `servedrill.control.bounded`, or `plain` in the watchdog; the load client has bounds of its own."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(OWN_PROGRAMS) and name not in BOUNDED:
            found += unbounded(path.read_text(), name)
    assert found == []


def test_what_reads_without_a_bound_is_found() -> None:
    """Clients of one's own, answers by other libraries, JSON that nobody looked at."""
    source = (
        "import httpx, requests\n"
        "def f(http: httpx.Client) -> None:\n"
        "    httpx.get('http://a').json()\n"
        "    connection.getresponse().read()\n"
        "    with httpx.Client(): pass\n"
    )
    assert sorted(unbounded(source, "a.py")) == [
        "a.py:1: imports requests",
        "a.py:3: httpx.get",
        "a.py:3: httpx.get('http://a').json",
        "a.py:4: connection.getresponse",
        "a.py:5: httpx.Client",
    ]
