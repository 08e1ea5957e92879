"""Texts as small numbers, so that a column can hold them."""

from __future__ import annotations


class Names(dict[str, int]):
    """Numbers from 0, in the order of their first use: ``names[text]`` is the text's, a new one where it has none
    yet."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[str] = []

    def __missing__(self, name: str) -> int:
        self.all.append(name)
        self[name] = number = len(self.all) - 1
        return number
