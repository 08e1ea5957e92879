"""Playbooks as people write them: what is wrong is said with line and column, all of it, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from servedrill.errors import FileError
from servedrill.files.shipped import shipped_files
from servedrill.gameday.drills import find_drill, shipped_drills
from servedrill.gameday.hours import Hours, excluded
from servedrill.gameday.playbook import Exclusion, seconds
from servedrill.gameday.reading import check_playbooks, read_playbook

Write = Callable[..., Path]
STEADY = {"title": "Served.", "probes": [{"sli": "success", "at-least": 0.99}]}


def wrong(path: Path) -> list[str]:
    return [str(one) for one in check_playbooks([path])]


def test_the_least_playbook_is_one(written: Write) -> None:
    """Title, steady state, one step."""
    playbook = read_playbook(written())
    assert (playbook.title, playbook.method[0].act, playbook.blast_radius.replicas) == ("A day", "ask", 1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"minuts": 5}, r":\d+:\d+: minuts: .*did you mean 'minutes'"),
        ({"title": " "}, r"title: is empty"),
        ({"method": []}, "method: has no step"),
        ({"method": [{}]}, r"method\[0\]: does nothing; expected exactly one of drill, fault"),
        ({"method": [{"ask": "a", "pause": "1s"}]}, r"method\[0\]: does ask and pause"),
        ({"method": [{"fault": "kil", "on": "engine-0"}]}, r"no fault 'kil'.*did you mean 'kill'"),
        ({"method": [{"fault": "kill"}]}, "'on' is missing"),
        ({"method": [{"fault": "latency", "on": "engine"}]}, "'with: ms' is missing; expected a value of type int"),
        ({"method": [{"fault": "latency", "on": "e", "with": {"ms": "300"}}]}, "with.ms: '300'; expected .* int"),
        ({"method": [{"fault": "latency", "on": "e", "with": {"ms": 3, "mz": 1}}]}, "with.mz: unknown parameter"),
        ({"method": [{"drill": "timeout_spik"}]}, "no drill 'timeout_spik'.*did you mean 'timeout_spike'"),
        ({"method": [{"ask": "a", "role": "boss"}], "roles": {"coordinator": "x"}}, "nobody is 'boss'"),
        ({"method": [{"pause": "5 weeks"}]}, "pause: '5 weeks'; expected a duration such as"),
        ({"method": [{"pause": "900h"}]}, "pause: '900h'; expected a duration"),
        (
            {"method": [{"ask": "${later.answer}"}, {"name": "later", "ask": "b"}]},
            r"\$\{later.answer\} is not known here",
        ),
        ({"method": [{"name": "a", "ask": "x"}, {"name": "a", "ask": "y"}]}, "'a' twice"),
        ({"method": [{"hook": []}]}, "hook: is empty"),
        ({"method": [{"parallel": [[{"drill": "timeout_spike"}]]}]}, "drill: has no place here"),
        ({"method": [{"wait": {}}]}, "about nothing; expected exactly one of sli, alert"),
        ({"method": [{"wait": {"sli": "sucess", "below": 1}}]}, "no SLI 'sucess'.*did you mean 'success'"),
        ({"method": [{"wait": {"sli": "success"}}]}, "has no bound"),
        ({"method": [{"wait": {"replica": "engine-0", "is": "firing"}}]}, "'firing' of replica; expected up or down"),
        ({"method": [{"wait": {"alert": "x", "below": 3}}]}, "a bound of alert"),
        ({"traffic": [{"kind": "chat"}]}, "a rate of 0 a second"),
        ({"traffic": [{"kind": "burst", "requests": 5}]}, "a burst all the time"),
        ({"blast-radius": {"share": 2}}, r"share: 2"),
        ({"blast-radius": {"hours": "always"}}, "hours: 'always'; expected days, hours and a zone"),
        ({"exclusions": [{"from": "x", "until": "2027-01-01", "why": "y"}]}, "'x'; expected a day or an instant"),
        ({"exclusions": [{"from": "2027-02-01", "until": "2027-01-01", "why": "y"}]}, "no earlier than 2027-02-01"),
        ({"rollbacks": [{"fault": "kill", "on": "engine"}]}, "has no place here; expected one of hook"),
        ({"steady-state-hypothesis": {**STEADY, "probes": []}}, "has no probe"),
        ({"type": "fun"}, "type: 'fun'"),
    ],
)
def test_mistakes_are_said_where_they_are(written: Write, more: dict[str, Any], said: str) -> None:
    """File, line, column, key, what was expected."""
    path = written(**more)
    found = wrong(path)
    assert any(re.search(said, one) for one in found), found
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+: ", one) for one in found)
    with pytest.raises(FileError):
        read_playbook(path)


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", "title: !!python/object:os.system x", "a: &a [*a]", "title: x\ntitle: y", "\0", "title: 'x"],
    ids=["empty", "a list", "a tag", "a circle", "twice", "NUL", "cut"],
)
def test_hostile_files_are_refused_in_lines(tmp_path: Path, text: str) -> None:
    """Nothing is made of a tag, and nothing runs for ever."""
    path = tmp_path / "day.yaml"
    path.write_text(text)
    assert wrong(path)


def test_shipped_playbooks_are_whole() -> None:
    """And each of them has a name that says what it is for."""
    paths = [path for name, path in shipped_files().items() if name.startswith("playbooks/")]
    assert len(paths) >= 8
    assert not check_playbooks(paths)
    for path in paths:
        playbook = read_playbook(path)
        assert playbook.description and playbook.minutes > 0 and playbook.stop_conditions, path


def test_drills_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    """Those that come with servedrill, and one's own."""
    assert "timeout_spike" in shipped_drills()
    assert find_drill("nothing", tmp_path) is None
    (tmp_path / "test_mine.py").write_text("def test_it(drill): pass\ndef test_other(drill, tmp_path): pass\n")
    found = find_drill("test_mine.py::test_it", tmp_path)
    assert found is not None and (found.name, found.load().__name__) == ("it", "test_it")
    other = find_drill("test_mine.py::test_other", tmp_path)
    assert other is not None
    with pytest.raises(Exception, match="takes a drill and nothing else"):
        other.load()


