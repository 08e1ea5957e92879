"""What the observer makes of what it reads."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servedrill.drill.listed import ListedAlert
from servedrill.drill.observer import Observer
from servedrill.history.events import CpuWaits, Observed, PartSkipped, Sample
from servedrill.history.journal import Journal, read_events
from servedrill.history.measurements import UNREAD
from servedrill.history.promises import as_made
from servedrill.host.clock import wait_for
from servedrill.host.run_delay import run_delay_untold
from servedrill.stacks.protocols import Entry, Replica
from tests.worlds.hostile import BODIES, HEADS, Asked, Mode, Peer, hostile, plain


class Elsewhere:
    """A stack of a URL, on whatever machine."""

    name, shared, promises = "elsewhere", True, as_made({})

    def replicas(self) -> list[Replica]:
        return []

    def entry(self) -> Entry:
        return Entry(base_url="http://127.0.0.1:9")


class Here(Elsewhere):
    """One whose only process is this very one."""

    name = "here"

    def on_cores(self) -> dict[str, int]:
        return {"engine-0": os.getpid()}


@pytest.mark.skipif(bool(run_delay_untold()), reason=run_delay_untold() or "told")
def test_what_processes_waited_for_a_core_is_written_down(tmp_path: Path) -> None:
    """Each look tells of the span since the one before, and of every process of the stack."""
    journal = Journal(tmp_path / "h.jsonl")
    observer = Observer(Here(), journal)
    observer.start()
    wait_for(lambda: b"cpu_waits" in journal.path.read_bytes(), what="a look", within_s=30)
    observer.stop()
    looks = [event for event in read_events(journal.path) if isinstance(event, CpuWaits)]
    assert all(set(look.waited_s) == set(look.ran_s) == {"engine-0"} and look.span_s > 0 for look in looks)
    assert sum(look.ran_s["engine-0"] for look in looks) > 0


def test_a_stack_elsewhere_is_said_not_to_be_looked_at(tmp_path: Path) -> None:
    """Nothing is known of cores of other machines; silence would look like a check that passed."""
    journal = Journal(tmp_path / "h.jsonl")
    observer = Observer(Elsewhere(), journal)
    observer.start()
    observer.stop()
    skipped = [event for event in read_events(journal.path) if isinstance(event, PartSkipped)]
    assert [one.reason for one in skipped] == ["stack 'elsewhere' is not OnCores"]


def listed(**status: Any) -> dict[str, Any]:
    """An alert as Alertmanager's v2 API lists it (the body that prometheus/alertmanager#3513 shows)."""
    lists = {"silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    return {
        "fingerprint": "3fff2c2d7595e046",
        "labels": {"alertname": "ReplicaDown", "instance": "engine-0"},
        "status": {"state": "active", **lists, **status},
    }


@pytest.mark.parametrize(
    ("alert", "state", "by"),
    [
        (listed(), "firing", []),
        (listed(state="suppressed", silencedBy=["s-1"]), "suppressed", ["silence s-1"]),
        (listed(state="suppressed", inhibitedBy=["f-2"]), "suppressed", ["inhibited by f-2"]),
        (listed(mutedBy=["nights"]), "suppressed", ["muted by nights"]),
        ({"fingerprint": "f", "labels": {"alertname": "ReplicaDown"}}, "firing", []),
    ],
    ids=["active", "silenced", "inhibited", "muted", "no-status"],
)
def test_an_alert_that_tells_nobody_is_not_firing(alert: dict[str, Any], state: str, by: list[str]) -> None:
    """Alertmanager lists silenced, inhibited and muted alerts beside the others; they notify nobody."""
    seen = msgspec.convert(alert, ListedAlert).event()
    assert (seen.alert, seen.state, seen.by) == ("ReplicaDown", state, by)


