"""toxiproxy-python with our calls below it: its own wait for ever and read whatever comes.

The library keeps its server's address in a class for all. Ours takes its place for as long as a block lasts, so that
who uses the library beside a drill finds it as it was.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy import Toxiproxy

from servedrill.control.bounded import call, read, told
from servedrill.errors import FaultError
from servedrill.host.addresses import join_host_port, split_host_port
from servedrill.secrecy.known import cut, text

_WITHIN_S = 5.0
_one_at_a_time = threading.Lock()


class _Refusal(msgspec.Struct, frozen=True):
    error: str


def error_of(answer: httpx.Response) -> str:
    """What a server says is wrong; its status and the beginning of what it said where that is no error of its API."""
    try:
        return text(read(answer, _Refusal).error)
    except httpx.HTTPError:
        return f"HTTP {answer.status_code} {cut(answer.text, 200).strip()}".strip()


class _Calls:
    """Stands for the library's ``APIConsumer``."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{join_host_port(*split_host_port(address))}"

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self._call("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self._call("POST", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self._call("DELETE", path, **more)

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = call(method, f"{self._url}{path}", timeout_s=_WITHIN_S, **more)
        if answer.status_code >= 400:
            raise FaultError(error_of(answer))
        return answer


@contextlib.contextmanager
def toxiproxy_at(address: str) -> Iterator[Toxiproxy]:
    """The library's client of the server at ``host:port``, whose proxies are to be used in the block as well.

    Raises `FaultError` for whatever the block raises: the library's exceptions share no base, and it trusts every
    answer.
    """
    with _one_at_a_time:
        before = toxiproxy.server.APIConsumer, toxiproxy.proxy.APIConsumer
        toxiproxy.server.APIConsumer = toxiproxy.proxy.APIConsumer = _Calls(address)
        try:
            yield Toxiproxy()
        except FaultError:
            raise
        except Exception as error:
            raise FaultError(f"the fault proxy at {address}: {cut(told(error), 300)}") from error
        finally:
            toxiproxy.server.APIConsumer, toxiproxy.proxy.APIConsumer = before
