"""The contracts of pyproject.toml catch what they are for: each planted violation breaks the one that names it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="import-linter is not installed: pip install -e '.[dev]'")

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"


def linted(house: Path) -> str:
    """What import-linter says of a copy of the package."""
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=house, capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"},
    )  # fmt: skip
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package, to plant things in."""
    shutil.copytree(ROOT / "servedrill", tmp_path / "servedrill", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


CIRCLE_BY_TYPE_HINT = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from servedrill.leases.guard import Guard
"""


FLOORS = "every room has a floor, and imports only what stands below it"
PLANTED = {
    "circle by type hint": ("leases/ledger.py", CIRCLE_BY_TYPE_HINT, "no circle anywhere, type hints included"),
    "room without a floor": ("attic/__init__.py", "", FLOORS),
    "an arrow up": ("host/clock.py", "import servedrill.stacks.file\n", FLOORS),
    "refstack imports a helper": (
        "refstack/wire.py", "import servedrill.host.clock\n", "what is drilled imports nothing of who drills it",
    ),
    "docker in drill": ("drill/context.py", "import docker\n", "a vendor's SDK stays in its own corner"),
    "checkers see a stack": ("checkers/tries.py", "import servedrill.stacks.file\n", "checkers see the history alone"),
    "through the front door": (
        "drill/context.py", "import servedrill\n", "the front door is for guests: nobody inside goes through it",
    ),
    "programs know each other": (
        "toxiproxy/cli.py", "import servedrill.load.pool\n", "programs of their own do not know each other",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "broken"), PLANTED.values(), ids=list(PLANTED))
def test_a_planted_violation_is_caught(house: Path, file: str, text: str, broken: str) -> None:
    """Each contract breaks for the import that it forbids, and by its name."""
    path = house / "servedrill" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else '"""Planted."""\n') + text)
    assert f"{broken} BROKEN" in linted(house)


def test_the_house_as_it_is_keeps_them(house: Path) -> None:
    """Without anything planted every contract is kept."""
    assert "0 broken" in linted(house)
