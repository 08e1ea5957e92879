"""This side of a supervisor program: starts it, hands it its plan, asks it what it keeps, ends it and all below it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from servedrill.control.bounded import client, read
from servedrill.control.secret import new_secret, proof
from servedrill.errors import NotInTime, StackError
from servedrill.files.logs import tail
from servedrill.host.clock import wait_for
from servedrill.host.processes import family, identify
from servedrill.leases.keeper import UndoKeeper
from servedrill.leases.marked import Marked
from servedrill.secrecy.known import KNOWN
from servedrill.stacks.supervisor import Planned

_UP_WITHIN_S = 15.0


class SupervisorApi:
    """Asks whoever keeps processes running: `servedrill.stacks.supervisor`, or one with the same API."""

    def __init__(self, http: httpx.Client, *, control_port: int, secret: str) -> None:
        self._http, self._api = http, f"http://127.0.0.1:{control_port}/processes"
        self._proof = proof(secret)

    @property
    def url(self) -> str:
        """Where it lists what it keeps."""
        return self._api

    def views(self) -> list[dict[str, Any]]:
        """``name``, ``role``, ``pid``, ``starts``, ``last_exit`` of each."""
        return read(self._http.get(self._api, headers=self._proof), list[dict[str, Any]])

    def view(self, name: str) -> dict[str, Any]:
        """Raises `LookupError` for a name that it does not keep."""
        for view in self.views():
            if view["name"] == name:
                return view
        raise LookupError(f"no process {name!r}")

    def restart(self, name: str) -> None:
        """SIGTERM, and started again when it has ended."""
        self._http.post(f"{self._api}/{name}/restart", headers=self._proof).raise_for_status()


class Keeper(SupervisorApi):
    """A program with the control API of `servedrill.stacks.supervisor`, in a session of its own."""

    def __init__(self, module: str, *, control_port: int, log: Path, ends_within_s: float = 5.0) -> None:
        self.secret = new_secret()
        """What its program asks for: it goes there with the plan, by a pipe, and is kept nowhere else."""
        super().__init__(client(timeout_s=10), control_port=control_port, secret=self.secret)
        self._module, self._log, self._ends_within_s = module, log, ends_within_s
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, on_undo: UndoKeeper) -> None:
        """Start the program, which waits for its plan."""
        marked = Marked()
        on_undo.keep("process", marked.undo())
        with self._log.open("ab") as log:
            self._process = marked.start(
                [sys.executable, "-m", self._module],
                tie=False,  # the end of its input is when it ends what it keeps
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": package_path()},
            )

    def plan(self, plan: msgspec.Struct) -> None:
        """Hand over what is to be kept. Raises `StackError` when the program does not get ready."""
        assert self._process is not None and self._process.stdin is not None
        told = msgspec.structs.replace(plan, secrets=KNOWN.secrets)
        self._process.stdin.write(msgspec.json.encode(told) + b"\n")
        self._process.stdin.flush()
        try:
            wait_for(self._answers_or_dead, what=self._module, within_s=_UP_WITHIN_S)
        except NotInTime as error:
            raise StackError(f"{self._module} not ready after {error.waited_s:.0f} s", hint=tail(self._log)) from error
        if self._process.poll() is not None:
            raise StackError(f"{self._module} did not start", hint=tail(self._log))

    def _answers_or_dead(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            return True
        try:
            return self._http.get(self._api, timeout=1, headers=self._proof).status_code == 200
        except httpx.HTTPError:
            return False

    def start(self, name: str) -> None:
        """The first start of one that it was told to keep."""
        self._http.post(f"{self._api}/{name}/start", headers=self._proof).raise_for_status()

    def change(self, planned: Planned) -> None:
        """Another command and environment, from the next start on."""
        url, content = f"{self._api}/{planned.name}", msgspec.json.encode(planned)
        self._http.put(url, content=content, headers=self._proof).raise_for_status()

    # ---- the end

    def end(self) -> None:
        """The end of its input ends it and all that it keeps; what does not is killed. Nothing to do a second time."""
        if self._process is None:
            return
        kept = [one for pid in family(self._process.pid) if (one := identify(pid)) is not None]
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=self._ends_within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for one in kept:
            if one.alive:
                os.kill(one.pid, signal.SIGKILL)
        wait_for(lambda: not any(one.alive for one in kept), what=f"what {self._module} kept to end", within_s=15)
        self._process = None
        self._http.close()


def package_path() -> str:
    """This very package first on the path, whatever folder a process runs in."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
