"""What the API server and the core say to each other: length-prefixed MessagePack over a socket pair."""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec

_LENGTH = struct.Struct("<I")


class Submit(msgspec.Struct, tag="submit", kw_only=True):
    """Generate for one request; one sequence a choice."""

    id: str
    model: str
    prompt: list[str]
    n: int
    max_tokens: int
    temperature: float | None
    top_p: float = 1.0
    seed: int = 0
    ignore_eos: bool = False
    stop: list[str] = []
    logprobs: bool = False
    adapter: str = ""
    """The adapter's revision for this answer, whatever is loaded under its name later; empty: the base model."""
    continues: int = 0
    """How many tokens at the end of the prompt are an answer to be continued."""


class Abort(msgspec.Struct, tag="abort"):
    """The client is gone; ``ids`` are requests."""

    ids: list[str]


class Ping(msgspec.Struct, tag="ping"):
    """Asks for a sign of life."""

    number: int


class Load(msgspec.Struct, tag="load"):
    """Serve this version from now on."""

    version: str


class Sleep(msgspec.Struct, tag="sleep"):
    """Give the memory of weights and cache back; ``level`` 1 or 2 is only told on, by the gauge of sleep states."""

    level: int


class Wake(msgspec.Struct, tag="wake"):
    """Take the memory again and serve."""


class LoadAdapter(msgspec.Struct, tag="load_adapter"):
    """Serve an adapter under ``name``; ``path`` is its revision."""

    name: str
    path: str


class UnloadAdapter(msgspec.Struct, tag="unload_adapter"):
    """Serve the adapter no longer."""

    name: str


class ResetPrefixCache(msgspec.Struct, tag="reset_prefix_cache"):
    """Empty the prefix cache."""


class Token(msgspec.Struct, array_like=True):
    """One step's result for one sequence: text (may be empty while a stop string is being matched) and how it ended."""

    id: str
    choice: int
    text: str
    tokens: int
    finish: str | None
    cached: int
    logprob: tuple[str, float] | None = None
    """The token and its log-probability, where the request asked for it."""


class Stats(msgspec.Struct, array_like=True):
    """What the core's gauges say."""

    running: int
    waiting: int
    blocks_held: int
    preemptions: int
    generated_tokens: int
    prompt_tokens: int
    cache_queries: int
    cache_hits: int
    steps: int
    sleeping: int
    memory_bytes: int
    aborted: int


class Step(msgspec.Struct, tag="step"):
    """The tokens of one step, and the gauges where they are due."""

    tokens: list[Token]
    stats: Stats | None


class Done(msgspec.Struct, tag="done"):
    """A control message was carried out, or not."""

    ok: bool
    detail: str
    version: str
    adapters: dict[str, str]


class Pong(msgspec.Struct, tag="pong"):
    """The answer to a `Ping`."""

    number: int


class Ready(msgspec.Struct, tag="ready"):
    """Progress of loading: ``loaded`` weights are in memory, ``warm`` steps run at speed."""

    version: str
    loaded: bool
    warm: bool
    error: str = ""


ToCore: TypeAlias = Submit | Abort | Ping | Load | Sleep | Wake | LoadAdapter | UnloadAdapter | ResetPrefixCache
FromCore: TypeAlias = Step | Done | Pong | Ready

_encoder = msgspec.msgpack.Encoder()


def pack(message: ToCore | FromCore) -> bytes:
    """The message's length, 4 bytes little-endian, and its MessagePack."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Cuts a byte stream back into message bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are whole by now."""
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if len(self._buffer) - start - 4 < length:
                break
            bodies.append(bytes(self._buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del self._buffer[:start]
        return bodies
