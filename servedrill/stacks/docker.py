"""A stack of containers on a Docker Engine on this machine: as a stack of commands, with a network of its own.

    load -> [DNS name ->] proxy -> 127.0.0.1:port -> gateway -> proxy -> 127.0.0.1:port -> engine

The fault proxy is a process of this machine: containers reach it at their network's gateway address. Everything that is
made carries a label, and is removed by it: by `servedrill.stacks.containers` at the end, by the watchdog after a crash.
"""

from __future__ import annotations

import os
import secrets
import tarfile
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound

from servedrill.control.secret import SECRET, run_secret
from servedrill.errors import StackError
from servedrill.host import memory_groups
from servedrill.leases.undo import RemoveContainers
from servedrill.stacks.command_rules import check_processes
from servedrill.stacks.commands import Command, Container
from servedrill.stacks.containers import LABEL, ContainerPlan, PlannedContainer, clean
from servedrill.stacks.image import REPOSITORY, ensure_image
from servedrill.stacks.kinds import StackKind
from servedrill.stacks.process import ProcessStack
from servedrill.stacks.roles import GATEWAY
from servedrill.stacks.supervisor import Planned
from servedrill.stacks.wiring import LOOPBACK, Wiring

_SOCKET = "/var/run/docker.sock"
_API_VERSION = "1.41"
"""Of Docker Engine 20.10; later ones answer it, too."""


class DockerWiring(Wiring):
    """``host`` is the address of this machine in the network of the containers."""

    def hop_host(self, command: Command) -> str:
        """Users come from this machine, everybody else from a container."""
        return LOOPBACK if command.role == GATEWAY else self.host

    def reached_at(self, name: str) -> str:
        """Containers know each other by their names."""
        inside = any(container.name == name for container in self._file.container)
        return f"{name if inside else self.host}:{self.port(name)}"


