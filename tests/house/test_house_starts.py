"""Whatever starts a process ties it to whoever starts it: nothing outlives a run that is killed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "servedrill"
STARTS = {
    "Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell",
    "fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen",
}  # fmt: skip
MODULES = {"subprocess", "asyncio", "os"}
NOT_TIED = {
    "leases/guard.py": "the watchdog is what is left when the others are not",
    "leases/undo.py": "an undo goes on when the watchdog that carries it out is killed",
    "leases/marked.py": "a supervisor ends what it keeps when its input ends",
    "refstack/control/nursery.py": "its children look for their parent themselves: no program stands between",
    "refstack/engine/main.py": "a core ends with its supervisor's pipe",
}
"""File -> why."""


def untied(source: str) -> Iterator[int]:
    """Lines of starts whose command is not ``tied(...)``, the options of ``asyncio.run`` and the like left out."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        module = ast.unparse(call.func.value)
        if call.func.attr not in STARTS or module not in MODULES or (module, call.func.attr) == ("asyncio", "run"):
            continue
        first = call.args[0] if call.args else None
        first = first.value if isinstance(first, ast.Starred) else first
        if not (isinstance(first, ast.Call) and ast.unparse(first.func) == "tied"):
            yield call.lineno


def test_every_start_is_tied() -> None:
    """Or says why not, in the list above."""
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        for line in untied(path.read_text())
        if str(path.relative_to(ROOT)) not in NOT_TIED
    }
    assert found == set()


def test_the_list_names_nothing_that_is_gone() -> None:
    """A file that no longer starts anything needs no reason."""
    assert {name for name in NOT_TIED if not list(untied((ROOT / name).read_text()))} == set()


def test_a_start_that_is_not_tied_is_found() -> None:
    """However it is spelled."""
    source = (
        "subprocess.Popen(['a'])\n"
        "subprocess.Popen(tied(['a']), stdin=None)\n"
        "asyncio.create_subprocess_exec(*tied(['a']))\n"
        "asyncio.create_subprocess_exec('a')\n"
        "asyncio.run(main())\n"
        "os.fork()\n"
    )
    assert list(untied(source)) == [1, 4, 6]
