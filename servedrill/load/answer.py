"""What one try has brought so far, and what that amounts to when it ends.

Pure: bytes and times go in, no sockets and no timers, so that any split of the same bytes gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from servedrill.dialect.frames import NAMES_MAX, UNREADABLE, Chunk, ErrorSeen, begins, decode_chunk, read_error
from servedrill.dialect.openai import DONE
from servedrill.dialect.sse import EventSplitter, EventTooLongError

_MIB = 1 << 20
_BODY_BYTES_MAX, _TEXT_MAX, _STREAM_BYTES_MAX = 2 * _MIB, _MIB, 64 * _MIB
"""Of a body that is no stream, of what a stream's choices say, and of all that comes as a stream; the first two for
each choice. 128,000 tokens are half a MiB of text, and 40 MiB on the wire."""
_DELTAS_MAX, _DELTAS_EACH, _DELTAS_MORE = 1 << 17, 16, 4096
"""Pieces in which a stream's content may come: where it is known how many tokens were asked for, so many for each, and
some more."""
_NEVER = 1 << 62

Ending: TypeAlias = Literal[
    "complete", "eof", "reset", "connect", "first_token_timeout", "idle_timeout", "deadline", "bad_http"
]
"""How a try ended on the wire: a whole HTTP message, the peer's end of file, a reset, no connection, the client's
patience, or something that is not HTTP."""


class AnswerTooLongError(Exception):
    """More came than any client keeps: the rest is not read."""


class Answer:
    """Collects one try's answer; `feed_stream` runs once for every read and is kept short."""

    __slots__ = (
        "_bad",
        "_begun",
        "_body",
        "_came",
        "_deltas_max",
        "_done",
        "_fingerprint",
        "_leave",
        "_leave_at",
        "_model",
        "_plain",
        "_said",
        "_splitter",
        "_texts",
        "cached_tokens",
        "completion_tokens",
        "done_frames",
        "error",
        "fingerprints",
        "finish_reasons",
        "met",
        "models",
        "n",
        "preambles",
        "prompt_tokens",
        "request_id",
        "stamps_ns",
        "status",
        "stream",
    )

    def __init__(
        self,
        *,
        stream: bool,
        n: int,
        tokens_max: int | None = None,
        done: bool = True,
        leave_at: int | None = None,
        leave: Callable[[int], None] | None = None,
    ) -> None:
        """``tokens_max``: how many were asked for, for each choice. ``done``: whether a stream has to end with
        ``[DONE]``. ``leave`` is called with the instant of the ``leave_at``-th content delta of a stream.
        """
        self.stream, self.n, self._done = stream, n, done
        self._deltas_max = _DELTAS_MAX if tokens_max is None else n * (_DELTAS_EACH * tokens_max + _DELTAS_MORE)
        self._leave_at = leave_at if leave_at is not None and leave is not None else _NEVER
        self._leave = leave or _stay
        self.status: int | None = None
        self.request_id: bytes | None = None
        """The header ``x-request-id``."""
        self.stamps_ns: list[int] = []
        """When each content delta came, of all choices."""
        self.finish_reasons: list[str | None] = [None] * n
        self.preambles = 0
        """How often a choice began: the first naming of its role, and each later one that says nothing beside it."""
        self._begun: set[int] = set()
        self.done_frames = 0
        self.models: list[str] = []
        self.fingerprints: list[str] = []
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.error: ErrorSeen | None = None
        self.met = ""
        """The bound that more came than; empty where none was met."""
        self._came = self._said = 0
        self._bad: Literal["error_event", "bad_frame"] | None = None
        self._texts: list[list[str]] = [[] for _ in range(n)]
        self._model: str | None = None
        self._fingerprint: str | None = None
        self._splitter = EventSplitter()
        self._plain = False
        self._body = bytearray()

    @property
    def texts(self) -> list[str]:
        """The content of each choice so far."""
        return ["".join(pieces) for pieces in self._texts]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing: every finish_reason and, for a stream, one [DONE] with nothing after it where the
        stack sends one."""
        if self.status != 200 or self._bad is not None or None in self.finish_reasons:
            return False
        return not self.stream or self.done_frames == 1 or not (self._done or self.done_frames)

    def feed(self, body: bytes, t_ns: int) -> None:
        """Take bytes of the response's body that arrived at ``t_ns``. Raises `AnswerTooLongError`."""
        if self.stream and self.status == 200:
            self.feed_stream(body, t_ns)
            return
        self._body += body
        if len(self._body) > _BODY_BYTES_MAX * self.n:
            self._meet(f"a body of more than {_BODY_BYTES_MAX * self.n // _MIB} MiB")

    def feed_stream(self, body: bytes, t_ns: int) -> None:
        """Take bytes of an event stream. Raises `AnswerTooLongError`."""
        self._came += len(body)
        # Nearly every read is one event, whole and plain. What is not, or comes after something that was not, goes the
        # long way; both ways read the same from the same bytes.
        if self._plain and body.find(b"\n") == len(body) - 2 and body[-2:] == b"\n\n":  # noqa: SIM102  # one line too long
            if body[:7] == b"data: {" and body.find(b"\r") < 0:
                self._chunk(body[6:], t_ns)
                return
        try:
            events = self._splitter.feed(body)
        except EventTooLongError:
            self._meet("more than 1 MiB without the end of an event")
            return
        if self._came > _STREAM_BYTES_MAX:
            self._meet(f"a stream of more than {_STREAM_BYTES_MAX // _MIB} MiB")
        for data in events:
            if self.done_frames:
                self._fail("bad_frame")  # nothing may follow the terminal frame, not even a second one
                self.done_frames += data == DONE
            elif data == DONE:
                self.done_frames = 1
            else:
                self._chunk(data, t_ns)
        self._plain = self._splitter.between_events and not self.done_frames

    def finish(self, ending: Ending, t_ns: int) -> str | None:
        """What the try amounts to, in the words of `RequestRecord.failure`; None for a whole answer.

        An answer that is whole stays so however its connection ended, as nothing that the user waits for was lost.
        """
        if self.status is None:
            return {"eof": "closed", "bad_http": "bad_frame", "complete": "closed"}.get(ending, ending)
        if self.status != 200:
            self.error = read_error(bytes(self._body))
            return f"http_{self.status}"
        if not self.stream and ending == "complete":
            self._whole_body(t_ns)
        if self._bad is not None or self.whole:
            return self._bad
        return {"eof": "cut", "complete": "cut", "bad_http": "bad_frame"}.get(ending, ending)

    def _chunk(self, data: bytes, t_ns: int) -> None:
        try:
            chunk = decode_chunk(data)
            for choice in chunk.choices:
                part = choice.delta
                content = choice.text if part is None else part.content
                if content:
                    self._texts[choice.index].append(content)
                    self._said += len(content)
                said = content or (part is not None and (part.reasoning_content or part.reasoning or part.tool_calls))
                if said:
                    self.stamps_ns.append(t_ns)
                if part is not None and part.role is not None:
                    self.preambles += begins(choice, says=bool(said), begun=self._begun)
                if choice.finish_reason is not None:
                    self.finish_reasons[choice.index] = choice.finish_reason
        except UNREADABLE:
            self._fail("bad_frame")
            return
        if chunk.model != self._model or chunk.system_fingerprint != self._fingerprint:
            self._note_origin(chunk)
        if chunk.usage is not None:
            self._note_usage(chunk)
        if chunk.error is not None or chunk.object == "error":
            self.error = read_error(data)
            self._fail("error_event")
        if len(self.stamps_ns) > self._deltas_max:
            self._meet(f"content in more than {self._deltas_max} pieces")
        if self._said > _TEXT_MAX * self.n:
            self._meet(f"a text of more than {_TEXT_MAX * self.n // _MIB} MiB")
        if len(self.stamps_ns) >= self._leave_at:
            self._leave_at = _NEVER
            self._leave(t_ns)

    def _whole_body(self, t_ns: int) -> None:
        body = bytes(self._body)
        try:
            chunk = decode_chunk(body)
            if chunk.error is not None or chunk.object == "error":
                self.error = read_error(body)
                self._fail("error_event")
                return
            for choice in chunk.choices:
                part = choice.message
                content = choice.text if part is None else part.content
                if part is not None and part.role is not None:
                    self.preambles += 1
                if content:
                    self._texts[choice.index].append(content)
                self.finish_reasons[choice.index] = choice.finish_reason
        except UNREADABLE:
            self._fail("bad_frame")
            return
        # The whole content arrives in one piece, at one instant.
        self.stamps_ns = [t_ns]
        self._note_origin(chunk)
        self._note_usage(chunk)

    def _note_origin(self, chunk: Chunk) -> None:
        self._model, self._fingerprint = chunk.model, chunk.system_fingerprint
        _note(chunk.model, self.models)  # Azure's first event names none: ""
        _note(chunk.system_fingerprint, self.fingerprints)

    def _note_usage(self, chunk: Chunk) -> None:
        usage = chunk.usage
        if usage is None:
            return
        self.prompt_tokens, self.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens = usage.prompt_tokens_details.cached_tokens

    def _meet(self, bound: str) -> None:
        """Keep nothing more, and end it."""
        self.met = self.met or bound
        self._fail("bad_frame")
        raise AnswerTooLongError(bound)

    def _fail(self, how: Literal["error_event", "bad_frame"]) -> None:
        self._bad = self._bad or how  # the first thing that went wrong names the failure


def _note(name: str | None, names: list[str]) -> None:
    if name and name not in names and len(names) < NAMES_MAX:
        names.append(name)


def _stay(t_ns: int) -> None:
    pass