class DockerStack(ProcessStack):
    """One running stack of containers, and of commands beside them."""

    _wired = DockerWiring
    _run = ""
    """What marks everything of this run; empty while there is nothing."""

    def up(self) -> None:
        """As `ProcessStack.up`.

        Raises `StackError` where no engine answers, or an image or a container is not there.
        """
        self._images = {c.name: self._image(c) for c in self._file.container}
        self._run = secrets.token_hex(4)
        mine = RemoveContainers(socket=self.docker_socket(), label=f"{LABEL}={self._run}")
        self._on_undo.keep("containers", mine)
        self._network = f"servedrill-{self._run}"
        made = self._docker.networks.create(self._network, driver="bridge", labels={LABEL: self._run})
        made.reload()
        self._wiring.host = str(made.attrs["IPAM"]["Config"][0]["Gateway"])
        super().up()

    def down(self) -> None:
        """As `ProcessStack.down`, and remove everything that carries the run's label."""
        try:
            super().down()
        finally:
            if self._run:
                clean(self._docker, self._run)
                self._run = ""
            if "_docker" in vars(self):
                self._docker.close()

    @cached_property
    def _docker(self) -> docker.DockerClient:
        where = self.docker_socket()
        client = docker.DockerClient(base_url=f"unix://{where}", version=_API_VERSION, timeout=60)
        try:
            if not Path(where).is_socket():
                raise FileNotFoundError("no such socket")
            client.ping()
        except (DockerException, OSError) as error:
            client.close()
            raise StackError(
                f"no Docker Engine answers at {where}: {error}",
                where=self._file.path,
                expected="an engine on this machine that this user may use",
                hint="start it (dockerd), or name its socket: export DOCKER_HOST=unix:///...",
            ) from error
        return client

    # ---- what it is made of

    def _image(self, container: Container) -> str:
        """The image's name, or the id of the container that is there already."""
        where = f"{self._file.path}: container {container.name!r}"
        try:
            if container.existing:
                return self._existing(container.existing, where=where)
            if container.build:
                return self._built(Path(self._file.path).resolve().parent / container.build, where=where)
            if container.image == REPOSITORY:
                return ensure_image(self._docker)
            return str(self._docker.images.get(container.image).id)
        except ImageNotFound as error:
            raise StackError(
                f"no image {container.image!r} on this machine",
                where=where,
                expected=f"one that `docker image ls` lists, or {REPOSITORY!r} for the embedded stack's",
                hint=f"docker pull {container.image}",
            ) from error

    def _existing(self, wanted: str, *, where: str) -> str:
        if wanted.startswith("label="):
            found = self._docker.containers.list(filters={"label": wanted.removeprefix("label=")})
            ids = sorted(str(c.id) for c in found)
        else:
            try:
                ids = [str(self._docker.containers.get(wanted).id)]
            except NotFound:
                ids = []
        if len(ids) != 1:
            raise StackError(
                f"{len(ids)} containers for {wanted!r}",
                where=where,
                expected="the name or the label of exactly one that runs",
            )
        return ids[0]

    def _built(self, folder: Path, *, where: str) -> str:
        """The id of an image of a folder: by its Dockerfile, or with its files as they are."""
        if not folder.is_dir():
            raise StackError(
                f"no folder {folder}", where=where, expected="one with a Dockerfile, or a root file system"
            )
        if (folder / "Dockerfile").is_file():
            try:
                return str(self._docker.images.build(path=str(folder), rm=True)[0].id)
            except (BuildError, APIError) as error:
                raise StackError(f"the image was not built: {error}", where=where) from error
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(folder, arcname=".")
            file.seek(0)
            name = f"servedrill-{folder.name.lower()}"
            self._docker.api.import_image_from_data(file.read(), repository=name, tag="latest")
        return f"{name}:latest"

    def _make_groups(self) -> None:
        """Containers have groups already."""

    def _planned(self, command: Command, version: str) -> Planned:
        if not isinstance(command, Container):
            return super()._planned(command, version)
        return PlannedContainer(
            name=command.name,
            role=command.role,
            command=[self._wiring.filled(part, command, version) for part in command.command],
            env={key: self._wiring.filled(value, command, version) for key, value in command.env.items()}
            | ({SECRET: run_secret()} if command.image == REPOSITORY else {}),
            folder=str(self._folder),
            log=str(self._logs / f"{command.name}.log"),
            restart=command.restart,
            image=self._images[command.name],
            port=self._wiring.port(command.name),
            mounts=[self._wiring.filled(mount, command, version) for mount in command.mounts],
            memory=command.memory,
            existing=self._images[command.name] if command.existing else "",
        )

    def _begin_keepers(self, planned: list[Planned]) -> None:
        containers = [one for one in planned if isinstance(one, PlannedContainer)]
        others = [one for one in planned if not isinstance(one, PlannedContainer)]
        keeper = self._keeper("servedrill.stacks.containers", log="containers", ends_within_s=60.0)
        self._keepers |= dict.fromkeys([one.name for one in containers], keeper)
        port = self._wiring.port("containers")
        keeper.plan(
            ContainerPlan(
                control_port=port,
                secret=keeper.secret,
                run=self._run,
                network=self._network,
                containers=containers,
            )
        )
        if others:
            keeper = self._keeper("servedrill.stacks.supervisor", log="supervisor")
            self._keepers |= dict.fromkeys([one.name for one in others], keeper)
            keeper.plan(self._plan(others, keeper.secret))

    # ---- what can be done to it

    def docker_socket(self) -> str:
        """As `Containerised.docker_socket`: DOCKER_HOST's, or the usual one."""
        return os.environ.get("DOCKER_HOST", f"unix://{_SOCKET}").removeprefix("unix://")

    def container(self, replica: str) -> str:
        """As `Containerised.container`."""
        found: str = self._container_view(replica)["container"]
        if not found:
            raise LookupError(f"{replica} has no container")
        return found

    def network(self, replica: str) -> str:
        """As `Containerised.network`; of a container that was there before, the first that it is on."""
        command = next(c for c in self._file.container if c.name == replica)
        if not command.existing:
            return self._network
        attached = self._docker.containers.get(self.container(replica)).attrs["NetworkSettings"]
        return str(next(iter(attached["Networks"])))

    def memory_group(self, replica: str) -> str:
        """The cgroup that its container is in now. Raises `StackError` while it does not run."""
        pid = self._container_view(replica)["pid"]
        if pid is None:
            raise StackError(f"{replica} does not run", where=self.name)
        return str(memory_groups.group_of(pid))

    def no_memory_group(self) -> str:
        """As `MemoryLimited.no_memory_group`: each container has one."""
        return ""

    def oom_kills(self, replica: str) -> int:
        """As the engine tells it: a container's cgroup, and its count, end with the container."""
        return int(self._container_view(replica)["oom_kills"])

    def _container_view(self, replica: str) -> dict[str, Any]:
        return self._keeper_of(replica).view(replica)


KIND = StackKind(
    name="docker",
    make=DockerStack,
    check=check_processes,
    reads=frozenset({"process", "container", "rollouts", "nice"}),
)
