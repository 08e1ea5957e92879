"""Server-sent events inside a body: where one ends, what it carries. Pure functions over bytes.

Unlike the splitters of a client, `split` keeps every byte: what passes a proxy has to come out as it went in.
"""

from __future__ import annotations

import re

EVENT_BYTES_MAX = 1024 * 1024
DONE = b"data: [DONE]\n\n"
_BLANK_LINE = re.compile(rb"\n\n|\r\n\r\n|\r\r")
_DATA_LINE = re.compile(rb"^data:[ ]?", re.MULTILINE)
_IS_DONE = re.compile(rb"^data:[ ]?\[DONE\]\s*$", re.MULTILINE)


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Whole events with their blank lines, and the rest that is not complete."""
    if buffer.endswith(b"\n\n") and buffer.count(b"\n\n") == 1 and b"\r" not in buffer:
        return [buffer], b""
    events, at = [], 0
    for blank in _BLANK_LINE.finditer(buffer):
        events.append(buffer[at : blank.end()])
        at = blank.end()
    return events, buffer[at:]


def has_data(event: bytes) -> bool:
    """Whether an event carries data, `[DONE]` included; comments and bare fields do not."""
    return event.startswith(b"data:") or _DATA_LINE.search(event) is not None


def is_done(event: bytes) -> bool:
    """Whether this is the terminal event of an OpenAI-style stream."""
    return b"[DONE]" in event and _IS_DONE.search(event) is not None


def broken(event: bytes) -> bytes:
    """The event with its JSON cut in half: what a proxy that tears buffers makes of it."""
    lines = event.split(b"\n")
    for index, line in enumerate(lines):
        if line.startswith(b"data:"):
            keep = max((len(line) - 5) // 2, 1)
            ending = b"\r" if line.endswith(b"\r") else b""
            lines[index] = line[: 5 + keep].rstrip(b"\r") + ending
            break
    return b"\n".join(lines)