@pytest.mark.parametrize(
    ("said", "length_s"), [("500ms", 0.5), ("5s", 5), ("10m", 600), ("1.5h", 5400), (3, 3.0), ("3", None), ("", None)]
)
def test_durations(said: str | float, length_s: float | None) -> None:
    """As people write them."""
    assert seconds(said) == length_s


def test_hours_of_the_week() -> None:
    """In their zone, and over midnight."""
    office = Hours.parse("Mon-Fri 09:00-17:00 Europe/Berlin")
    night = Hours.parse("Fri 22:00-02:00")
    assert office is not None and night is not None
    assert datetime(2027, 1, 4, 8, 30, tzinfo=UTC) in office  # a Monday, 09:30 there
    assert datetime(2027, 1, 4, 7, 30, tzinfo=UTC) not in office
    assert datetime(2027, 1, 3, 10, 0, tzinfo=UTC) not in office
    assert datetime(2027, 1, 2, 1, 0, tzinfo=UTC) in night  # Saturday, of Friday's night
    assert datetime(2027, 1, 3, 1, 0, tzinfo=UTC) not in night
    assert Hours.parse("Mon-Fri 09:00-17:00 Nowhere/Nothing") is None


def test_exclusions_reach_to_the_end_of_their_last_day() -> None:
    """In UTC."""
    window = Exclusion(begin="2026-12-20", until="2027-01-02", why="holidays")
    assert excluded([window], datetime(2027, 1, 2, 23, 59, tzinfo=UTC)) is window
    assert excluded([window], datetime(2027, 1, 3, 0, 0, tzinfo=UTC)) is None


def test_the_playbook_of_the_docs_is_one(tmp_path: Path) -> None:
    """Who copies it has a start."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs/playbooks.md").read_text(), re.S)
    path = tmp_path / "day.yaml"
    path.write_text(shown)
    assert wrong(path) == []
