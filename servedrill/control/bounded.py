"""Control calls whose answers are bounded: in time as a whole, in bytes before and after they are unpacked.

A timeout of a read is met by a server that sends a byte a second; what counts here is the answer, to its last byte.
Whoever asks gets an `httpx.HTTPError` that says which bound was met. Bodies are read as UTF-8, whatever their charset
says, and without secrets; cookies are not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, MutableMapping
from functools import cached_property
from typing import Any, TypeVar

import httpcore
import httpx
import msgspec

from servedrill.control.direct import direct
from servedrill.secrecy.known import KNOWN, cut

T = TypeVar("T")
BYTES_MAX = 4 << 20
"""Of a body, unpacked. What is made of JSON or of a metrics page may take twenty times that."""
_HEAD_TOO_LONG = "Receive buffer too long"


class TooMuch(httpx.TransportError):
    """An answer of more bytes than are read, or packed in a way that says nothing of how many there are."""


class TooLate(httpx.ReadTimeout):
    """An answer that came, and did not end in time."""


UNREAD_ANSWERS = (TooMuch, TooLate, httpx.DecodingError)
"""What came, and was not read: unlike all other errors of a call these say nothing of who could not be reached."""


def client(*, timeout_s: float, bytes_max: int = BYTES_MAX) -> httpx.Client:
    """A client whose ``timeout``, and that of each of its calls, is for the answer as a whole."""
    return httpx.Client(timeout=timeout_s, transport=_Direct(bytes_max), trust_env=False, headers=_UNPACKED)


def async_client(*, timeout_s: float, total_s: float, bytes_max: int = BYTES_MAX) -> httpx.AsyncClient:
    """A client that waits ``timeout_s`` for anything to come, and ``total_s`` for the answer as a whole, or as long as
    a call says."""
    transport = _AsyncDirect(total_s, bytes_max)
    return httpx.AsyncClient(timeout=timeout_s, transport=transport, trust_env=False, headers=_UNPACKED)


def call(method: str, url: str, *, timeout_s: float, by_proxy: bool = False, **more: Any) -> httpx.Response:
    """One call with a connection of its own; ``by_proxy``: through the one that the environment names, if any.

    ``more`` as `httpx.request`. Raises `httpx.HTTPError`.
    """
    transport = _Direct(BYTES_MAX, proxy=_proxy_for(url) if by_proxy else None)
    with httpx.Client(timeout=timeout_s, transport=transport, trust_env=False, headers=_UNPACKED) as http:
        return http.request(method, url, **more)


def read(response: httpx.Response, type_: type[T]) -> T:
    """The JSON of an answer as what it has to be. Raises `httpx.DecodingError` for any other."""
    try:
        return msgspec.json.decode(response.content, type=type_)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # 10 kB of ``[[[[`` are too deep
        raise httpx.DecodingError(f"an answer that is none: {error}") from error


def told(error: Exception) -> str:
    """What an error of a call says; its kind where it says nothing."""
    return str(error) or type(error).__name__


def refused(error: BaseException | None) -> bool:
    """Whether nobody listens there, as far as an error of a call says."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


_UNPACKED = {"accept-encoding": "identity"}


class _Answer(httpx.Response):
    """A response without secrets, whose text is UTF-8 whatever else its head says: ``charset=hex`` names a codec, and
    no text."""

    @cached_property
    def content(self) -> bytes:  # read once, and looked through once
        return KNOWN.hidden_bytes(super().content)

    @property
    def charset_encoding(self) -> None:
        return None


class _Meter:
    """Counts the bytes of one body, and unpacks it."""

    def __init__(self, packed: str, bytes_max: int) -> None:
        """Raises `TooMuch` for a way to pack that was not asked for and is not read."""
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise TooMuch(f"packed as {cut(packed, 40)!r}, which was not asked for")
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed not in ("", "identity") else None
        self._came = self._unpacked = 0
        self._bytes_max = bytes_max

    def take(self, part: bytes) -> bytes:
        """A part as it was before it was packed. Raises `TooMuch`, `httpx.DecodingError`."""
        self._came += len(part)
        if self._unpacker is not None:
            try:
                part = self._unpacker.decompress(part, self._bytes_max - self._unpacked + 1)
            except zlib.error as error:
                raise httpx.DecodingError(f"packed, and cannot be unpacked: {error}") from error
        self._unpacked += len(part)
        if max(self._came, self._unpacked) > self._bytes_max:
            raise TooMuch(f"a body of more than {self._bytes_max >> 20} MiB")
        return part


def _answer(
    request: httpx.Request, status: int, headers: list[tuple[bytes, bytes]], stream: Any, more: MutableMapping[str, Any]
) -> _Answer:
    """Without what would be kept (cookies), was done already (unpacking), or leads to no address."""
    names = {b"set-cookie", b"content-encoding"}
    if not all(_leads(request.url, value) for name, value in headers if name.lower() == b"location"):
        names.add(b"location")
    kept = [(name, KNOWN.hidden_bytes(value)) for name, value in headers if name.lower() not in names]
    return _Answer(status_code=status, headers=kept, stream=stream, extensions=dict(more))