class Watched(Elsewhere):
    """Replicas, each behind a URL of its own, and an alert endpoint."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls

    def replicas(self) -> list[Replica]:
        served = frozenset({"tokens"})
        return [
            Replica(name=f"engine-{at}", role="engine", serves=served, url=url) for at, url in enumerate(self._urls)
        ]

    def alerts_url(self) -> str:
        return self._urls[0]


def paged(*pages: bytes, kind: str = "text/plain") -> Mode:
    def mode(peer: Peer, asked: Asked) -> None:
        peer.send(plain(b"".join(pages), kind=kind))

    return mode


RUNNING = b"vllm:num_requests_running"
PAGES: dict[str, Mode] = {
    "a line of labels": paged(RUNNING, b"{", b'a="b",' * 100_000, b"} 1\n"),
    "a line of quotes": paged(RUNNING, b'{a="', b'\\"' * 100_000, b"} 1\n"),
    "a value that is none": paged(RUNNING, b" many\n"),
    "labels that do not end": paged(RUNNING, b'{a="\n'),
    "an exemplar of nothing": paged(RUNNING, b" 1 # {}\n"),
    "a time that is none": paged(RUNNING, b" 1 9e999\n"),
    "a million lines": paged(*[RUNNING + b" 1\n"] * 150_000),
    "names of half a page": paged(b"n" * (3 << 20), b" 1\n"),
    "NULs": paged(b"\0" * 1000, b"\n", RUNNING, b"\0 1\n"),
    "an odd charset": paged(RUNNING, b" 3\n", kind="text/plain; charset=hex"),
}


def seen_by_an_observer(stack: Elsewhere, path: Path, *, samples: int = 0) -> list[Any]:
    """What it wrote down, when it had that many samples of each."""
    journal = Journal(path)
    observer = Observer(stack, journal)
    observer.start()
    wanted = samples * len(stack.replicas())
    wait_for(lambda: path.read_bytes().count(b'"sample"') >= wanted, what="samples", within_s=120)
    observer.stop()
    assert all(len(line) < 20_000 for line in path.read_text().splitlines())
    return read_events(path)


def test_nothing_that_a_stack_says_ends_the_observer(tmp_path: Path) -> None:
    """What cannot be read is no sample, and the next round comes; each target is read by itself."""
    with contextlib.ExitStack() as servers:
        modes = [*HEADS.values(), *BODIES.values(), *PAGES.values()]
        urls = [servers.enter_context(hostile({"metrics": mode})) for mode in modes]
        seen = seen_by_an_observer(Watched(*urls), tmp_path / "h.jsonl", samples=2)
    sources = {event.source for event in seen if isinstance(event, Sample)}
    assert len(sources) == len(urls)


@pytest.mark.parametrize("mode", ["a list of numbers", "fields of other kinds", "too deep", "no UTF-8", "200 MB"])
def test_alerts_that_are_none_end_nothing(mode: str, tmp_path: Path) -> None:
    """They are told, and there are none."""
    with hostile({"alerts": BODIES[mode]}) as url:
        seen = seen_by_an_observer(Watched(url), tmp_path / "h.jsonl")
    [told] = [event for event in seen if isinstance(event, Observed) and event.name == UNREAD]
    assert told.detail["source"] == "alerts"


def test_a_charset_that_is_none_is_not_asked(tmp_path: Path) -> None:
    """A page of metrics is UTF-8."""
    with hostile({"metrics": PAGES["an odd charset"]}) as url:
        seen = seen_by_an_observer(Watched(url), tmp_path / "h.jsonl")
    samples = [event for event in seen if isinstance(event, Sample)]
    assert {sample.values.get("running") for sample in samples} == {3.0}


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("200 MB", "a body of more than 4 MiB"),
        ("gzip bomb", "a body of more than 4 MiB"),
        ("a body that drips", "no whole answer within 2 s"),
        ("headers without end", "more than 100 kB"),
        ("a line of labels", "lines of more than 4096 characters"),
        ("a value that is none", "metrics that cannot be read: could not convert"),
    ],
)
def test_what_came_and_was_not_read_is_written_down(mode: str, says: str, tmp_path: Path) -> None:
    """Once for each source, with the bound that it met; a replica that is gone is no such thing."""
    with hostile({"metrics": {**HEADS, **BODIES, **PAGES}[mode]}) as url:
        seen = seen_by_an_observer(Watched(url), tmp_path / "h.jsonl")
    [told] = [event for event in seen if isinstance(event, Observed) and event.name == UNREAD]
    assert told.detail["source"] == "engine-0"
    assert says in told.detail["because"]
