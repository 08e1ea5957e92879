"""Starts an engine: forks the core, then serves the API."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

from servedrill.refstack.config import Stack
from servedrill.refstack.engine.core import Core
from servedrill.refstack.policies import Policies
from servedrill.refstack.process import log_to_stderr, set_name


def main(stack: Stack, name: str) -> int:
    """Both processes of engine ``name``."""
    group = stack.memory_groups.get(name)
    if group:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    ours, cores = socket.socketpair()
    policies = Policies(stack.defects)
    if os.fork() == 0:
        ours.close()
        _run_core(stack, name, policies, cores)
    cores.close()
    _prefer_for_oom(500)
    set_name(f"API:{name}")
    import uvloop

    from servedrill.refstack.engine.server import serve

    log_to_stderr(name)
    return uvloop.run(serve(stack, name, policies, ours))


def _run_core(stack: Stack, name: str, policies: Policies, link: socket.socket) -> None:
    """Never returns: the child must not run its parent's code.

    A core that lost its API server holds its memory until the supervisor clears it away, as a GPU worker that waits in
    a collective does; by itself it ends only with the supervisor.
    """
    status = 1
    try:
        set_name(f"Core:{name}")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _prefer_for_oom(1000)
        log_to_stderr(f"{name}/core")
        Core(stack, policies, link).run()
    except SystemExit:
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _prefer_for_oom(score: int) -> None:
    """Under a memory limit the kernel takes the core first, as it holds what matters.

    Only ever raised: who starts at a higher score, as in a pod of class Burstable, may not lower it.
    """
    adjust = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):
        if int(adjust.read_text()) < score:
            adjust.write_text(str(score))
