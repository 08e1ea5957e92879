"""Memory of GPUs, and of each process on them, as NVML tells it: nvidia-ml-py, the ``gpu`` extra."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from servedrill.errors import ServedrillError


class NoGpu(ServedrillError):
    """There is no GPU that can be read, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device at one moment; ``processes`` is pid -> bytes, of whom NVML can tell them."""

    index: int
    name: str
    total_bytes: int
    used_bytes: int
    processes: dict[int, int]

    @property
    def free_bytes(self) -> int:
        """What nobody holds."""
        return self.total_bytes - self.used_bytes

    def held_by(self, pids: Iterable[int]) -> int:
        """Bytes of these processes together."""
        return sum(self.processes.get(pid, 0) for pid in pids)


def read_gpus() -> list[Gpu]:
    """Every GPU of this machine, at least one. Raises `NoGpu`."""
    try:
        import pynvml
    except ImportError as error:
        raise NoGpu("nvidia-ml-py is not installed: pip install 'servedrill[gpu]'") from error
    try:
        pynvml.nvmlInit()
        found = [_read(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise NoGpu(f"NVML: {error}") from error
    if not found:
        raise NoGpu("NVML sees no GPU")
    return found


def _read(nvml: Any, index: int) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(device)
    processes = {one.pid: one.usedGpuMemory or 0 for one in nvml.nvmlDeviceGetComputeRunningProcesses(device)}
    return Gpu(
        index=index,
        name=str(nvml.nvmlDeviceGetName(device)),
        total_bytes=int(memory.total),
        used_bytes=int(memory.used),
        processes=processes,
    )