def _leads(url: httpx.URL, location: bytes) -> bool:
    try:
        url.join(location.decode("ascii"))
    except (httpx.InvalidURL, ValueError):
        return False
    return True


def _packed(headers: Iterable[tuple[bytes, bytes]]) -> str:
    ways = [value.decode("latin-1").strip().lower() for name, value in headers if name.lower() == b"content-encoding"]
    return ", ".join(ways)


def _too_late(total_s: float) -> str:
    return f"no whole answer within {total_s:g} s"


# ---- whoever waits


class _Direct(httpx.BaseTransport):
    """To the host that is asked, and no other. What httpcore takes for timeouts are instants here: see `_Stream`."""

    def __init__(self, bytes_max: int, *, proxy: httpx.URL | None = None) -> None:
        self._bytes_max = bytes_max
        shared: dict[str, Any] = {"ssl_context": direct()["verify"], "network_backend": _Backend()}
        self._pool = httpcore.ConnectionPool(**shared)
        if proxy is not None:
            who = (proxy.username.encode(), proxy.password.encode()) if proxy.userinfo else None
            self._pool = httpcore.HTTPProxy(_url(proxy), proxy_auth=who, **shared)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `httpx.HTTPError`."""
        waits = request.extensions.get("timeout") or {}
        total_s: float = waits.get("read") or 60.0
        until = time.monotonic() + total_s
        asked = httpcore.Request(
            request.method,
            _url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": {"connect": until, "read": until, "write": until, "pool": total_s}},
        )
        with _as_httpx(total_s):
            response = self._pool.handle_request(asked)
        try:
            meter = _Meter(_packed(response.headers), self._bytes_max)
        except TooMuch:
            response.close()
            raise
        body = _Body(response, meter, total_s)
        return _answer(request, response.status, response.headers, body, response.extensions)

    def close(self) -> None:
        """All connections."""
        self._pool.close()


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, meter: _Meter, total_s: float) -> None:
        self._response, self._meter, self._total_s = response, meter, total_s

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._total_s):
            for part in self._response.iter_stream():
                yield self._meter.take(part)

    def close(self) -> None:
        self._response.close()


class _Stream(httpcore.NetworkStream):
    """A connection whose timeouts are instants of `time.monotonic`: the same one for every read of an answer."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: Any = None) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: Any = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        found = httpcore.SyncBackend().connect_tcp(host, port, _left(timeout), local_address, socket_options)
        return _Stream(found)


def _left(until: float | None) -> float | None:
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left


@contextlib.contextmanager
def _as_httpx(total_s: float) -> Iterator[None]:
    """Errors of httpcore as those of the same name."""
    try:
        yield
    except httpcore.ReadTimeout as error:
        raise TooLate(_too_late(total_s)) from error
    except httpcore.TimeoutException as error:
        raise getattr(httpx, type(error).__name__)(_too_late(total_s)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        _raise_if_too_long(error)
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def _raise_if_too_long(error: Exception) -> None:
    if str(error) == _HEAD_TOO_LONG:  # h11's limit, for a line of a chunked body as well
        raise TooMuch("a head, or a line between two chunks, of more than 100 kB") from error


def _proxy_for(url: str) -> httpx.URL | None:
    """As the environment has it (``HTTPS_PROXY``, ``NO_PROXY`` and their like)."""
    parts = httpx.URL(url)
    found = urllib.request.getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.netloc.decode("ascii")):
        return None
    return httpx.URL(proxy if "://" in proxy else f"http://{proxy}")


# ---- who does not wait


class _AsyncDirect(httpx.AsyncBaseTransport):
    def __init__(self, total_s: float, bytes_max: int) -> None:
        self._total_s, self._bytes_max = total_s, bytes_max
        limits = httpx.Limits(max_keepalive_connections=40)
        self._transport = httpx.AsyncHTTPTransport(verify=direct()["verify"], trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        waits = request.extensions.get("timeout") or {}
        total_s = max(self._total_s, waits.get("read") or 0.0)
        until = asyncio.get_running_loop().time() + total_s
        async with _in_time(until, total_s):
            response = await self._transport.handle_async_request(request)
        try:
            meter = _Meter(_packed(response.headers.raw), self._bytes_max)
        except TooMuch:
            await response.aclose()
            raise
        body = _AsyncBody(response.stream, meter, until, total_s)
        return _answer(request, response.status_code, response.headers.raw, body, response.extensions)

    async def aclose(self) -> None:
        await self._transport.aclose()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, stream: Any, meter: _Meter, until: float, total_s: float) -> None:
        self._stream, self._meter, self._until, self._total_s = stream, meter, until, total_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self._stream)
        while True:
            async with _in_time(self._until, self._total_s):
                try:
                    part = await anext(parts)
                except StopAsyncIteration:
                    return
            yield self._meter.take(part)

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextlib.asynccontextmanager
async def _in_time(until: float, total_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError as error:
        raise TooLate(_too_late(total_s)) from error
    except httpx.RemoteProtocolError as error:
        _raise_if_too_long(error)
        raise
