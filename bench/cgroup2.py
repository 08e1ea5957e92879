"""Memory cgroups of version 2, for real: a kernel of its own, whatever this machine's has (User-Mode Linux, no root).

    python bench/cgroup2.py [PYTEST'S ARGUMENTS]

Boots `linux.uml` (apt-get install user-mode-linux; or SERVEDRILL_UML=its path) on this very file system, with cgroup v2
mounted, and runs the tests of memory cgroups in it and a small drill whose engine meets a limit: in the root group, and
in a group that was delegated. Prints what they say; exits 1 where a test fails there, where the kernel has not killed,
or where the machine does not come up. It has one slow core, on which drill 2 itself does not get its stack up in time.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHIN_S = 900
TESTS = [
    "tests/faults/test_faults_memory.py", "tests/stacks/test_stack_on_machine.py",
    "tests/stacks/test_stack_embedded.py", "-k", "memory or cgroup or group or limit",
]  # fmt: skip
DRILL = """
from fixtures.drill import drill
from servedrill.faults.memory import MemoryBallast
import pytest

@pytest.mark.drill_uses("MemoryLimited")
def test_it(drill):
    fault = MemoryBallast(drill.stack, "engine-0", back_within_s=60)
    with drill.broken(fault):
        print("EVIDENCE", fault.evidence().observed)
"""
STACK = "[embedded]\nengines = 1\ngateways = 1\nsettings = { engine_limits = { blocks = 64 } }\n[proxy]\nhops = []\n"
INIT = """#!/bin/sh
export PATH={path}:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run NO_COLOR=1 COLUMNS=120
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
{python} -c 'import fcntl, socket, struct
s = socket.socket()
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x49))'
cd {root}
run() {{ echo "== $1: $(cat /proc/self/cgroup)"; shift; "$@" 2>&1; echo "== exit status $?"; }}
run "the root group" {tests}
run "the root group" {drill}
mkdir -p /sys/fs/cgroup/delegated/leaf
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
echo $$ > /sys/fs/cgroup/delegated/leaf/cgroup.procs
run "a delegated group" {tests}
run "a delegated group" {drill}
sync
echo o > /proc/sysrq-trigger
sleep 60
"""


def kernel() -> str:
    """Its program; exits where there is none."""
    found = os.environ.get("SERVEDRILL_UML") or shutil.which("linux.uml") or shutil.which("linux")
    if not found:
        sys.exit("no User-Mode Linux: apt-get install user-mode-linux, or SERVEDRILL_UML=path")
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        init = Path(folder) / "init"
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        tests = [*pytest, "-n0", *(sys.argv[1:] or TESTS)]
        (Path(folder) / "test_it.py").write_text(DRILL)
        (Path(folder) / "stack.toml").write_text(STACK)
        asked = ["--drill-stack", f"{folder}/stack.toml", "--drill-runs", "/run/runs", "--drill-no-report", "-s"]
        drill = [*pytest, f"{folder}/test_it.py", *asked]
        init.write_text(
            INIT.format(
                path=Path(sys.executable).parent, python=sys.executable, root=ROOT,
                tests=shlex.join(tests), drill=shlex.join(drill),
            )
        )  # fmt: skip
        init.chmod(0o755)
        command = [kernel(), "rootfstype=hostfs", "rootflags=/", "rw", "mem=2048M", f"init={init}", "con=null"]
        machine = subprocess.run(
            [*command, "con0=null,fd:1", "quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=WITHIN_S, check=False,
        )  # fmt: skip
    print(machine.stdout)
    statuses = re.findall(r"== exit status (\d+)", machine.stdout)
    killed = re.findall(r"EVIDENCE [1-9]\d* kills by the kernel", machine.stdout)
    return int(statuses[::2] != ["0", "0"] or len(killed) != 2)


if __name__ == "__main__":
    sys.exit(main())
