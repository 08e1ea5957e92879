"""A server that answers as nobody should: each way is one small function over a raw connection.

    with hostile({"metrics": BODIES["200 MB"]}) as url: ...

What is not named is answered as a well-behaved server does.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["stream", "whole", "models", "metrics", "health", "alerts", "any"]
"""Which questions are answered so."""
_PIECE = b"x" * 65536
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    """A request as it was read."""

    method: str
    path: str
    body: dict[str, Any]

    @property
    def place(self) -> Place:
        if self.method == "POST":
            return "stream" if self.body.get("stream") else "whole"
        known: dict[str, Place] = {"/v1/models": "models", "/metrics": "metrics", "/health": "health"}
        return known.get(self.path.partition("?")[0], "alerts")


class Peer:
    """One connection; whatever is sent to one that has left ends the answer."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self._sock, self.over = sock, over

    def send(self, *pieces: bytes) -> None:
        self._sock.sendall(b"".join(pieces))

    def drip(self, data: bytes, *, every_s: float = 0.05) -> None:
        """A byte at a time."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.over.wait(every_s):
                return

    def flood(self, piece: bytes) -> None:
        """For as long as it is read."""
        piece *= max(1, 65536 // len(piece))
        while not self.over.is_set():
            self.send(piece)

    def silence(self) -> None:
        """Until the other side leaves."""
        self._sock.settimeout(0.2)
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                if not self._sock.recv(65536):
                    return


Mode = Callable[[Peer, Asked], None]


def head(length: int | None, *lines: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A head with these lines; without a length the body is chunked."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return "\r\n".join([f"HTTP/1.1 {status}", f"content-type: {kind}", size, *lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def plain(body: bytes, *lines: str, **more: Any) -> bytes:
    """A whole answer."""
    return head(len(body), *lines, **more) + body


def event(choices: Any, **more: Any) -> bytes:
    """One event of a stream."""
    return chunk(b"data: " + json.dumps({"model": "m", "choices": choices, **more}).encode() + b"\n\n")


def says(asked: Asked, word: str = " w") -> list[dict[str, Any]]:
    """A choice that says one word, on the route that was asked."""
    said = {"delta": {"content": word}} if _chat(asked) else {"text": word}
    return [{"index": 0, **said}]


def _chat(asked: Asked) -> bool:
    return asked.path.endswith("chat/completions")


def well(peer: Peer, asked: Asked) -> None:
    """As a well-behaved server answers."""
    tokens = int(asked.body.get("max_tokens") or 4)
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    match asked.place:
        case "stream":
            begin = [event([{"index": 0, "delta": {"role": "assistant", "content": ""}}])] if _chat(asked) else []
            parts = [*begin, *(event(says(asked)) for _ in range(tokens))]
            end = [{**says(asked, "")[0], "finish_reason": "length"}]
            last = [event(end), event([], usage=usage), chunk(b"data: [DONE]\n\n"), chunk(b"")]
            peer.send(SSE, *parts, *last)
        case "whole":
            text = " w" * tokens
            choice = {"index": 0, "text": text, "finish_reason": "length"}
            if _chat(asked):
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
            peer.send(plain(json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()))
        case "models":
            peer.send(plain(b'{"object": "list", "data": [{"id": "m"}]}'))
        case "metrics":
            page = b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n"
            peer.send(plain(page, kind="text/plain; version=0.0.4"))
        case "health":
            peer.send(plain(b""))
        case _:
            peer.send(plain(b"[]"))


@contextlib.contextmanager
def hostile(modes: Mapping[Place, Mode], *, well_first: int = 0) -> Iterator[str]:
    """The server's URL; the first answers of each place may be good ones."""
    over, counts, lock = threading.Event(), dict[str, int](), threading.Lock()

    def mode_of(asked: Asked) -> Mode:
        with lock:
            counts[asked.place] = counts.get(asked.place, 0) + 1
            bad = counts[asked.place] > well_first
        return modes.get(asked.place, modes.get("any", well)) if bad else well

    def serve(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, ValueError):
            sock.settimeout(60)
            file = sock.makefile("rb")
            while (asked := _read(file)) is not None:
                mode = mode_of(asked)
                mode(Peer(sock, over), asked)
                if mode is not well:
                    return

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        threads = [threading.Thread(target=_accept, args=(listening, serve), daemon=True)]
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            threads[0].join(30)


