"""Who reaches whom under which address in a stack of commands, and the placeholders of its file filled in with it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from servedrill.errors import StackError
from servedrill.host.addresses import split_host_port
from servedrill.host.ports import free_ports, require_free
from servedrill.leases.keeper import UndoKeeper
from servedrill.leases.undo import RemoveFile
from servedrill.secrecy.known import hidden
from servedrill.stacks.commands import Command, Container, cache_folder, environment_variable, fill
from servedrill.stacks.file import StackFile
from servedrill.stacks.proxies import Hop
from servedrill.stacks.roles import ENGINE, OTHER

LOOPBACK = "127.0.0.1"


class Wiring:
    """A port for every process and every name that the file mentions; `take` before anything is asked.

    ``covered`` names the processes that have a proxy in front of them.
    """

    host = LOOPBACK
    """The address under which whatever runs on this machine is reached by all of the stack."""

    def __init__(self, file: StackFile, folder: Path, *, covered: Collection[str]) -> None:
        self._file, self._folder, self._covered = file, folder, covered
        self._commands: Sequence[Command] = [*file.process, *file.container]
        self._ports: dict[str, int] = {}
        self.hops: dict[str, str] = {}
        """Process -> ``host:port`` of the proxy in front of it."""
        self._with_secrets: list[Path] = []
        self.name_port = 0
        """Of all gateways behind the DNS name."""

    def take(self) -> None:
        """Choose every port that has to be known before anything starts. Raises `StackError` for one that is taken."""
        for command in self._commands:
            if command.port:
                where = f"{self._file.path}: process {command.name!r}"
                runs = isinstance(command, Container) and command.existing
                self._ports[command.name] = command.port if runs else require_free(command.port, where=where)
        self.name_port = free_ports(1)[0]
        for command in self._commands:
            if command.name in self._covered:
                host = command.published or self.hop_host(command)
                shared = command.published and self._file.dns is not None
                self.hops[command.name] = f"{host}:{self.name_port if shared else free_ports(1)[0]}"

    def port(self, name: str) -> int:
        """The port of a process, or of any other name, which has one from then on."""
        if name not in self._ports:
            self._ports[name] = next(port for port in free_ports(8) if port not in self._ports.values())
        return self._ports[name]

    def hop_host(self, command: Command) -> str:
        """The address that the proxy in front of a process listens on, where the file names none."""
        return LOOPBACK

    def reached_at(self, name: str) -> str:
        """``host:port`` of a process for the others, where it has no proxy."""
        return f"{self.host}:{self.port(name)}"

    def proxied_hops(self) -> list[Hop]:
        """Taps at some engines would make tries look fewer than they were, so all have one or none."""
        engines = {command.name for command in self._commands if command.role == ENGINE}
        tapped = engines if engines <= self.hops.keys() else set()
        return [
            Hop(name=name, listen=listen, upstream=f"{LOOPBACK}:{self.port(name)}", tap=name in tapped)
            for name, listen in self.hops.items()
        ]

    # ---- filled in

    def filled(self, text: str, command: Command, version: str = "") -> str:
        """A text of the file, for one of its processes, which is to serve ``version``.

        Raises `UsageError` for a placeholder that there is not, `StackError` for a hop to nowhere.
        """
        assert self._file.promises is not None
        where = f"{self._file.path}: process {command.name!r}"

        def hop(name: str) -> str:
            known = [c.name for c in self._commands if c.role != OTHER]
            if name not in known:
                raise StackError(f"no engine or gateway {name!r}", where=where, expected=", ".join(known))
            return self.hops.get(name) or self.reached_at(name)

        values: dict[str, str | Callable[[str], str]] = {
            "port": lambda name: str(self.port(name or command.name)),
            "host": self.host,
            "hop": hop,
            "hop_host": lambda name: split_host_port(hop(name))[0],
            "hop_port": lambda name: str(split_host_port(hop(name))[1]),
            "version": version or self._file.promises.version,
            "name": command.name,
            "folder": str(self._folder),
            "cache": str(cache_folder()),
            "here": str(Path(self._file.path).resolve().parent),
            "python": sys.executable,
            "env": lambda name: environment_variable(name, where=where),
        }
        return fill(text, values, where=where)

    def url(self, text: str) -> str:
        """A URL of the file. Raises `UsageError` for a placeholder that there is not."""
        values: dict[str, str | Callable[[str], str]] = {"host": self.host, "port": lambda name: str(self.port(name))}
        return fill(text, values, where=self._file.path)

    def write_files(self, on_undo: UndoKeeper) -> None:
        """The configuration files that the file has in it, below the drill's folder.

        One with a secret in it has that for as long as the stack is up: nobody else can read it (containers may run as
        anybody, so those have to), and the watchdog removes it where `hide_files` is not come to.
        """
        for file in self._file.file:
            path = self._folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            text, mode = self.filled(file.text, Command(name="file", command=[])), 0o644
            if hidden(text) != text:
                on_undo.keep("file", RemoveFile(path=str(path)))
                self._with_secrets.append(path)
                mode = mode if self._file.container else 0o600
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "w") as written:
                written.write(text)

    def hide_files(self) -> None:
        """Take secrets out of the files, when nobody reads them any more."""
        while self._with_secrets:
            path = self._with_secrets.pop()
            with contextlib.suppress(OSError):
                path.write_text(hidden(path.read_text()))
