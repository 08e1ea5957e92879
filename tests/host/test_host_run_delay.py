"""Run delay: what a process waited for a core, counted by the kernel."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from servedrill.host.run_delay import RunDelays, run_delay_untold

pytestmark = pytest.mark.skipif(bool(run_delay_untold()), reason=run_delay_untold() or "told")
_SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"
_LOOK_S = 0.2


@contextlib.contextmanager
def spinning(count: int) -> Iterator[list[int]]:
    """Processes that always want one and the same core."""
    core = str(min(os.sched_getaffinity(0)))
    spinners = [subprocess.Popen([sys.executable, "-c", _SPIN, core], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for spinner in spinners:
            assert spinner.stdout is not None
            spinner.stdout.readline()
        yield [spinner.pid for spinner in spinners]
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.communicate()


def test_two_on_one_core_wait_for_each_other() -> None:
    """Together they wait for as long as one of them runs; who sleeps waits for nothing."""
    with spinning(2) as pids:
        delays, named = RunDelays(), {"a": pids[0], "b": pids[1], "me": os.getpid()}
        assert delays.take(named).waited_s == {}  # nothing is known of what was before
        time.sleep(_LOOK_S)
        told = delays.take(named)
    assert told.span_s >= _LOOK_S
    assert told.waited_s["a"] + told.waited_s["b"] > 0.7 * told.span_s
    assert told.ran_s["a"] + told.ran_s["b"] > 0


def test_what_is_gone_is_not_told_of() -> None:
    """A process that ended between two looks has no account any more."""
    with spinning(1) as pids:
        delays = RunDelays()
        delays.take({"a": pids[0]})
    told = delays.take({"a": pids[0]})
    assert (told.waited_s["a"], told.ran_s["a"]) == (0, 0)
