"""The page: what it says, that it asks nobody for anything, and that what a stack says is never more than text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_world import EVIL, S, history, hostile, hostile_verdict, request, run_folder, stored, verdict

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.history import events as e
from servedrill.reporting.leavings import leave
from servedrill.reporting.page import drill_page, json_in_script, render, write_page
from servedrill.reporting.plots import POINTS_MAX, plots
from servedrill.reporting.shown import shown
from servedrill.runs.digest import Digest, Gaps
from servedrill.runs.stored import StoredRun, read_run


class Reader(html.parser.HTMLParser):
    """Tags, texts, ids and links of a page; scripts and styles apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.policy = ""
        self.text = ""
        self._in: tuple[str, dict[str, str | None]] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags[tag] += 1
        self.attributes |= set(found)
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [value for name in ("href", "src") if (value := found.get(name))]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        self._in = (tag, found) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in is None:
            self.text += data
        elif self._in[0] == "script":
            self.scripts.append((self._in[1], data))
        else:
            self.styles.append(data)


def page_of(run: StoredRun) -> str:
    return render(run, [drill_page(drill) for drill in run.drills])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    options = {"defects": ["some.module:Bug"], "stack_file": "stack.toml"}
    return page_of(stored(tmp_path_factory.mktemp("runs") / "20260102T030405-7", about={"options": options}))


