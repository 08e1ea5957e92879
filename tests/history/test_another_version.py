"""Histories of other versions: read, judged as far as they are known, and written again without a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import UsageError
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.history.journal import read_events, write_events
from servedrill.judging.verdict import Verdict, judge

SECOND_NS = 10**9
STARTED = {"type": "drill_started", "t_ns": 0, "drill": "d", "hypothesis": "It holds.", "seed": 1}
ENDED = {"type": "drill_ended", "t_ns": 9 * SECOND_NS}
ASKED = {"type": "expected", "t_ns": 8 * SECOND_NS, "checker": "NoFailures", "params": {"window": "w"}}
WINDOW: list[dict[str, Any]] = [
    {"type": "window_opened", "t_ns": 1, "window": "w"},
    {"type": "window_closed", "t_ns": 7 * SECOND_NS, "window": "w"},
]
LOAD = {"type": "load_health", "t_ns": 5, "worker": 0, "planned": 30, "sent": 30, "in_flight": 0, "cpu_ratio": 0.1} | {
    "loop_lags_ms": {"1": 100},
    "send_lags_ms": {"1": 30},
}
GATEWAY = {"type": "sample", "t_ns": 3, "source": "gw", "role": "gateway", "ok": True, "values": {"in_flight": 1.0}}
PREFILL = GATEWAY | {"source": "prefill-0", "role": "prefill", "values": {"kv_sent": 3.0}}
TRANSFER = {"type": "kv_transfer", "t_ns": 2 * SECOND_NS, "from": "prefill-0", "bytes": 1 << 60, "text": "ü\n"}


def request(number: int, **more: Any) -> dict[str, Any]:
    """One that was answered."""
    t_ns = number * SECOND_NS // 10
    attempt = {"t_send_ns": t_ns, "t_end_ns": t_ns + 1000, "address": "a", "status": 200}
    row = {"type": "request", "t_ns": t_ns + 1000, "id": f"r{number}", "cls": "other", "route": "chat", "stream": False}
    said = {"model": "m", "prompt": "p", "prompt_tokens": 1, "max_tokens": 1, "deadline_s": 1.0, "status": 200}
    times = {"t_int_ns": t_ns, "t_send_ns": t_ns, "t_end_ns": t_ns + 1000, "attempts": [attempt]}
    return row | said | times | more


REQUESTS = [request(number) for number in range(1, 31)]
LINES = [STARTED, *WINDOW, GATEWAY, LOAD, *REQUESTS, ASKED, ENDED]
NEXT_YEAR = {"format": 99, "version": "9.1"}


def written(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    """A history file of another version."""
    path.write_bytes(b"".join((x if isinstance(x, bytes) else msgspec.json.encode(x)) + b"\n" for x in lines))
    return path


def verdict(path: Path, *lines: dict[str, Any] | bytes) -> Verdict:
    """What a file comes to."""
    return judge(History(read_events(written(path, *lines))))


def told(path: Path) -> list[bytes]:
    """The lines of a file, whatever the order of them and of their keys."""
    lines = path.read_bytes().splitlines()
    return sorted(msgspec.json.encode(msgspec.json.decode(line), order="sorted") for line in lines)


def of(findings: list[Finding], *names: str) -> list[Finding]:
    return [found for found in findings if found.checker in names]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.jsonl"


def test_a_history_of_next_year(path: Path) -> None:
    """What is known is judged as ever, what is not is a doubt with its name, and nothing of the file is lost."""
    today = verdict(path, *LINES)
    assert of(today.findings, "NoFailures")[0].answer is Answer.PASS
    rows = [{**row, "energy_j": 4.5} for row in REQUESTS[:-1]]
    odd = request(30, attempts=[REQUESTS[-1]["attempts"][0] | {"via_rail": [1]}])
    lines = [
        STARTED | NEXT_YEAR | {"weather": {"rain": None}},
        *(*WINDOW, GATEWAY | {"health": "fine"}, GATEWAY, PREFILL, LOAD, *rows, odd, TRANSFER, TRANSFER),
        {"type": "drill_ended", "t_ns": 9 * SECOND_NS} | {"mood": "good"},
        ASKED,
        ASKED | {"checker": "TokensPerJoule"},
        ASKED | {"params": {"window": "w", "but": "w2"}},
    ]
    found = verdict(path, *lines)
    assert found.answer is Answer.INCONCLUSIVE
    known = [one.checker for one in today.findings if one.checker not in ("RanToItsEnd", "SignalsHadData")]
    assert of(found.findings, *known)[:-1] == of(today.findings, *known)
    [doubt] = of(found.findings, "HistoryKnown")
    assert doubt.observed == (
        "not known to this version: 1 of drill_ended.mood, 1 of drill_started.weather, 2 of kv_transfer, "
        f"1 of request.attempts, 29 of request.energy_j, 1 of sample; its format is 99, this version knows {e.FORMAT}"
    )
    assert [one.observed for one in found.findings[-2:]] == [
        "no checker 'TokensPerJoule'; servedrill 9.1 asked for it",
        "parameters of NoFailures: it has no but; servedrill 9.1 asked for it",
    ]
    write_events(again := path.with_name("again.jsonl"), read_events(path))
    assert told(again) == told(path)


def test_a_newer_format_with_nothing_new_in_it_is_judged_as_ever(path: Path) -> None:
    """A number alone is no doubt."""
    assert verdict(path, STARTED | NEXT_YEAR, *LINES[1:]).findings == verdict(path, *LINES).findings


def test_a_role_that_nobody_knows_is_read_and_judged(path: Path) -> None:
    """Prefill and decode nodes are replicas like others."""
    history = History(read_events(written(path, *LINES, PREFILL)))
    assert history.sources("prefill") == ["prefill-0"]
    assert of(judge(history).findings, "NoFailures")[0].answer is Answer.PASS


def test_an_unknown_event_of_this_format_is_a_doubt_too(path: Path) -> None:
    """Whoever wrote it had something to say."""
    found = verdict(path, *LINES[:-1], TRANSFER, ENDED)
    [doubt] = of(found.findings, "HistoryKnown")
    assert (doubt.answer, doubt.observed) == (Answer.INCONCLUSIVE, "not known to this version: 1 of kv_transfer")


@pytest.mark.parametrize("newer", [False, True])
def test_a_known_event_that_does_not_fit(path: Path, newer: bool) -> None:
    """Of this format it is a broken file, of a newer one something new."""
    first = STARTED | (NEXT_YEAR if newer else {})
    written(path, first, {"type": "sample", "t_ns": "noon"}, {"type": "sample", "t_ns": 7}, ENDED)
    if newer:
        events = read_events(path)
        assert [(event.t_ns, event.kind) for event in events if isinstance(event, e.Unknown)] == [
            (0, "sample"),
            (7, "sample"),
        ]
    else:
        with pytest.raises(UsageError, match=r"history.jsonl:2: cannot be read"):
            read_events(path)


def test_a_line_that_is_no_event_is_refused_in_any_format(path: Path) -> None:
    """Nothing but a broken file has one."""
    written(path, STARTED | NEXT_YEAR, b"garbage", ENDED)
    with pytest.raises(UsageError, match=r"history.jsonl:2: cannot be read"):
        read_events(path)


def test_an_unknown_line_that_was_cut_is_left_out(path: Path) -> None:
    """A crash costs the last event alone, whatever it was; a whole one counts without its end."""
    whole = msgspec.json.encode(TRANSFER)
    written(path, STARTED, TRANSFER)
    path.write_bytes(path.read_bytes() + whole[:-5])
    assert len(read_events(path)) == 2
    path.write_bytes(path.read_bytes() + whole[-5:])
    assert [event.raw for event in read_events(path) if isinstance(event, e.Unknown)] == [whole, whole]


def test_a_changed_event_of_next_year_is_written_as_changed(path: Path) -> None:
    """What is not known stays with it."""
    [event] = read_events(written(path, STARTED | NEXT_YEAR | {"weather": "fine"}))
    write_events(again := path.with_name("again"), [msgspec.structs.replace(event, t_ns=5)])
    assert msgspec.json.decode(again.read_bytes()) == STARTED | NEXT_YEAR | {"weather": "fine", "t_ns": 5}
