"""The word that was probably meant."""

from __future__ import annotations

import pytest

from servedrill.files.meant import meant


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("engins", "did you mean 'engines'?"),
        ("maxstall-S", "did you mean 'max_stall_s'?"),
        ("roll_back", "did you mean 'roll-back'?"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, says: str) -> None:
    """Case, dashes and underscores make no difference; a word that is like none gets no suggestion."""
    assert meant(word, ["engines", "gateways", "max_stall_s", "roll-back"]) == says