def test_the_page_tells_everything_that_is_known_of_a_drill(page: str) -> None:
    """Verdict, hypothesis, findings with limits and evidence, faults, plots, objectives, requests, seed, versions."""
    text = " ".join(Reader(page).text.split())
    for said in (
        "The drill failed", "Paper burns.", "Every word is right.", "2 of 9 wrong", "Exact", "no samples",
        "2 claims proven", "1.2 s",
        "kill on engine-0, engine-1", "kill met engine-0; kill met engine-1", "latency on gateway-0",
        "not proven: latency met gateway-0",
        "Time to first token", "Between tokens", "Errors by type", "In flight", "Queue", "KV cache in use",
        "Attempts per request",
        "Traffic share", "95% whole with TTFT ≤ 800 ms", "chat-000051", "named by a finding",
        "503 by gateway-0 engine-1/7",
        "alert ReplicaDown engine-0 firing", "breaker of engine-0 opened", "engine-0: process gone",
        "engine-0: process 8 started",
        "gateway-0: process frozen", "window “fire” began", "pytest drills/test_paper.py --drill-seed 7",
        "servedrill 0.1.0",
        "paper stack",
        "settled/1: 0.25 s", "unknown: no value",
    ):  # fmt: skip
        assert said in text, said


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    """Every link stays inside, and the page's own policy forbids the rest.

    The hashes in it are those of its scripts and its style.
    """
    reader = Reader(page)
    assert all(link.startswith("#") or link == "data:," for link in reader.links)
    assert not re.search(r"url\(|@import", "".join(reader.styles))
    rules = dict(rule.split(" ", 1) for rule in reader.policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert (rules["base-uri"], rules["form-action"], rules["img-src"]) == ("'none'", "'none'", "data:")

    def allowed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    running = [text for attributes, text in reader.scripts if attributes.get("type") != "application/json"]
    assert rules["script-src"] == " ".join(allowed(text) for text in running)
    assert rules["style-src"] == allowed(reader.styles[0])
    assert "style" not in reader.attributes
    assert not any(name.startswith("on") for name in reader.attributes)


def test_evidence_leads_to_the_request_that_it_names(page: str) -> None:
    """Under each of its names; what no request is called by is no link."""
    reader = Reader(page)
    targets = {link[1:] for link in reader.links if link.startswith("#")}
    assert targets <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert re.search(r'<a href="#drill-1-\d+"><code>wire-chat-000045</code></a>', page)
    assert re.search(r"<code>nobody</code>", page)
    assert not re.search(r"<a [^>]*><code>nobody</code></a>", page)


def test_whatever_a_stack_says_is_text(tmp_path: Path, page: str) -> None:
    """The same history with markup in every string makes a page of the same elements and attributes.

    The markup can be read there.
    """
    events = hostile(history())
    run = stored(
        tmp_path / f"run{EVIL.replace('/', '')}", drills={"paper": events}, verdicts={"paper": hostile_verdict()},
        about={"system": EVIL, "versions": {EVIL: EVIL}, "replay": {"paper": EVIL},
        "options": {"defects": [EVIL], "stack_file": EVIL}},
    )  # fmt: skip
    found, plain = Reader(page_of(run)), Reader(page)
    assert found.attributes == plain.attributes
    assert set(found.tags) == set(plain.tags)
    assert found.tags["script"] == 3
    assert found.tags["img"] == 0
    assert "onerror=alert(2)" in found.text
    (data,) = (text for attributes, text in found.scripts if attributes.get("type") == "application/json")
    assert "<" not in data
    assert any(shown(EVIL) in band["label"] for drill in json.loads(data) for band in drill["bands"])


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_figures_cannot_end_their_script(value: Any) -> None:
    """The same value comes out that went in, its texts as they are shown, and no sign that means anything to HTML."""

    def drawn(one: Any) -> Any:
        if isinstance(one, dict):
            return {shown(name): drawn(below) for name, below in one.items()}
        if isinstance(one, list):
            return [drawn(below) for below in one]
        return shown(one) if isinstance(one, str) else one

    text = json_in_script(value)
    assert json.loads(text) == drawn(value)
    assert not set("<>&\u2028\u2029") & set(text)


def test_secrets_are_not_shown(tmp_path: Path, page: str) -> None:
    """Neither of the stack, of its promises, of a fault, nor of an error; on the page or in an incident file."""
    folder = run_folder(tmp_path / "run")
    leave(folder)
    for text in (page, (folder / "paper/incident.md").read_text()):
        for secret in ("hf_abcdefghijklmnop", "topsecretvalue123", "hunter22", "abcdefghijk"):
            assert secret not in text
    assert "try later, not with Bearer •••" in page


def test_a_control_is_marked(tmp_path: Path) -> None:
    """Green of a control must not be taken for a stack that held."""
    run = stored(tmp_path / "run", drills={"paper": history(control=True)}, about={"options": {"control": True}})
    assert "Control." in Reader(page_of(run)).text


def test_a_run_that_was_killed_has_a_report(tmp_path: Path) -> None:
    """The drill is judged by what it had written, a line that was cut is left out, and the page says so.

    What came to its end is nobody's failure: the fault was not healed by then.
    """
    folder = run_folder(tmp_path / "run", drills={"paper": history()[:-40]}, verdicts={}, about={"ended": ""})
    with (folder / "paper/history.jsonl").open("ab") as file:
        file.write(b'{"type":"reque')
    run = read_run(folder)
    assert run.answers == [Answer.INCONCLUSIVE]
    text = Reader(page_of(run)).text
    assert "Not finished." in text
    assert "the history has no end" in text


@pytest.mark.parametrize("content", [b"", b"garbage\n", b'{"type":"drill_started"}\n'])
def test_a_history_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    """The page is there, with the reason, and the drill is INCONCLUSIVE."""
    folder = run_folder(tmp_path / "run", verdicts={})
    (folder / "paper/history.jsonl").write_bytes(content)
    run = read_run(folder)
    assert run.answers == [Answer.INCONCLUSIVE]
    assert "nothing to judge" in Reader(page_of(run)).text


def test_a_run_in_which_nothing_began_has_a_report(tmp_path: Path) -> None:
    """It says so."""
    assert "No drill had begun." in page_of(stored(tmp_path / "run", drills={}))


def test_what_is_no_run_is_wrong_usage(tmp_path: Path) -> None:
    """A folder without run.json, or with one that is none; a page that cannot be written."""
    with pytest.raises(UsageError, match="no run in it"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UsageError, match=r"run\.json: cannot be read"):
        read_run(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        write_page(stored(tmp_path / "run"), tmp_path / "no such folder" / "page.html", [])


def test_a_report_that_cannot_be_written_hides_nothing(tmp_path: Path) -> None:
    """It is a line, never an exception, and the incident file is written all the same."""
    folder = run_folder(tmp_path / "run")
    (folder / "report.html").mkdir()
    said = leave(folder)
    assert any(line.startswith("no report: ") for line in said)
    assert (folder / "paper/incident.md").is_file()
    assert not list(folder.glob("*.part"))
    assert leave(tmp_path / "nothing")[0].startswith("no report: UsageError")


def test_a_page_does_not_grow_with_its_requests(tmp_path: Path) -> None:
    """Ten times as many in the same time: at most half as much again."""
    sizes = [
        len(page_of(stored(tmp_path / str(rate), drills={"paper": history(seconds=9, rate=rate)})))
        for rate in (150, 1500)
    ]
    assert sizes[1] < 1.5 * sizes[0]


def test_gaps_are_thinned_evenly() -> None:
    """Of more streams than can be kept, every second, fourth ... is; the longest gap of each is drawn all the same."""
    gaps = Gaps(limit=10)
    for number in range(100):
        gaps.add(request(number, number * S))
    starts = sorted({(at - gap) // S for at, gap in gaps if gap == 20_000_000})
    assert gaps.every == 16
    assert starts == list(range(0, 100, 16))
    events: list[e.AnyEvent] = [
        request(number, number * S // 100, ttft_s=0.01 * (number % 7)) for number in range(POINTS_MAX + 100)
    ]
    ttft, itl = plots(Digest(events))[:2]
    assert "one request" not in [line.label for line in ttft.lines]
    assert max(point for line in itl.lines for point in line.y if point is not None) == 400.0


def test_plots_are_drawn_of_what_is_there() -> None:
    """No samples, no gauges; no taps, the client's own tries; nothing at all, no plot."""
    assert plots(Digest([])) == []
    titles = {plot.title: plot for plot in plots(Digest([request(1, S), request(2, 2 * S, failure="cut")]))}
    assert sorted(titles) == [
        "Attempts per request",
        "Between tokens",
        "Errors by type",
        "In flight",
        "Time to first token",
    ]
    assert "Tries of the client" in titles["Attempts per request"].about
    assert titles["Errors by type"].summary == "1 of 2 requests failed: 1 cut."
    (hung_up,) = (plot for plot in plots(Digest([request(1, S, cancelled_ns=2 * S)])) if plot.title == "Errors by type")
    assert hung_up.summary == "0 of 1 requests failed. The drill hung up on 1."
    silent = [e.Sample(t_ns=n * S // 5, source="a", role="engine", ok=False) for n in range(9)]
    assert plots(Digest(silent)) == []


def test_a_gauge_has_a_hole_where_its_replica_was_silent() -> None:
    """And none where a scrape was only late."""

    def sample(t: int, ok: bool = True) -> e.Sample:
        return e.Sample(t_ns=t * S // 5, source="a", role="engine", ok=ok, values={"running": 2.0} if ok else {})

    kinds = [
        sample(0),
        sample(1),
        sample(4),
        *(sample(t, ok=False) for t in range(10, 20)),
        sample(20),
        e.DrillEnded(t_ns=5 * S),
    ]
    (plot,) = (plot for plot in plots(Digest(kinds)) if plot.title == "In flight")
    (line,) = plot.lines
    at = dict(zip(plot.x, line.y, strict=True))
    assert at[0.625] == 2.0
    assert all(at[x] is None for x in plot.x if 2.2 < x < 3.9)
    assert at[4.125] == 2.0


def test_the_answer_of_all_drills_is_the_headline(tmp_path: Path) -> None:
    """One that failed, one in doubt, one that held."""
    made = {
        name: verdict(answer, drill=name)
        for name, answer in (("a", Answer.FAIL), ("b", Answer.INCONCLUSIVE), ("c", Answer.PASS))
    }
    run = stored(tmp_path / "run", drills=dict.fromkeys(made, history(seconds=3)), verdicts=made)
    assert "Of 3 drills, 1 failed, 1 could not be judged, 1 held" in page_of(run)
