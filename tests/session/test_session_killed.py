"""kill -9 in the moment in which something starts leaves nothing: of pytest, of a helper, of what has just started.

Eight attacks here; ``SERVEDRILL_ATTACKS=200`` for more of them, ``SERVEDRILL_ATTACKS_SEED`` for the same again.
"""

from __future__ import annotations

import os
import random

from tests.worlds.killed import attacks

COUNT = int(os.environ.get("SERVEDRILL_ATTACKS") or 8)
SEED = int(os.environ.get("SERVEDRILL_ATTACKS_SEED") or random.randrange(10**6))


def test_nothing_is_left_whatever_moment_something_is_killed_in() -> None:
    """No process, no cgroup, no undo record that is open, no proxy on somebody else's server: N of N."""
    trials = list(attacks(COUNT, random.Random(SEED)))
    bad = [str(trial) for trial in trials if trial.left]
    assert not bad, f"SERVEDRILL_ATTACKS_SEED={SEED}\n" + "\n".join(bad)
