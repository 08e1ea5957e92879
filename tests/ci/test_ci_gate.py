"""What makes a night red, from what was noted down; records that were cut; annotations and JUnit of hostile words."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import fromstring

import msgspec
import pytest

from servedrill.ci.annotations import annotated
from servedrill.ci.gate import Budget, gate
from servedrill.ci.junit import junit
from servedrill.ci.night import Night
from servedrill.ci.record import Asked, Ended, Line, Reported, Try, Word, read_try, write_line
from servedrill.ci.summary import night_summary

pytest_plugins = ["pytester"]

EVIL = "a%\r\n::error::b,c:d\x1b[2J\ud800]]></failure><x>&\ufffe @everyone `"


def reported(nodeid: str, word: Word, **more: object) -> Reported:
    return Reported(nodeid=nodeid, word=word, drill=nodeid.rpartition("_")[2], **more)  # type: ignore[arg-type]


def tried(folder: Path, *lines: Line) -> Try:
    path = folder / "record.jsonl"
    path.unlink(missing_ok=True)
    for line in lines:
        write_line(path, line)
    return read_try(path)


def night(folder: Path, *words: Word, status: int = 0, **more: object) -> Night:
    lines = [reported(f"t.py::test_{number}", word) for number, word in enumerate(words)]
    one = tried(folder, Asked(runs="r", stack="s"), *lines, Ended(status=status))
    return Night(tries=[one], statuses=[status], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["passed"], 0, 0),
        (["passed", "quarantined", "skipped"], 0, 0),
        (["passed", "failed", "inconclusive"], 1, 1),
        (["passed", "error"], 1, 1),
        (["passed", "inconclusive"], 6, 6),
        (["failed", "usage"], 4, 4),
        (["skipped", "skipped"], 0, 6),
        (["passed", "begun"], 0, 6),
        (["passed"], 3, 6),
        (["passed"], 2, 6),
        (["passed"], 1, 1),
        ([], 5, 4),
        ([], 4, 4),
    ],
)
def test_what_weighs_most_decides(tmp_path: Path, words: list[Word], status: int, code: int) -> None:
    """Wrong usage, then a failure, then a doubt; a word of pytest's that no test explains counts as well."""
    assert gate(night(tmp_path, *words, status=status)).code == code


def test_a_night_that_was_stopped_or_died_is_not_green(tmp_path: Path) -> None:
    """Though all that it got to was proven; a failure before that is one."""
    stopped = gate(night(tmp_path, "passed", stopped_by="SIGTERM"))
    assert (stopped.code, stopped.reasons[0].text) == (6, "it was stopped by SIGTERM before its end")
    died = gate(night(tmp_path, "passed", died="SIGKILL"))
    assert (died.code, died.reasons[0].text) == (6, "pytest did not get to its end: SIGKILL")
    assert gate(night(tmp_path, "failed", stopped_by="SIGTERM", status=1)).code == 1
    early = gate(night(tmp_path, stopped_by="SIGINT", status=2))
    assert [reason.text for reason in early.reasons] == ["it was stopped by SIGINT before its end"]


@pytest.mark.parametrize(
    ("left", "code", "says"),
    [
        (0.5, 0, ""),
        (0.0, 1, "the error budget of chat is spent: 100% of it, by prom"),
        (-0.25, 1, "the error budget of chat is spent: 125% of it, by prom"),
        (None, 6, "no data for the error budget of chat"),
    ],
)
def test_a_budget_that_gates(tmp_path: Path, left: float | None, code: int, says: str) -> None:
    """Spent is red, unknown is not judged."""
    found = gate(night(tmp_path, "passed"), [Budget(slo="chat", left=left, of="prom")])
    assert (found.code, "".join(reason.text for reason in found.reasons)) == (code, says)


def test_what_got_worse_gates_where_it_is_asked_to(tmp_path: Path) -> None:
    """And is told."""
    assert gate(night(tmp_path, "passed"), (), ["spike: TTFT p95 got worse"]).code == 1


def test_the_worst_phase_of_a_test_is_its_word(tmp_path: Path) -> None:
    """A drill that held and whose stack did not come down has an error; seconds add up."""
    phases = [("begun", 1.0), ("passed", 2.0), ("error", 0.5)]
    one = tried(tmp_path, *(reported("t.py::test_a", word, seconds=s, text=word) for word, s in phases))  # type: ignore[arg-type]
    (test,) = one.tests.values()
    assert (test.word, test.text, test.seconds) == ("error", "error", 3.5)


