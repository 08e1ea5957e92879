"""GPU faults: a process that takes a device's memory until nothing is left, as a neighbour or a leak does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from servedrill.errors import FaultError, NotInTime
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import whole
from servedrill.host.clock import wait_for
from servedrill.host.gpu import Gpu, read_gpus
from servedrill.host.processes import family
from servedrill.leases.marked import Marked
from servedrill.leases.undo import Undo
from servedrill.stacks.protocols import Signallable

_MIB = 1 << 20
_LEFT_BYTES_MAX = 1 << 40
_SLACK_BYTES = 64 * _MIB
_BALLAST = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    status = getattr(cuda, name)(*arguments)
    if status:
        sys.exit(f"{name}: CUDA error {status}")
device, context = ctypes.c_int(), ctypes.c_void_p()
call("cuInit", 0)
call("cuDeviceGet", ctypes.byref(device), int(sys.argv[1]))
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
call("cuCtxSetCurrent", context)
print("ready", flush=True)
left, size = int(sys.argv[2]), 256 << 20 if sys.stdin.readline() else 0
while size >= 1 << 20:
    free, total, at = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_ulonglong()
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    if free.value - left < size or cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(size)):
        size //= 2
print("full", flush=True)
sys.stdin.readline()
"""


class GpuBallast:
    """The GPU that a replica computes on is filled by another process, to ``left_bytes`` short of its end, with real
    CUDA allocations.

    Who has its memory keeps it; who asks for more gets CUDA's out of memory. Healed by the end of that process.
    """

    name = "gpu_ballast"

    def __init__(
        self,
        stack: Signallable,
        replica: str,
        *,
        left_bytes: int = 128 * _MIB,
        gpus: Callable[[], list[Gpu]] = read_gpus,
    ) -> None:
        """The device is that on which the replica's processes hold memory now.

        Raises `FaultError` where they hold none, `NoGpu` without one.
        """
        whole(0, _LEFT_BYTES_MAX, left_bytes=left_bytes)
        self.target = replica
        self._gpus, self._left_bytes = gpus, left_bytes
        server = stack.process(replica)
        pids = family(server.pid) if server is not None else []
        found = max(gpus(), key=lambda gpu: gpu.held_by(pids))
        if not found.held_by(pids):
            raise FaultError(f"{replica} holds no GPU memory that NVML tells of")
        self._index, self._before = found.index, found
        self.attributes: dict[str, Any] = {"gpu": found.name, "held_bytes": found.held_by(pids)}
        self._marked = Marked()
        self._ballast: subprocess.Popen[bytes] | None = None

    def undo(self) -> list[Undo]:
        """End the ballast."""
        return [self._marked.undo()]

    def inject(self) -> None:
        """Have a ballast take all that is left. Raises `FaultError` with its exit status where it cannot."""
        command = [sys.executable, "-c", _BALLAST, str(self._index), str(self._left_bytes)]
        self._ballast = self._marked.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._ballast.stdin is not None and self._ballast.stdout is not None
        for said, answer in ((b"ready\n", b"grow\n"), (b"full\n", b"")):
            if self._ballast.stdout.readline() != said:
                raise FaultError(f"no ballast on GPU {self._index}: it ended with status {self._end()}")
            self._ballast.stdin.write(answer)
            self._ballast.stdin.flush()

    def evidence(self) -> Evidence:
        """NVML tells no more free memory than was to be left, give or take 64 MiB."""
        now = self._now()
        return Evidence(
            proven=now.free_bytes <= self._left_bytes + _SLACK_BYTES,
            observed=f"GPU {self._index} has {now.free_bytes // _MIB} MiB free of {now.total_bytes // _MIB}, "
            f"{self._before.free_bytes // _MIB} before",
            figures={"free_bytes": float(now.free_bytes), "free_before_bytes": float(self._before.free_bytes)},
        )

    def heal(self) -> Evidence:
        """End the ballast; NVML tells nothing of it on the device any more."""
        if self._ballast is None:
            return Evidence(proven=True, observed="there was no ballast")
        pid = self._ballast.pid
        self._end()
        try:
            rid = f"GPU {self._index} to be rid of the ballast"
            wait_for(lambda: pid not in self._now().processes, what=rid, within_s=10)
        except NotInTime as error:
            return Evidence(proven=False, observed=str(error))
        return Evidence(proven=True, observed=f"GPU {self._index} has {self._now().free_bytes // _MIB} MiB free again")

    def _end(self) -> int:
        """End the ballast; its exit status."""
        assert self._ballast is not None
        self._ballast.kill()
        self._ballast.communicate()
        return self._ballast.returncode

    def _now(self) -> Gpu:
        return next(gpu for gpu in self._gpus() if gpu.index == self._index)