def _accept(listening: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def _read(file: Any) -> Asked | None:
    first = file.readline(65536).decode("latin-1").split()
    if len(first) < 2:
        return None
    length = 0
    while (line := file.readline(65536).strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = json.loads(file.read(length)) if length else {}
    return Asked(first[0], first[1], body)


# ---- heads


def _then(*pieces: bytes, forever: bytes = b"", drip: bytes = b"", stay: bool = False) -> Mode:
    """Sends these, and then one thing for ever, or a byte at a time, or nothing more."""

    def mode(peer: Peer, asked: Asked) -> None:
        peer.send(*pieces)
        if drip:
            peer.drip(drip)
        if forever:
            peer.flood(forever)
        if stay:
            peer.silence()

    return mode


OK = b"HTTP/1.1 200 OK\r\n"
HEADS: dict[str, Mode] = {
    "nothing, and open": _then(stay=True),
    "nothing, and closed": _then(),
    "a head that drips": _then(drip=OK + b"x-a: " + b"b" * 100_000),
    "headers without end": _then(OK, forever=b"x-a: b\r\n"),
    "one header without end": _then(OK + b"x-a: ", forever=b"b"),
    "interim answers without end": _then(forever=b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "a reason without end": _then(b"HTTP/1.1 200 ", forever=b"O"),
    "another protocol": _then(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP/2": _then(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "noise": _then(bytes(range(256)) * 64),
    "status 999": _then(plain(b"{}", status="999 So")),
    "status 099": _then(plain(b"{}", status="099 So")),
    "status of ten digits": _then(plain(b"{}", status="2000000000 So")),
    "another protocol from here on": _then(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", stay=True),
    "two lengths": _then(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    "length below 0": _then(OK + b"content-length: -1\r\n\r\n{}"),
    "length of 40 digits": _then(OK + b"content-length: " + b"9" * 40 + b"\r\n\r\n{}", stay=True),
    "length and chunks": _then(OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "a NUL in a header": _then(OK + b"x-a: \0\r\ncontent-length: 2\r\n\r\n{}"),
    "a header without a name": _then(OK + b": b\r\ncontent-length: 2\r\n\r\n{}"),
    "leads to itself": _then(plain(b"", "location: /metrics", status="307 So")),
    "leads nowhere": _then(plain(b"", "location: http://[::1", status="307 So")),
    "leads to a port that is none": _then(plain(b"", "location: http://a:99999999/", status="308 So")),
    "cookies": _then(plain(b"", *(f"set-cookie: c{number}={'v' * 900}" for number in range(90)), status="500 So")),
}

# ---- bodies

_BOMB = gzip.compress(b"\0" * (200 << 20), 9)
BODIES: dict[str, Mode] = {
    "a body that drips": _then(head(100_000), drip=b" " * 100_000),
    "200 MB": _then(head(200 << 20), *[_PIECE] * 64, forever=_PIECE),
    "chunks without end": _then(head(None), forever=chunk(b"x" * 1000)),
    "until it closes, which it never does": _then(OK + b"\r\n", forever=_PIECE),
    "a chunk's extension without end": _then(head(None) + b"5;", forever=b"a=b;"),
    "chunks with long extensions": _then(head(None), forever=b"1;" + b"a" * 60_000 + b"\r\nx\r\n"),
    "trailers without end": _then(head(None) + b"2\r\n{}\r\n0\r\n", forever=b"x-a: b\r\n"),
    "a chunk of 16 digits": _then(head(None) + b"ffffffffffffffff\r\n", forever=_PIECE),
    "a chunk of no size": _then(head(None) + b"zz\r\n{}\r\n"),
    "gzip bomb": _then(head(len(_BOMB), "content-encoding: gzip") + _BOMB),
    "deflate bomb": _then(head(None, "content-encoding: deflate") + chunk(zlib.compress(b"\0" * (200 << 20)))),
    "gzip in gzip": _then(plain(gzip.compress(_BOMB), "content-encoding: gzip, gzip")),
    "no gzip": _then(plain(b"{}", "content-encoding: gzip")),
    "br": _then(plain(b"\x8b\x00\x80{}\x03", "content-encoding: br")),
    "zstd": _then(plain(b"\x28\xb5\x2f\xfd", "content-encoding: zstd")),
    "longer than its length": _then(head(2) + b"{}", forever=b"{}"),
    "shorter than its length": _then(head(1000) + b"{}"),
    "empty": _then(plain(b"")),
    "too deep": _then(plain(b"[" * 100_000)),
    "a list": _then(plain(b"[]")),
    "a list of numbers": _then(plain(b"[1, 2, 3]")),
    "null": _then(plain(b"null")),
    "a text": _then(plain(b'"no"')),
    "fields of other kinds": _then(plain(b'{"choices": 1, "data": 2, "model": 3, "usage": 4, "error": 5}')),
    "a number of 10,000 digits": _then(plain(b'{"a": ' + b"9" * 10_000 + b"}")),
    "a number that is none": _then(plain(b'{"a": NaN}')),
    "half a pair": _then(plain(b'{"model": "\\ud800", "choices": [{"text": "\\udfff"}]}')),
    "no UTF-8": _then(plain(b'{"model": "\xff\xfe"}')),
    "UTF-16": _then(plain('{"a": 1}'.encode("utf-16"))),
    "a million objects": _then(plain(b"[" + b",".join([b"{}"] * 1_000_000) + b"]")),
    "charset=hex": _then(plain(b"zz", kind="text/plain; charset=hex")),
    "charset=idna": _then(plain(b"\xff.", kind="text/plain; charset=idna")),
    "charset=undefined": _then(plain(b"a", kind="text/plain; charset=undefined")),
    "charset of nobody": _then(plain(b"a", kind="text/plain; charset=\0")),
}

# ---- streams


def _events(*events: bytes, forever: bytes = b"", stay: bool = False) -> Mode:
    return _then(SSE, *events, forever=forever, stay=stay)


_WORD = event([{"index": 0, "delta": {"content": " w"}, "text": " w"}])
_END = event([{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}]) + chunk(b"data: [DONE]\n\n")


def _said(**choice: Any) -> bytes:
    return event([{"index": 0, **choice}])


def _names(peer: Peer, asked: Asked) -> None:
    peer.send(SSE)
    for number in range(1 << 30):
        peer.send(event([{"index": 0, "delta": {"content": "w"}}], model=f"m{number}", system_fingerprint=f"f{number}"))


STREAMS: dict[str, Mode] = {
    "a line without end": _events(chunk(b"data: "), forever=chunk(b"x" * 1000)),
    "an event without end": _events(forever=chunk(b"data: x\n" * 100)),
    "comments without end": _events(forever=chunk(b": still here\n\n" * 50)),
    "carriage returns": _events(forever=chunk(b"\r" * 1000)),
    "tokens without end": _events(forever=_WORD),
    "long tokens without end": _events(forever=_said(delta={"content": "w" * 300_000})),
    "names without end": _names,
    "roles without end": _events(forever=_said(delta={"role": "assistant"})),
    "ends without end": _events(forever=_END),
    "tokens after the end": _events(_WORD, _END, forever=_WORD),
    "open after the end": _events(_WORD, _END, stay=True),
    "open in the middle": _events(_WORD, stay=True),
    "a token that drips": _then(SSE, drip=_WORD * 1000),
    "events of nothing": _events(forever=chunk(b"data:\n\n" * 100)),
    "no JSON": _events(chunk(b"data: {nonsense\n\n"), chunk(b"")),
    "an event too deep": _events(chunk(b"data: " + b"[" * 100_000 + b"\n\n"), chunk(b"")),
    "an event of a million objects": _events(chunk(b"data: [" + b"{}," * 300_000 + b"{}]\n\n"), chunk(b"")),
    "a choice beyond all": _events(event([{"index": 10**20, "delta": {"content": "w"}}]), chunk(b"")),
    "a choice nobody asked for": _events(event([{"index": 9, "delta": {"content": "w"}}]), chunk(b"")),
    "content that is a number": _events(_said(delta={"content": 7}), chunk(b"")),
    "a choice that is a text": _events(event("no"), chunk(b"")),
    "an end that is a number": _events(_said(delta={}, finish_reason=9), chunk(b"")),
    "half a character in a token": _events(chunk(b'data: {"choices":[{"text":"\xff"}]}\n\n'), chunk(b"")),
    "half a pair in a token": _events(chunk(b'data: {"choices":[{"text":"\\ud800"}]}\n\n'), chunk(b"")),
    "usage beyond all": _events(_WORD, event([], usage={"prompt_tokens": 1e999, "completion_tokens": -1}), _END),
    "an error in its midst": _events(_WORD, chunk(b'data: {"error": {"message": "\\u001b[2J"}}\n\n'), chunk(b"")),
    "NULs": _events(chunk(b"\0" * 65536), forever=chunk(b"\0" * 1000)),
    "a gzip stream": _then(SSE.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(_BOMB)),
}
