"""How a fault is undone: plain records that any process can carry out, after the one that broke things is gone.

Carrying one out twice does no harm, and one whose target is gone has nothing to do.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from servedrill.control.plain import exchange
from servedrill.control.secret import proof, run_secret
from servedrill.errors import NotInTime
from servedrill.host.addresses import split_host_port
from servedrill.host.clock import wait_for
from servedrill.host.processes import ProcessId, family, with_variable

MARK = "SERVEDRILL_MARK"
"""The variable whose value marks a process."""

_DOCKER_S = 20.0


class _Undo(msgspec.Struct, frozen=True, kw_only=True, tag_field="undo"):
    pass


class ResumeProcess(_Undo, frozen=True, kw_only=True, tag="resume_process"):
    """SIGCONT, if the very process is still there."""

    pid: int
    start_ticks: int

    def carry_out(self) -> None:
        """Nothing to do where another process has the pid."""
        if ProcessId(self.pid, self.start_ticks).alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)


class EndMarked(_Undo, frozen=True, kw_only=True, tag="end_marked"):
    """SIGKILL to every process that was started with a mark of ours in its environment, and to all below it.

    It can be on record before the process is there, and finds what an ended process has left behind.
    """

    mark: str

    def carry_out(self) -> None:
        """Until none is left, 5 s at most."""
        with contextlib.suppress(NotInTime):
            wait_for(self._ended, what=f"processes with the mark {self.mark} to end", within_s=5)

    def _ended(self) -> bool:
        found = with_variable(f"{MARK}={self.mark}")
        for one in found:
            for pid in family(one.pid) if one.alive else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return not found


class HttpCall(_Undo, frozen=True, kw_only=True, tag="http_call"):
    """One request to a control API on loopback; an error status or no listener means that there is nothing to undo."""

    address: str
    method: str
    path: str
    body: str = ""
    with_secret: bool = False
    """Whether the port asks for the secret of the run, which is in the environment and never on record."""

    def carry_out(self) -> None:
        """Wait 2 s at most."""
        headers = {"content-type": "application/json"} | (proof(run_secret()) if self.with_secret else {})
        connection = http.client.HTTPConnection(*split_host_port(self.address))
        with contextlib.suppress(OSError, http.client.HTTPException):
            exchange(connection, self.method, self.path, within_s=2, body=self.body, headers=headers)


class DockerCall(_Undo, frozen=True, kw_only=True, tag="docker_call"):
    """One request to the Docker Engine on this machine; an error status means that there is nothing to undo."""

    socket: str
    method: str
    path: str
    body: str = ""

    def carry_out(self) -> None:
        """Wait 20 s at most."""
        connection, headers = _UnixConnection(self.socket), {"content-type": "application/json"}
        with contextlib.suppress(OSError, http.client.HTTPException):
            exchange(connection, self.method, self.path, within_s=_DOCKER_S, body=self.body, headers=headers)


class RemoveContainers(_Undo, frozen=True, kw_only=True, tag="remove_containers"):
    """Remove every container and network of the Docker Engine on this machine that carries a label."""

    socket: str
    label: str

    def carry_out(self) -> None:
        """Containers first: a network with any on it stays."""
        filters = urllib.parse.quote(json.dumps({"label": [self.label]}))
        for kind, remove in (("containers", "?force=1&v=1"), ("networks", "")):
            for one in self._get(f"/{kind}{'/json?all=1&' if kind == 'containers' else '?'}filters={filters}"):
                DockerCall(socket=self.socket, method="DELETE", path=f"/{kind}/{one['Id']}{remove}").carry_out()

    def _get(self, path: str) -> list[dict[str, Any]]:
        try:
            _, said = exchange(_UnixConnection(self.socket), "GET", path, within_s=_DOCKER_S)
            return msgspec.json.decode(said, type=list[dict[str, Any]])
        except (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError, RecursionError):
            return []


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: the watchdog needs nothing but the standard library."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_DOCKER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class WriteFile(_Undo, frozen=True, kw_only=True, tag="write_file"):
    """Put a kernel setting back."""

    path: str
    text: str

    def carry_out(self) -> None:
        """Nothing to do where the file is gone."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, self.text.encode())
            finally:
                os.close(descriptor)


class RemoveMemoryGroup(_Undo, frozen=True, kw_only=True, tag="remove_memory_group"):
    """Remove a memory cgroup that we made; its processes go to the group above, those that are dying are waited for."""

    path: str

    def carry_out(self) -> None:
        """Wait 3 s at most."""
        with contextlib.suppress(NotInTime):
            wait_for(self._removed, what=f"{self.path} to be removed", within_s=3)

    def _removed(self) -> bool:
        group = Path(self.path)
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (group.parent / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):
            group.rmdir()
        return not group.exists()


class RemoveFile(_Undo, frozen=True, kw_only=True, tag="remove_file"):
    """Remove a file that we made."""

    path: str

    def carry_out(self) -> None:
        """Nothing to do where it is gone."""
        with contextlib.suppress(OSError):
            Path(self.path).unlink()


class RunCommand(_Undo, frozen=True, kw_only=True, tag="run_command"):
    """Run a command, without a shell: for what no other record can say, and for faults of other packages."""

    argv: list[str]
    within_s: float = 20.0

    def carry_out(self) -> None:
        """Its exit status says nothing: carried out a second time it may find nothing to do."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            nothing = subprocess.DEVNULL  # read by nobody, and a pipe is held open by whatever the command starts
            subprocess.run(self.argv, stdin=nothing, stdout=nothing, stderr=nothing, timeout=self.within_s, check=False)


class RemoveTree(_Undo, frozen=True, kw_only=True, tag="remove_tree"):
    """Remove a folder of temporary files that we made."""

    path: str

    def carry_out(self) -> None:
        """As much of it as can be."""
        import shutil

        shutil.rmtree(self.path, ignore_errors=True)


Undo: TypeAlias = (
    ResumeProcess
    | EndMarked
    | HttpCall
    | DockerCall
    | RemoveContainers
    | WriteFile
    | RemoveMemoryGroup
    | RemoveFile
    | RemoveTree
    | RunCommand
)
"""Every record that the watchdog can carry out; another one is a class above and a place here."""
