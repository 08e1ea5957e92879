"""Container faults: a network that is cut, a container that is frozen whole; the Docker Engine does and undoes it."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Protocol

import docker

from servedrill.faults.fault import Evidence
from servedrill.leases.undo import DockerCall, Undo
from servedrill.stacks.protocols import Containerised, Stack


class ContainerStack(Stack, Containerised, Protocol):
    """What these faults need."""


class _ContainerFault:
    """Knows its container from the moment before it is injected: a later one of the same replica is another."""

    name = ""

    def __init__(self, stack: ContainerStack, replica: str) -> None:
        self.target = replica
        self.attributes: dict[str, Any] = {}
        self._stack = stack
        self._socket = stack.docker_socket()
        self._id = ""

    def _find(self) -> None:
        self._id = self._stack.container(self.target)
        self.attributes["container"] = self._id[:12]

    def _inspect(self) -> dict[str, Any]:
        with contextlib.closing(docker.DockerClient(base_url=f"unix://{self._socket}", version="1.41")) as client:
            return dict(client.containers.get(self._id).attrs)

    def _call(self, path: str, body: Any = None) -> DockerCall:
        text = "" if body is None else json.dumps(body)
        return DockerCall(socket=self._socket, method="POST", path=path, body=text)


class NetworkCut(_ContainerFault):
    """The container is disconnected from its network: nobody reaches it and it reaches nobody.

    Open connections are cut as well.
    """

    name = "network_cut"

    def undo(self) -> list[Undo]:
        """Connect it again, under the names and the address that it has now."""
        self._find()
        self._network = self._stack.network(self.target)
        self.attributes["network"] = self._network
        before = self._inspect()["NetworkSettings"]["Networks"][self._network]
        again = {"Aliases": before.get("Aliases") or [], "IPAMConfig": before.get("IPAMConfig")}
        self._again = self._call(f"/networks/{self._network}/connect", {"Container": self._id, "EndpointConfig": again})
        return [self._again]

    def inject(self) -> None:
        """Disconnect it by force."""
        self._call(f"/networks/{self._network}/disconnect", {"Container": self._id, "Force": True}).carry_out()

    def evidence(self) -> Evidence:
        """The engine no longer lists the network as one of the container's."""
        return self._told(attached=False)

    def heal(self) -> Evidence:
        """Connect it again; the engine lists the network again."""
        self._again.carry_out()
        return self._told(attached=True)

    def _told(self, *, attached: bool) -> Evidence:
        networks = self._inspect()["NetworkSettings"]["Networks"]
        return Evidence(
            proven=(self._network in networks) is attached,
            observed=f"container {self._id[:12]} of {self.target} is on {', '.join(networks) or 'no network'}",
        )


class ContainerPause(_ContainerFault):
    """Every process of the container is frozen at once (the cgroup freezer): its sockets are open, nothing answers."""

    name = "container_pause"

    def undo(self) -> list[Undo]:
        """Thaw it."""
        self._find()
        self._again = self._call(f"/containers/{self._id}/unpause")
        return [self._again]

    def inject(self) -> None:
        """Freeze it."""
        self._call(f"/containers/{self._id}/pause").carry_out()

    def evidence(self) -> Evidence:
        """The engine says that it is paused."""
        return self._told(paused=True)

    def heal(self) -> Evidence:
        """Thaw it; the engine says that it runs."""
        self._again.carry_out()
        return self._told(paused=False)

    def _told(self, *, paused: bool) -> Evidence:
        status = self._inspect()["State"]["Status"]
        return Evidence(
            proven=status == ("paused" if paused else "running"),
            observed=f"container {self._id[:12]} of {self.target} is {status}",
        )
