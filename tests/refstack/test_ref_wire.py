"""Server-sent events, cut out of a byte stream."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from servedrill.refstack import wire

BLOCKS = [b"data: a", b"data: ", b": ping", b"event: x", b'data: {"a": "\xc3\xa9"}', b"data: [DONE]"]


@given(
    st.lists(st.sampled_from(BLOCKS), max_size=8),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_events_do_not_depend_on_how_they_were_cut(blocks: list[bytes], newline: bytes, cuts: list[int]) -> None:
    """The same events are found wherever the byte stream is cut."""
    data = b"".join(block + newline * 2 for block in blocks)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    splitter = wire.EventSplitter()
    found = [event for start, end in pairwise(edges) for event in splitter.feed(data[start:end])]
    assert found == [block[6:] for block in blocks if block.startswith(b"data: ")]
    assert splitter.empty
    splitter.feed(b"data: half")
    assert not splitter.empty
