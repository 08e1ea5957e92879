"""Text at the border to where it is drawn: what would steer a terminal, or turn the order of what is read, is shown as
an escape and not sent.

A stack names its models, and may name one ``\\x1b[2J``.
"""

from __future__ import annotations

import json
import re

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment

_UNSEEN = r"\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
"""Delete and C1, marks and overrides of direction, what nobody sees, half characters."""
_HIDDEN = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}\U000e0000-\U000e007f]")
_IN_JSON = re.compile(rf"\\\\|\\u00[01][0-9a-f]|\\[bfr]|[{_UNSEEN}\U000e0000-\U000e007f]")


def shown(text: str) -> str:
    """The text with each such character as Python writes it, ``\\x1b``; ends of lines and tabs stay."""
    return _HIDDEN.sub(lambda match: _escape(match[0]), text)


def shown_json(text: str) -> str:
    """JSON whose strings, when they are read, are `shown`."""

    def escaped(match: re.Match[str]) -> str:
        found = match[0]
        if found == r"\\":
            return found
        return "\\" + _escape(json.loads(f'"{found}"'))

    return _IN_JSON.sub(escaped, text)


def showing(console: Console) -> Console:
    """The same console; whatever is printed on it is `shown`."""
    console.push_render_hook(_Hook())
    return console


class Drawn(ConsoleRenderable):
    """What another renderable draws, `shown`; rich's own movements of the cursor are sent."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Segment by segment."""
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Drawn(one) for one in renderables]


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
