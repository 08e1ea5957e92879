"""What a memory cgroup says: how many of its processes the kernel killed for want of memory."""

from __future__ import annotations

import contextlib
from pathlib import Path


def oom_kills(group: str) -> int:
    """Of a cgroup v1 (``memory.oom_control``) or v2 (``memory.events``) directory; 0 when it cannot be read."""
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError):
            for line in (Path(group) / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return 0
