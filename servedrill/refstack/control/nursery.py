"""Where the stack's processes come from: one process that imports what they need, and forks.

A new Python spends 0.3 s of a core on imports. A stack starts eight at once, and a drill one in the middle of its
traffic. Engines are asked for first and do not wait for the imports: their cores need few, and take a second to load.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from servedrill.refstack.process import die_with_parent, set_name

_IMPORTED = [
    f"servedrill.refstack.{name}" for name in ("control.alerts", "control.dns", "engine.server", "gateway.main")
]
_ADOPTED_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.01


class Nursery:
    """Forks children of this process, which has to adopt orphans and to have neither threads nor an event loop yet.

    ``run(role, name)`` is what a child does; it returns the exit status. A child's standard input is the read end of a
    pipe that only this process can write to: end of file there tells the child that this process is gone.
    """

    def __init__(self, run: Callable[[str, str], int], log_dir: Path) -> None:
        self._turn = asyncio.Lock()
        lifeline, self._lifeline = os.pipe()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        if os.fork() == 0:
            try:
                self._link.close()
                os.close(self._lifeline)
                _fork_as_asked(theirs, run, log_dir, lifeline=lifeline, supervisor=supervisor)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        os.close(lifeline)
        self._link.setblocking(False)

    async def start(self, role: str, name: str) -> int:
        """A new process in a session of its own, which writes to ``<name>.log``; its pid."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await loop.sock_sendall(self._link, json.dumps([role, name]).encode())
            return int(await loop.sock_recv(self._link, 32))

    async def end_of(self, pid: int) -> int:
        """Wait for the end of a child; its exit status as `subprocess` has it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            watched = os.pidfd_open(pid)
        except OSError:  # an old kernel, or a filter of system calls
            return await _looked_for(pid)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # noqa: ASYNC222 - it has ended


async def _looked_for(pid: int) -> int:
    """The exit status of a child, asked for again and again."""
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:  # noqa: ASYNC222 - it does not block
        await asyncio.sleep(_LOOK_EVERY_S)
    return os.waitstatus_to_exitcode(found[1])


def _fork_as_asked(
    link: socket.socket, run: Callable[[str, str], int], log_dir: Path, *, lifeline: int, supervisor: int
) -> None:
    """Start what ``link`` asks for, until its other end is closed.

    Each child is forked twice, so that the supervisor adopts it and sees its end.
    """
    die_with_parent(supervisor)
    set_name("nursery")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    imported = False
    while asked := link.recv(4096):
        role, name = json.loads(asked)
        if role != "engine" and not imported:
            for module in _IMPORTED:
                importlib.import_module(module)
            gc.freeze()
            imported = True
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                link.close()
                _run_child(partial(run, role, name), log_dir / f"{name}.log", lifeline=lifeline, supervisor=supervisor)
            link.send(b"%d" % child)
            os._exit(0)
        os.waitpid(between, 0)


def _run_child(run: Callable[[], int], log: Path, *, lifeline: int, supervisor: int) -> None:
    """What a child does. Never returns: it must not run its parent's code."""
    status = 1
    try:
        until = time.monotonic() + _ADOPTED_WITHIN_S
        while os.getppid() != supervisor and time.monotonic() < until:
            time.sleep(0.0005)
        die_with_parent(supervisor)
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        for theirs, standard in ((lifeline, 0), (output, 1), (output, 2)):
            os.dup2(theirs, standard)
        os.close(lifeline)
        os.close(output)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
