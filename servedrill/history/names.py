"""Texts as small numbers, so that a column can hold them."""

from __future__ import annotations


class Names:
    """Numbers from 0, in the order of their first use."""

    def __init__(self, *first: str) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}
        for name in first:
            self.number(name)

    def number(self, name: str) -> int:
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.all)
            self.all.append(name)
        return found

    def known(self, name: str) -> int:
        """Its number; -1 where it was never used."""
        return self._numbers.get(name, -1)
