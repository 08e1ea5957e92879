"""The history file: appended by many at once, readable after any crash."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servedrill.errors import UsageError
from servedrill.history import events as e
from servedrill.history.journal import Journal, read_events, write_events

WRITER = """
import sys
from pathlib import Path
from servedrill.history.events import Observed
from servedrill.history.journal import Journal

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
journal = Journal(path)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    padding = name * (1 + number * 7919 % 3000)
    journal.append(
        Observed(t_ns=number, name=name, value=number, detail={"padding": padding}),
        Observed(t_ns=number, name=name, value=-number, detail={"second": True}),
    )
"""


def noted(number: int, *, name: str = "n", **detail: Any) -> e.Observed:
    return e.Observed(t_ns=number, name=name, value=number, detail=detail)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.jsonl"


def test_lines_of_several_processes_never_mix(path: Path) -> None:
    """Four processes append a thousand pieces at once: each is there, whole, and its two lines stand together."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, "250"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=300)
        assert writer.returncode == 0
    lines = [msgspec.json.decode(line, type=e.Observed) for line in path.read_bytes().splitlines()]
    assert len(lines) == 2000
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert (second.name, second.value, second.detail) == (first.name, -first.value, {"second": True})
        assert set(first.detail["padding"]) == {first.name}
    for name in "abcd":
        assert [event.value for event in lines[::2] if event.name == name] == list(range(250))
    assert len(read_events(path)) == 2000


def test_lines_of_several_threads_never_mix(path: Path) -> None:
    """One journal may be shared: the observer writes into the drill's."""
    journal = Journal(path)
    threads = [
        threading.Thread(target=lambda name=name: [journal.append(noted(i, name=name)) for i in range(200)])
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(read_events(path)) == 400


@pytest.mark.parametrize("left", [1, 5, 30, -1])
def test_a_last_line_that_was_cut_is_left_out(path: Path, left: int) -> None:
    """A crash in the middle of a write costs that event alone."""
    write_events(path, [noted(1), noted(2), noted(3, text="naïve")])
    whole = path.read_bytes()
    last = whole.rindex(b"{", 0, whole.rindex(b"detail"))
    path.write_bytes(whole[: last + left] if left > 0 else whole[: whole.rindex("ï".encode()) + 1])
    assert [event.t_ns for event in read_events(path)] == [1, 2]


def test_a_last_line_that_only_lacks_its_end_is_an_event(path: Path) -> None:
    """What can be read whole counts."""
    write_events(path, [noted(1), noted(2)])
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert [event.t_ns for event in read_events(path)] == [1, 2]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"type":"observed","t_ns"', id="cut"),
        pytest.param(b'{"type":"no_such_event"}', id="unknown-event-without-an-instant"),
        pytest.param(b'{"type":"observed","t_ns":1}', id="missing-field"),
        pytest.param(b'{"type":"observed","t_ns":"soon","name":"n","value":1}', id="wrong-type"),
        pytest.param(b"garbage", id="garbage"),
        pytest.param(b'{"type":"observed","t_ns":1,"name":"\xff","value":1}', id="not-utf-8"),
    ],
)
def test_a_broken_line_in_the_middle_is_named(path: Path, line: bytes) -> None:
    """Nothing but the end of a file can be cut by a crash, so anything else is said, with its line."""
    write_events(path, [noted(1), noted(2)])
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, second, b""]))
    with pytest.raises(UsageError, match=rf"{path.name}:2: cannot be read: .*; expected one event"):
        read_events(path)


def test_events_come_in_the_order_of_time(path: Path) -> None:
    """Writers are not in step; of two events at one instant the first written comes first."""
    write_events(path, [noted(3), noted(1), noted(2, which="first"), noted(2, which="second")])
    events = [event for event in read_events(path) if isinstance(event, e.Observed)]
    assert [event.t_ns for event in events] == [1, 2, 2, 3]
    assert [event.detail.get("which") for event in events[1:3]] == ["first", "second"]


def test_a_history_that_is_not_there_is_a_usage_error(path: Path) -> None:
    """One line says which file."""
    with pytest.raises(UsageError, match="no history to read: No such file"):
        read_events(path)


def test_an_empty_history_has_no_events(path: Path) -> None:
    """A run that wrote nothing can be read."""
    path.touch()
    assert read_events(path) == []


def test_what_was_there_stays(path: Path) -> None:
    """A second journal on the same file goes on behind the first."""
    write_events(path, [noted(1)])
    write_events(path, [noted(2)])
    assert [event.t_ns for event in read_events(path)] == [1, 2]


def test_a_closed_journal_says_so(path: Path) -> None:
    """Closing twice is fine, appending afterwards is not."""
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="is closed"):
        journal.append(noted(1))


def test_a_write_that_was_cut_short_is_no_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part and says so only by the count."""
    journal = Journal(path)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr("servedrill.history.journal.os.write", lambda fd, data: write(fd, data[:10]))
        with pytest.raises(OSError, match=r"wrote 10 of .* is the disk full"):
            journal.append(noted(1))
    journal.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KINDS = get_args(e.KnownEvent)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def any_event(draw: st.DrawFn) -> e.KnownEvent:
    """An event of any kind, with whatever its fields may hold."""
    kind = draw(st.sampled_from(KINDS))
    detail = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT, max_size=3)
    given_fields = {
        "t_ns": st.integers(0, 2**62),
        "params": detail,
        "detail": detail,
        "attributes": detail,
        "promises": detail,
        "dialect": detail,
        "values": st.dictionaries(TEXT, NUMBERS, max_size=3),
        "texts": st.lists(TEXT, max_size=3),
        "observed": TEXT,
        "name": TEXT,
        "value": NUMBERS,
    }
    of = {name: draw(strategy) for name, strategy in given_fields.items() if name in kind.__struct_fields__}
    rest: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in of:
            rest[field.name] = draw(NUMBERS if field.type is float else st.from_type(field.type))
    return kind(**of, **rest)  # type: ignore[no-any-return]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_event(), max_size=5))
def test_what_is_written_is_what_is_read(path: Path, events: list[e.AnyEvent]) -> None:
    """Every kind of event, with newlines, quotes and any script in its texts."""
    path.unlink(missing_ok=True)
    write_events(path, events)
    assert read_events(path) == sorted(events, key=lambda event: event.t_ns)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_figure_that_is_no_number_costs_no_history(path: Path, value: float) -> None:
    """Gauges may be NaN and ratios infinite: everything else in the history can still be read."""
    gauges = e.Sample(t_ns=1, source="engine-0", role="engine", ok=True, values={"kv_usage": value})
    write_events(path, [gauges, noted(2)])
    assert len(read_events(path)) == 2


def test_every_kind_of_event_has_a_tag_of_its_own() -> None:
    """A line says what it is."""
    tags = [msgspec.inspect.type_info(kind).tag for kind in KINDS]  # type: ignore[union-attr]
    assert len(set(tags)) == len(KINDS) == 23
