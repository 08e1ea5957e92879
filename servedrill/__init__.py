"""Failure drills for LLM and GPU serving stacks: break it on purpose, prove that it held.

The front door. What drills, faults, checks and stacks of one's own are written with is imported from here and from
nowhere deeper; ``__init__.pyi`` says what that is. Each name is looked up when it is first asked for, so that a process
which needs one room loads one room.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    rooms = _rooms()
    if name == "__all__":
        return sorted(rooms)
    if name not in rooms:
        raise AttributeError(f"module 'servedrill' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(rooms[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_rooms()})


def _rooms() -> dict[str, str]:
    """Name -> the room that it is in, as the stub says."""
    if "_found" not in globals():
        import ast
        from pathlib import Path

        stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text())
        imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
        globals()["_found"] = {name.name: node.module for node in imports for name in node.names}
    return globals()["_found"]  # type: ignore[no-any-return]
