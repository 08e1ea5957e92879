"""The known word that was probably meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALIKE_MIN = 0.6
"""Ratio of `difflib.SequenceMatcher`: two words of three letters may differ in one."""


def meant(word: str, known: Iterable[str]) -> str:
    """``did you mean 'target'?``, or nothing where no known word is near; case, ``_`` and ``-`` make no difference."""
    plain = {_plain(name): name for name in known}
    close = difflib.get_close_matches(_plain(word), sorted(plain), n=1, cutoff=_ALIKE_MIN)
    return f"did you mean {plain[close[0]]!r}?" if close else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
