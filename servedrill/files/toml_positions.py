"""Where keys and values of a TOML file stand; `tomllib` does not tell.

Only for text that `tomllib` has accepted: what is valid is not asked again here, so a small walk is enough.
"""

from __future__ import annotations

import bisect
import re
import tomllib

from servedrill.files.places import Key, Position

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]+")


def positions(text: str) -> tuple[dict[Key, Position], dict[Key, Position]]:
    """Path -> position of its key, and of its value."""
    walk = _Walk(text)
    walk.file()
    return walk.keys, walk.values


class _Walk:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.keys: dict[Key, Position] = {}
        self.values: dict[Key, Position] = {}
        self.tables: dict[Key, int] = {}
        """How often each ``[[table]]`` was begun."""
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def file(self) -> None:
        table: Key = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Key:
        """``[a.b]`` or ``[[a.b]]``: the path that follows it."""
        began = self.at
        several = self.text.startswith("[[", self.at)
        self.at += 2 if several else 1
        path: Key = ()
        for name, where in self._names():
            path = self._inside((*path, name))
            self.keys.setdefault(path, where)
        self.at = self.text.index("]", self.at) + (2 if several else 1)
        if several:
            while path and isinstance(path[-1], int):
                path = path[:-1]
            self.tables[path] = self.tables.get(path, -1) + 1
            path = (*path, self.tables[path])
        self.values.setdefault(path, self._position(began))
        return path

    def _inside(self, path: Key) -> Key:
        """The last element where the path is that of a ``[[table]]``."""
        return (*path, self.tables[path]) if path in self.tables else path

    def _pair(self, table: Key) -> None:
        path = table
        for name, where in self._names():
            path = (*path, name)
            self.keys.setdefault(path, where)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _names(self) -> list[tuple[str, Position]]:
        """A dotted key."""
        names = []
        while True:
            self._skip(_SPACE)
            match = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
            assert match is not None
            (name,) = tomllib.loads(f"{match[0]} = 1")
            names.append((name, self._position(self.at)))
            self.at = match.end()
            self._skip(_SPACE)
            if self.text[self.at : self.at + 1] != ".":
                return names
            self.at += 1

    def _value(self, path: Key) -> None:
        self._skip(_SPACE)
        self.values[path] = self._position(self.at)
        first = self.text[self.at]
        if first == "[":
            self.at += 1
            index = 0
            while self._goes_on("]"):
                self._value((*path, index))
                index += 1
        elif first == "{":
            self.at += 1
            while self._goes_on("}"):
                self._pair(path)
        else:
            match = (_STRING if first in "\"'" else _PLAIN).match(self.text, self.at)
            assert match is not None
            self.at = match.end()

    def _goes_on(self, end: str) -> bool:
        """Whether another element follows, with the comma before it passed; else the end is."""
        self._skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_BLANK)
        if self.text[self.at] == end:
            self.at += 1
            return False
        return True

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _position(self, at: int) -> Position:
        line = bisect.bisect_right(self.lines, at)
        return Position(line, at - self.lines[line - 1] + 1)
