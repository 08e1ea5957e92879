"""What comes with servedrill beside its code: drills, stack files, SLOs, the maker of models, playbooks.

In a checkout these are the folders ``drills``, ``fixtures`` and ``playbooks``; a wheel has them inside of the package.
A path is the same in both, ``fixtures/data/stacks/vllm.toml``, and whatever is said of one in the docs holds wherever
servedrill is installed.
"""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("drills", "fixtures", "playbooks")
_PACKAGE = Path(__file__).parents[1]


def shipped(path: Path) -> Path:
    """The file that came with servedrill, where the path is one of its own and leads nowhere from here; else the path
    as it is: what somebody has made comes first.
    """
    return _PACKAGE / path if str(path) in shipped_files() and not path.exists() else path


def shipped_files() -> dict[str, Path]:
    """Path as in a checkout -> where the file is."""
    found = (path for folder in FOLDERS for path in sorted((_PACKAGE / folder).rglob("*")))
    return {
        str(path.relative_to(_PACKAGE)): path for path in found if path.is_file() and "__pycache__" not in path.parts
    }


def shipped_drill(path: Path) -> str:
    """The module of a shipped drill, as ``pytest --pyargs`` takes it; empty for any other file."""
    return f"{_PACKAGE.name}.drills.{path.stem}" if path.parent == _PACKAGE / "drills" else ""
