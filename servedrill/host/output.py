"""A command that is run to its end, and what it said: bounded in time and in bytes, and without secrets."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, cast

from servedrill.host.launch import tied
from servedrill.secrecy.known import hidden

BYTES_MAX = 1 << 20
_LAST_WORDS_S = 0.2
"""How long what a command said is read after its end: what it started may hold its pipes for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """``met`` is the bound that ended it; empty where it ended by itself."""

    status: int
    out: str
    err: str
    met: str


def run_to_end(argv: Sequence[str], *, within_s: float, env: Mapping[str, str] | None = None) -> Ran:
    """Run without a shell and without input; it ends with us at the latest, what it has left running does not.

    What meets a bound is killed, with all that it started. ``env`` stands in its environment beside ours.

    Raises `OSError` where there is no such program.
    """
    if shutil.which(argv[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    process = subprocess.Popen(
        tied([*argv]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )
    said: dict[IO[bytes], bytearray] = {
        cast("IO[bytes]", pipe): bytearray() for pipe in (process.stdout, process.stderr)
    }
    met = ""
    try:
        met = _read(process, said, until=time.monotonic() + within_s, within_s=within_s)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        for pipe in said:
            pipe.close()
    out, err = (hidden(text.decode(errors="replace")) for text in said.values())
    return Ran(status=status, out=out, err=err, met=met)


def _read(process: subprocess.Popen[bytes], said: dict[IO[bytes], bytearray], *, until: float, within_s: float) -> str:
    """Until the command has ended and said all, or a bound is met; which one."""
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ)
        ended: float | None = None
        while True:
            if ended is None and process.poll() is not None:
                ended = time.monotonic() + _LAST_WORDS_S
            if (not selector.get_map() and ended) or (ended and time.monotonic() > ended):
                return ""
            if time.monotonic() > until:
                return f"not done after {within_s:.0f} s"
            if not selector.get_map():
                time.sleep(0.02)
                continue
            for key, _ in selector.select(0.05):
                pipe = cast("IO[bytes]", key.fileobj)
                piece = os.read(pipe.fileno(), 65536)
                if not piece:
                    selector.unregister(pipe)
                said[pipe] += piece
                if len(said[pipe]) > BYTES_MAX:
                    return f"said more than {BYTES_MAX >> 20} MiB"
