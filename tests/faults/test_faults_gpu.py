"""A GPU's memory taken away: which device, what is proven, and what is undone.

Devices are made up here; where there is one, the drill itself shows it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servedrill.errors import FaultError
from servedrill.faults.gpu import GpuBallast
from servedrill.host.gpu import Gpu, NoGpu, read_gpus
from servedrill.host.processes import ProcessId, identify, with_variable
from servedrill.leases.undo import MARK

GIB = 1 << 30


class OneEngine:
    """Its process is this one."""

    def process(self, replica: str, part: str = "server") -> ProcessId | None:
        return identify(os.getpid())


class Devices:
    """Two GPUs, the second of which the engine is on; a running ballast holds what was free."""

    def __init__(self) -> None:
        self.ballast: subprocess.Popen[bytes] | None = None

    def __call__(self) -> list[Gpu]:
        held = {os.getpid(): 3 * GIB}
        if self.ballast is not None and self.ballast.poll() is None:
            held[self.ballast.pid] = 5 * GIB - (100 << 20)
        return [
            Gpu(index=0, name="a", total_bytes=8 * GIB, used_bytes=0, processes={}),
            Gpu(index=1, name="b", total_bytes=8 * GIB, used_bytes=sum(held.values()), processes=held),
        ]


CUDA = """
import sys
print("ready", flush=True)
if sys.stdin.readline() and %s:
    print("full", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=[True])
def ballast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[GpuBallast, Devices]]:
    """A ballast whose process says what the real one says, and takes nothing."""
    monkeypatch.setattr("servedrill.faults.gpu._BALLAST", CUDA % request.param)
    devices = Devices()
    fault = GpuBallast(OneEngine(), "engine-0", gpus=devices)  # type: ignore[arg-type]
    yield fault, devices
    if fault._ballast is not None and fault._ballast.returncode is None:
        fault._end()


def test_the_engines_own_device_is_filled_and_freed(ballast: tuple[GpuBallast, Devices]) -> None:
    """What was taken is measured while it is, and its undo, which is known before, ends the very process."""
    fault, devices = ballast
    assert (fault.attributes["gpu"], fault.attributes["held_bytes"]) == ("b", 3 * GIB)
    (undo,) = fault.undo()
    assert fault._ballast is None
    assert not fault.evidence().proven
    fault.inject()
    assert fault._ballast is not None
    assert [one.pid for one in with_variable(f"{MARK}={undo.mark}")] == [fault._ballast.pid]  # type: ignore[union-attr]
    devices.ballast = fault._ballast
    assert fault.evidence().proven, fault.evidence().observed
    assert fault.heal().proven
    assert not fault.evidence().proven


@pytest.mark.parametrize("ballast", [False], indirect=True)
def test_a_ballast_that_could_not_grow_is_no_fault(ballast: tuple[GpuBallast, Devices]) -> None:
    """It is said, and not taken for one."""
    fault, _ = ballast
    fault.undo()
    with pytest.raises(FaultError, match="no ballast on GPU 1"):
        fault.inject()


def test_an_engine_without_gpu_memory_has_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than any device being filled."""
    with pytest.raises(FaultError, match="engine-0 holds no GPU memory"):
        empty = Gpu(index=0, name="a", total_bytes=1, used_bytes=0, processes={})
        GpuBallast(OneEngine(), "engine-0", gpus=lambda: [empty])  # type: ignore[arg-type]


def test_a_machine_without_a_gpu_skips_the_drill_with_the_reason(tmp_path: Path) -> None:
    """Before any stack is started."""
    try:
        read_gpus()
    except NoGpu as error:
        reason = str(error)
    else:
        pytest.skip("there is a GPU here")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "drills/test_8_gpu_out_of_memory.py",
        "-rs",
        "--drill-runs",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "1 skipped" in done.stdout
    assert f"no GPU: {reason[:20]}" in done.stdout
