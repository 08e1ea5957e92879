"""What a command says is read to its end, and no longer."""

from __future__ import annotations

import sys

import pytest

from servedrill.host.output import run_to_end


def test_what_it_said_and_how_it_ended() -> None:
    """Both streams, as text whatever it is."""
    done = run_to_end(["sh", "-c", "printf 'a\\377'; echo b >&2; exit 3"], within_s=60)
    assert (done.status, done.out, done.err, done.met) == (3, "a\ufffd", "b\n", "")


def test_a_command_without_an_end_meets_a_bound() -> None:
    """Of bytes where it talks, of time where it does not; nothing of it is left."""
    assert run_to_end(["yes"], within_s=60).met == "said more than 1 MiB"
    assert run_to_end(["sleep", "600"], within_s=0.2).met == "not done after 0 s"
    closed = "import os, time; os.close(1); os.close(2); time.sleep(600)"
    assert run_to_end([sys.executable, "-c", closed], within_s=0.2).met == "not done after 0 s"


def test_what_it_leaves_behind_is_not_waited_for() -> None:
    """A program in the background holds the pipes of whoever started it."""
    done = run_to_end(["sh", "-c", "sleep 5 & echo $!"], within_s=60)
    assert (done.status, done.met) == (0, "")
    assert done.out.strip().isdigit()


def test_no_program_is_an_error() -> None:
    """Of the kind that says which."""
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run_to_end(["no-such-program"], within_s=60)
