"""Commands of a stack file: what they said, what went wrong with them, and that they end with us."""

from __future__ import annotations

import subprocess
import sys

import pytest

from servedrill.errors import StackError
from servedrill.host.clock import wait_for
from servedrill.host.processes import children, identify
from servedrill.stacks.hooks import run_hook

RUNNING = "from servedrill.stacks.hooks import run_hook; run_hook('sleep 120', what='here')"


def test_what_a_hook_printed() -> None:
    """Without the end of its line."""
    assert run_hook("echo 'one life'", what="here") == "one life"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program-1 now", "here: no program 'no-such-program-1'; expected one on the PATH"),
        ("sh -c 'echo no pod >&2; exit 3'", "here: exit status 3: no pod; hint: it was: sh -c"),
    ],
)
def test_what_is_wrong_with_a_hook_is_one_line(command: str, said: str) -> None:
    """With its last words, where it had any."""
    with pytest.raises(StackError) as error:
        run_hook(command, what="here")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_hook_ends_with_whoever_runs_it() -> None:
    """kill -9 of pytest leaves no hook that goes on and does something to the stack."""
    runner = subprocess.Popen([sys.executable, "-c", RUNNING])
    wait_for(lambda: bool(children(runner.pid)), what="the hook", within_s=30)
    hook = identify(children(runner.pid)[0])
    runner.kill()
    runner.wait()
    assert hook is not None
    wait_for(lambda: not hook.alive, what="the hook to end", within_s=30)
