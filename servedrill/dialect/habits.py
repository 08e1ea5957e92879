"""One streamed answer as somebody hears it who wants to know how the stack talks."""

from __future__ import annotations

from collections.abc import Iterable

from servedrill.dialect.frames import NAME_MAX, NAMES_MAX, UNREADABLE, Chunk, begins, decode_chunk
from servedrill.dialect.openai import DONE
from servedrill.dialect.sse import EventSplitter, EventTooLongError
from servedrill.secrecy.known import KNOWN, cut


class Habits:
    """Takes the bytes of an event stream, and notes its habits. What is no event is left out."""

    def __init__(self, body: Iterable[bytes] = ()) -> None:
        self.models: set[str] = set()
        self.ended: set[int] = set()
        """Choices that had a finish_reason."""
        self.begun = 0
        """How often a choice began, as `servedrill.dialect.frames.begins` has it."""
        self.done = False
        self.usage = False
        self.error = ""
        """What an error event said; empty without one."""
        self._introduced: set[int] = set()
        self._events = EventSplitter()
        for piece in body:
            self.feed(piece)

    def feed(self, body: bytes) -> None:
        """More of the stream, split anywhere."""
        try:
            events = self._events.feed(body)
        except EventTooLongError:
            return
        for data in events:
            if data == DONE:
                self.done = True
                continue
            try:
                said = KNOWN.hidden_bytes(data)
                self._chunk(decode_chunk(said), said)
            except UNREADABLE:
                continue

    def _chunk(self, chunk: Chunk, data: bytes) -> None:
        if chunk.error is not None or chunk.object == "error":
            self.error = cut(data.decode(errors="replace"), 300)
        if chunk.model and len(chunk.model) <= NAME_MAX and len(self.models) < NAMES_MAX:
            self.models.add(chunk.model)
        self.usage |= chunk.usage is not None
        for choice in chunk.choices:
            part = choice.delta
            if part is not None and part.role is not None:
                says = bool(part.content or part.reasoning_content or part.reasoning or part.tool_calls)
                self.begun += begins(choice, says=says, begun=self._introduced)
            if choice.finish_reason is not None:
                self.ended.add(choice.index)
