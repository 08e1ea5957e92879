"""Kinds of stacks by name: what ``kind`` of a stack file may say.

A kind is one module with a `StackKind`, and one line here. Other packages give theirs as an entry point of the group
``servedrill.stacks``, called as the kind is; it is looked for when nothing of ours has that name. A kind whose file
says more than others' has a struct of its own for it, made of `StackFile`:

    class PodsFile(StackFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
        pods: Pods = Pods()

    KIND = StackKind(name="pods", make=PodStack, file=PodsFile)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from servedrill.errors import UsageError
from servedrill.files.documents import Document
from servedrill.files.meant import meant
from servedrill.files.mistakes import Mistakes
from servedrill.leases.keeper import UndoKeeper
from servedrill.stacks.file import StackFile
from servedrill.stacks.protocols import Stack
from servedrill.stacks.roles import grouped

ENTRY_POINTS = "servedrill.stacks"
_OURS = {
    "embedded": "servedrill.stacks.embedded",
    "process": "servedrill.stacks.process",
    "docker": "servedrill.stacks.docker",
    "external": "servedrill.stacks.external",
}
"""Name -> the module whose ``KIND`` it is, imported for stacks of that kind alone."""
PARTS = ("process", "container", "external", "replica", "rollouts", "nice")
"""Of a stack file that say something of some kinds only; elsewhere another stack would be drilled than it is about."""
_registered: dict[str, StackKind] = {}


class StartableStack(Stack, Protocol):
    """A stack that is brought up and taken down; what more it can do is said by `servedrill.stacks.protocols`."""

    def up(self) -> None:
        """Start what there is to start, and wait until it serves.

        Raises `StackError` with the reason why it does not.
        """

    def down(self) -> None:
        """Remove all that was made, also after an `up` that failed; nothing to do a second time."""


class Make(Protocol):
    """Makes a stack of what its file says; nothing is started yet, so that what it lacks can be asked before."""

    def __call__(
        self, file: StackFile, folder: Path, *, defects: list[str], seed: int, on_undo: UndoKeeper, limit_memory: bool
    ) -> StartableStack:
        """``folder`` is for logs; what is made is told to ``on_undo``; ``limit_memory``: engines get memory cgroups."""


class Check(Protocol):
    """Notes what is wrong with a stack file of a kind."""

    def __call__(self, mistakes: Mistakes, document: Document, file: StackFile) -> Mapping[str, list[str]] | None:
        """Group -> hops that can have a proxy; None where another mistake leaves open which there are."""


def _check_nothing(mistakes: Mistakes, document: Document, file: StackFile) -> Mapping[str, list[str]]:
    return grouped(())


@dataclass(frozen=True, slots=True, kw_only=True)
class StackKind:
    """One kind of stacks."""

    name: str
    make: Make
    file: type[StackFile] = StackFile
    """What its stack files may say."""
    reads: frozenset[str] = frozenset()
    """Those of `PARTS` that it does something with."""
    check: Check = _check_nothing
    needs_promises: bool = True
    """Whether its stack files have to say what it promises."""
    knows_its_promises: bool = True
    """Whether what its stack files do not promise is promised by default. Nobody can say that of somebody else's."""
    on_loopback: bool = True
    """Whether it is reached on this machine alone, so that a fault proxy elsewhere is of no use to it."""
    takes_defects: bool = False
    """Whether it can be started with a seeded bug."""


def register(kind: StackKind) -> None:
    """Make it known in this process. Raises `ValueError` where there is another one of that name."""
    if kind.name in _OURS or _registered.setdefault(kind.name, kind) is not kind:
        raise ValueError(f"there is a kind of stack {kind.name!r} already")


def kind_named(name: str, *, where: str) -> StackKind:
    """The kind; ``where`` it is asked for. Raises `UsageError` where there is none, or what a package gives is none."""
    if name in _registered:
        return _registered[name]
    if name in _OURS:
        found = import_module(_OURS[name]).KIND
    else:
        installed = {one.name: one for one in entry_points(group=ENTRY_POINTS)}
        if name not in installed:
            known = sorted({*_OURS, *_registered, *installed})
            raise UsageError(
                f"no kind {name!r}", where=where, expected=f"one of {', '.join(known)}", hint=meant(name, known)
            )
        try:
            found = installed[name].load()
        except (ImportError, AttributeError) as error:
            expected = f"what the entry point {name} of {ENTRY_POINTS} names"
            raise UsageError(f"kind {name!r} is not there: {error}", where=where, expected=expected) from error
    if not isinstance(found, StackKind):
        raise UsageError(f"kind {name!r} is {found!r}", where=where, expected="a servedrill.stacks.kinds.StackKind")
    return found


def kinds_that_read(part: str) -> list[str]:
    """Names of the kinds, ours and registered ones, that do something with a part of a stack file."""
    kinds = [kind_named(name, where="") for name in (*_OURS, *_registered)]
    return [kind.name for kind in kinds if part in kind.reads]