def test_a_record_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """As kill -9 and a full disk leave it."""
    path = tmp_path / "record.jsonl"
    write_line(path, reported("t.py::test_a", "begun", folder="f"))
    with path.open("ab") as file:
        file.write(b'{"type":"reported","nodeid":"t.py::te')
    one = read_try(path)
    assert ([test.word for test in one.tests.values()], one.folder, one.ended) == (["begun"], "f", None)
    assert read_try(tmp_path / "none") == Try()
    assert not one.may_go_on


def test_another_try_is_for_doubts_alone(tmp_path: Path) -> None:
    """Wrong usage of another sort would only be told twice."""
    usage = [reported("t.py::test_u", "usage", unreachable=True)]
    doubt = [reported("t.py::test_d", "inconclusive"), reported("t.py::test_f", "failed")]
    assert tried(tmp_path, *doubt, Ended(status=1)).unfinished.keys() == {"t.py::test_d"}
    assert tried(tmp_path, *doubt, Ended(status=1)).may_go_on
    assert tried(tmp_path, *usage, Ended(status=4)).may_go_on
    assert not tried(tmp_path, *usage, reported("t.py::test_w", "usage"), Ended(status=4)).may_go_on
    assert not tried(tmp_path, *doubt, Ended(status=4, told=["expired"])).may_go_on
    assert not tried(tmp_path, reported("t.py::test_f", "failed"), Ended(status=1)).may_go_on
    assert not tried(tmp_path, *doubt, Ended(status=3)).may_go_on


def test_words_of_a_stack_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second annotation, no markup in XML, nobody mentioned."""
    monkeypatch.setenv("GITHUB_WORKSPACE", "/work space")
    bad = reported("t.py::test_a", "failed", text=EVIL, path="/work space/x,y:z.py", line=3)
    one = Night(tries=[tried(tmp_path, bad, Ended(status=1))], statuses=[1])
    outcome = gate(one)
    (line,) = annotated(one, outcome, [])
    assert line.startswith("::error file=x%2Cy%3Az.py,line=3,title=a%3A failed::a%25")
    assert len(line.splitlines()) == 1 and "%0A::error::b,c:d\\x1b[2J" in line
    root = fromstring(junit(one, outcome, None))
    (failure,) = root.iter("failure")
    assert "]]></failure><x>&" in (failure.text or "") and not list(root.iter("x"))
    text = night_summary(one, outcome, None)
    assert "@<!-- -->everyone" in text and "\x1b" not in text


def test_a_drill_of_an_installed_package_has_a_name_and_no_place(tmp_path: Path) -> None:
    """pytest says ``::test_it`` of it where it is not below the folder that it was started in."""
    bad = reported("::test_spike", "failed", text="no", path="/usr/lib/servedrill/drills/test_1_spike.py", line=3)
    one = Night(tries=[tried(tmp_path, bad, Ended(status=1))], statuses=[1])
    assert annotated(one, gate(one), []) == ["::error title=spike%3A failed::no"]
    (case,) = fromstring(junit(one, gate(one), None)).iter("testcase")
    assert (case.get("classname"), case.get("name")) == ("test_1_spike", "test_spike")


def test_a_secret_that_looks_like_one_is_masked(tmp_path: Path) -> None:
    """Whatever a test that is no drill printed."""
    bad = reported("t.py::test_a", "failed", text="asked with Bearer abcdefghijklmnop")
    one = Night(tries=[tried(tmp_path, bad, Ended(status=1))], statuses=[1])
    assert "abcdefghijklmnop" not in annotated(one, gate(one), [])[0] + night_summary(one, gate(one), None)


def test_a_second_try_that_was_cut_off_takes_no_word_back(tmp_path: Path) -> None:
    """What was in doubt stays in doubt."""
    first = tried(tmp_path, reported("t.py::test_d", "inconclusive", text="no data"), Ended(status=6))
    second = tried(tmp_path, reported("t.py::test_d", "begun"))
    one = Night(tries=[first, second], statuses=[6], died="SIGKILL")
    assert [test.word for test in one.tests] == ["inconclusive"]
    assert msgspec.structs.replace(one, died="").again[0].after.word == "begun"
