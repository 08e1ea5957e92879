"""Everything that is wrong with files, noted where it stands, in one list.

A file is read in three steps: `servedrill.files.documents.read_documents` makes objects of it, `Mistakes.read` makes
structs of the objects, and whoever knows what they mean looks at the structs. Each step notes what is wrong and goes
on, so that all of it is known in the end. A new rule on what a file means is one `if` in the last step, with the key of
the value that it is about:

    if not 1 <= file.embedded.engines <= 16:
        mistakes.wrong(document, ("embedded", "engines"), f"is {file.embedded.engines}", expected="1 to 16")

That is all: line and column follow from the key, and what is no more than a consequence of an earlier mistake is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from servedrill.files.documents import Document
from servedrill.files.places import Key, Mistake, Position, dotted
from servedrill.files.shapes import Advice, no_advice, repaired, shape_mistakes

S = TypeVar("S", bound=msgspec.Struct)


class Mistakes:
    """What was found so far, in any number of files."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []
        self.guessed = False
        """Whether anything that was read is no more than what was probably meant."""
        self._doubtful: set[tuple[str, Position, Key]] = set()
        """Keys of objects (by file and position) whose values are fillings: what is wrong there follows from that."""

    def wrong(self, document: Document, key: Key, what: str, *, expected: str = "", hint: str = "") -> None:
        """Note that the value at ``key`` is ``what``, unless that follows from a mistake that is noted already."""
        if not self.in_doubt(document, key):
            self.found.append(Mistake(document.file, document.value_at(key), dotted(key), what, expected, hint))

    def in_doubt(self, document: Document, key: Key) -> bool:
        """Whether the value at ``key`` is not what the file says, for a mistake that is noted already."""
        return (document.file, document.at(()), key) in self._doubtful

    def read(
        self, document: Document, type_: type[S], key: Key = (), *, advice: Advice = no_advice
    ) -> tuple[S, Document]:
        """The object below ``key`` as a ``type_``, and where its parts stand.

        Everything that is wrong with its shape is noted. Where something is, it is what was probably meant, so that
        what it means can be looked at too.
        """
        found = shape_mistakes(document, type_, key, advice=advice)
        self.found += found
        below = document.below(key) if key else document
        if found:
            self.guessed = True
            guess = repaired(below, type_)
            below = guess.document
            self._doubtful |= {(document.file, document.at(()), (*key, *one)) for one in guess.doubtful}
        return msgspec.convert(below.value, type_), below

    def listed(self, paths: Sequence[Path]) -> list[Mistake]:
        """Each mistake once, in the order of the files, from top to bottom."""
        order = {str(path): index for index, path in enumerate(paths)}
        return sorted(set(self.found), key=lambda one: (order[one.file], one.position, one.what))
