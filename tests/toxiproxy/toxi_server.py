"""A fault proxy in a process of its own, as the proxy's tests drive it: by its API, and by sockets through it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from toxi_peers import TIMEOUT_S, HttpPeer, Peer, Response, get

from servedrill.host.clock import wait_for
from servedrill.toxiproxy.addresses import split_host_port


class Server:
    """A fault proxy in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        port_file = folder / "port"
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "servedrill.toxiproxy", "--port", "0", "--port-file", str(port_file), *options],
                stderr=log,
                env={**os.environ, "PYTHONDEVMODE": ""},
            )
        wait_for(lambda: port_file.exists() or self.process.poll() is not None, what="port file", within_s=30)
        assert port_file.exists(), self.log.read_text()
        self.port = int(port_file.read_text())

    def raw(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, _, raw = self.raw(method, path, None if body is None else json.dumps(body).encode())
        return status, json.loads(raw) if raw.startswith((b"{", b"[")) else raw.decode()

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def proxy(self, name: str, upstream: str, **more: Any) -> Proxy:
        status, body = self.call("POST", "/proxies", {"name": name, "upstream": upstream, **more})
        assert status == 201, body
        return Proxy(self, name, body["listen"])

    def clear(self) -> None:
        for name in self.get("/proxies"):
            self.call("DELETE", f"/proxies/{quote(name, safe='')}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT_S)


class Proxy:
    """One proxy of a server, by its name."""

    def __init__(self, server: Server, name: str, listen: str) -> None:
        self.server, self.name, self.listen = server, name, listen
        self.address = split_host_port(listen)
        self.path = f"/proxies/{name}"

    def connect(self, **options: int) -> Peer:
        sock = socket.socket()
        sock.settimeout(TIMEOUT_S)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        try:
            sock.connect(self.address)
        except OSError:
            sock.close()
            raise
        return Peer(sock)

    def add(self, type_name: str, attributes: dict[str, Any] | None = None, **more: Any) -> str:
        body = {"type": type_name, "attributes": attributes or {}, **more}
        status, answer = self.server.call("POST", f"{self.path}/toxics", body)
        assert status == 200, answer
        return str(answer["name"])

    def change(self, toxic: str, **body: Any) -> Any:
        status, answer = self.server.call("PATCH", f"{self.path}/toxics/{toxic}", body)
        assert status == 200, answer
        return answer

    def remove(self, toxic: str) -> None:
        status, answer = self.server.call("DELETE", f"{self.path}/toxics/{toxic}")
        assert status == 204, answer

    def evidence(self, toxic: str) -> Any:
        return self.server.get(f"{self.path}/toxics/{toxic}/evidence")

    def http(self) -> HttpPeer:
        return HttpPeer(self.connect())

    def fetch(self, path: str) -> Response:
        """One answer, on a connection of its own."""
        with self.http() as client:
            return client.fetch(get(path))

    def stats(self) -> Any:
        return self.server.get(f"{self.path}/stats")["stats"]

    def exchanges(self, since: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.get(f"{self.path}/exchanges?since={since}")["exchanges"]
        return found

    def quiet(self) -> None:
        wait_for(lambda: self.stats()["connections"] == 0, what=f"no connection on {self.name}", within_s=TIMEOUT_S)
