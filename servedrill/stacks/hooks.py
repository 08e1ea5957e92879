"""Commands of a stack file that do to a replica what we cannot do ourselves.

kill = "kubectl delete pod vllm-0 --grace-period=0 --force"
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from servedrill.errors import StackError
from servedrill.host.output import run_to_end
from servedrill.secrecy.known import cut

_WITHIN_S = 60.0


class Hooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each a command line, run without a shell; empty: the stack cannot do that."""

    kill: str = ""
    """End it at once, as a crash would."""
    restart: str = ""
    """Have it end gracefully and start again."""
    identity: str = ""
    """Prints what is another text for each life of the replica: a pod's uid, a container's id, a start time."""

    @property
    def complete(self) -> bool:
        """Whether replicas can be killed and restarted, and a new life told from the old one."""
        return bool(self.kill and self.restart and self.identity)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a replica, as its identity hook tells it: what faults rely on of a `ProcessId`."""

    token: str
    now: Callable[[], str]

    @property
    def pid(self) -> int:
        """Stands for the life in a history; no process has a negative one."""
        return -zlib.crc32(self.token.encode()) - 1

    @property
    def start_ticks(self) -> int:
        """None are known."""
        return 0

    @property
    def alive(self) -> bool:
        """Whether the replica still has this life; asks its hook."""
        return self.now() == self.token


def run_hook(command: str, *, what: str) -> str:
    """What the command printed. Raises `StackError` with its last words when it fails."""
    try:
        done = run_to_end(shlex.split(command), within_s=_WITHIN_S)
    except OSError as error:
        program = f"no program {error.filename!r}" if isinstance(error, FileNotFoundError) else str(error)
        raise StackError(program, where=what, expected="one on the PATH") from error
    if done.met:
        raise StackError(f"{done.met}: {command}", where=what)
    if done.status != 0:
        said = (done.err or done.out).strip().splitlines()[-1:] or ["(nothing)"]
        raise StackError(f"exit status {done.status}: {cut(said[0], 300)}", where=what, hint=f"it was: {command}")
    return done.out.strip()
