"""Which of its processes an engine offers to the kernel when memory runs out."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import ctypes, sys
from pathlib import Path
from servedrill.refstack.engine.main import _prefer_for_oom

adjust = Path("/proc/self/oom_score_adj")
adjust.write_text(sys.argv[1])
none = (ctypes.c_uint32 * 6)()
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), none)  # who has no capability may not lower it
_prefer_for_oom(500)
print(adjust.read_text().strip())
"""


@pytest.mark.parametrize(("before", "after"), [(0, 500), (600, 600), (1000, 1000)])
def test_a_score_is_only_ever_raised(before: int, after: int) -> None:
    """An engine keeps the higher score that a pod of class Burstable or BestEffort gave it, as it may not lower it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(before)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (str(after), "")
