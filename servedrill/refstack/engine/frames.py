"""The frames of an answer: preamble, deltas, end, usage, [DONE], or an error event and [DONE]."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from servedrill.refstack import wire


class Frames:
    """Writes one answer's frames, for the chat route or the completions route."""

    policy = "frames"

    def __init__(self, *, request_id: str, route: str, model: str, version: str) -> None:
        self.request_id, self.route, self.model, self.version = request_id, route, model, version
        self.created = int(time.time())
        chat = route == "chat"
        head = {
            "id": ("chatcmpl-" if chat else "cmpl-") + request_id,
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": self.created,
            "model": model,
            "system_fingerprint": version,
        }
        self._head = b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":[{"index":'

    def preamble(self, choice: int) -> bytes:
        """The chunk that opens a choice; only the chat route has one."""
        if self.route != "chat":
            return b""
        return (
            self._head
            + b'%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n' % choice
        )

    def delta(self, choice: int, text: str, finish: str | None) -> bytes:
        """New text of a choice, and how the choice ended if it did."""
        end = b'"' + finish.encode() + b'"' if finish else b"null"
        content = msgspec.json.encode(text)
        if self.route == "chat":
            body = b'"delta":{"content":' + content + b"}" if text else b'"delta":{}'
        else:
            body = b'"text":' + content
        return self._head + b"%d," % choice + body + b',"logprobs":null,"finish_reason":' + end + b"}]}\n\n"

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk with the token counts, where the client asked for it."""
        return (
            self._head.rsplit(b',"choices"', 1)[0] + b',"choices":[],"usage":' + msgspec.json.encode(usage) + b"}\n\n"
        )

    def done(self) -> bytes:
        """The terminal frame."""
        return wire.DONE

    def error(self, status: int, message: str, code: str) -> bytes:
        """How a stream that has begun ends when it cannot go on; `done` follows."""
        return wire.event(wire.error_object(status, message, code=code, request_id=self.request_id))

    def whole(self, texts: list[str], finishes: list[str | None], usage: dict[str, Any]) -> bytes:
        """The body of an answer that is not streamed."""
        chat = self.route == "chat"
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": finish}
            if chat
            else {"index": i, "text": text, "logprobs": None, "finish_reason": finish}
            for i, (text, finish) in enumerate(zip(texts, finishes, strict=True))
        ]
        return msgspec.json.encode(
            {
                "id": ("chatcmpl-" if chat else "cmpl-") + self.request_id,
                "object": "chat.completion" if chat else "text_completion",
                "created": self.created,
                "model": self.model,
                "system_fingerprint": self.version,
                "choices": choices,
                "usage": usage,
            }
        )
