"""Quarantine: the rule from a verdict to an outcome, and the file with every mistake where it stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import FileError
from servedrill.judging.quarantine import Entry, outcome, quarantined, read_quarantine, unmatched
from servedrill.judging.verdict import Verdict

TODAY = date(2026, 11, 28)
WHOLE = """
[[quarantine]]
drill = "cancel_storm"
owner = "team-gateway"
link = "https://tracker.example/1"
made = 2026-11-01
expires = 2026-12-01
"""


def entry(drill: str = "", claim: str = "", **more: str) -> Entry:
    basics = {"owner": "o", "link": "https://l", "made": "2026-11-01", "expires": "2026-12-01", "where": "q.toml:1:1"}
    return Entry(drill=drill, claim=claim, **(basics | more))


def finding(checker: str, answer: Answer, window: str = "") -> Finding:
    return Finding(checker=checker, answer=answer, claim=f"{checker}.", observed="seen", window=window)


def verdict(*findings: Finding, drill: str = "storm") -> Verdict:
    worst = next((a for a in (Answer.FAIL, Answer.INCONCLUSIVE) if a in {f.answer for f in findings}), Answer.PASS)
    return Verdict(
        drill=drill, answer=worst, hypothesis="", seed=1, control=False, defects=[], findings=list(findings)
    )  # fmt: skip


GOOD = finding("TrafficFlowed", Answer.PASS)
BAD = finding("RetriesSpread", Answer.FAIL, "broken")
WORSE = finding("NoFailures", Answer.FAIL, "broken")
DOUBT = finding("LoadKeptSchedule", Answer.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("given", "findings", "gates", "covered"),
    [
        ([], [GOOD, BAD], Answer.FAIL, 0),
        ([entry("storm")], [GOOD, BAD, DOUBT], Answer.PASS, 2),
        ([entry("storm")], [GOOD], Answer.PASS, 0),
        ([entry("other")], [GOOD, BAD], Answer.FAIL, 0),
        ([entry(claim="RetriesSpread")], [GOOD, BAD], Answer.PASS, 1),
        ([entry(claim="RetriesSpread:broken")], [GOOD, BAD], Answer.PASS, 1),
        ([entry(claim="RetriesSpread:recover")], [GOOD, BAD], Answer.FAIL, 0),
        ([entry("storm", "RetriesSpread")], [GOOD, BAD, WORSE], Answer.FAIL, 1),
        ([entry("other", "RetriesSpread")], [GOOD, BAD], Answer.FAIL, 0),
        ([entry(claim="RetriesSpread")], [GOOD, BAD, DOUBT], Answer.INCONCLUSIVE, 1),
        ([entry(claim="RetriesSpread"), entry("storm", "NoFailures")], [BAD, WORSE], Answer.PASS, 2),
    ],
)
def test_what_is_covered_does_not_gate_and_all_else_does(
    given: list[Entry], findings: list[Finding], gates: Answer, covered: int
) -> None:
    """A doubt beside a claim in quarantine stays a doubt: nobody knows what else there was to see."""
    found = outcome(verdict(*findings), given)
    assert (found.answer, len(found.covered), found.quarantined) == (gates, covered, bool(covered))


def test_all_cases_of_a_parametrized_drill_or_one() -> None:
    """As pytest names them."""
    one = verdict(BAD, drill="storm[b c]")
    assert outcome(one, [entry("storm")]).quarantined
    assert outcome(one, [entry("storm[b c]")]).quarantined
    assert not outcome(one, [entry("storm[a]")]).quarantined


def test_each_entry_is_told_with_its_terms_or_that_it_holds() -> None:
    """What holds again should leave, and somebody has to be told."""
    both = [entry("storm"), entry("calm", where="q.toml:9:9")]
    lines = quarantined([verdict(BAD), verdict(GOOD, drill="calm")], both)
    assert lines == [
        "quarantined: storm, until 2026-12-01, o, https://l",
        "quarantined: calm held; when it holds each time, take the entry out (q.toml:9:9)",
    ]


def test_an_entry_that_fits_nothing_is_told_with_its_place() -> None:
    """A drill that there is not, a claim that nobody makes; what was skipped may have had it."""
    judged = [verdict(BAD), verdict(GOOD, drill="calm")]

    def told(one: Entry, *drills: str) -> list[str]:
        return [str(error) for error in unmatched([one], judged, drills or ("storm", "calm"))]

    assert told(entry("storm")) == told(entry(claim="RetriesSpread")) == told(entry("storm", "RetriesSpread")) == []
    (said,) = told(entry("strom"))
    assert said.startswith("q.toml:1:1: quarantine: no drill 'strom' was collected; expected a drill or a claim")
    assert said.endswith("hint: did you mean 'storm'?")
    assert "nobody asks for RetriesSpread in calm" in told(entry("calm", "RetriesSpread"))[0]
    assert "nobody asks for RetriesSpread:recover" in told(entry(claim="RetriesSpread:recover"))[0]
    assert told(entry(claim="RetriesSpread:recover"), "storm", "calm", "skipped") == []


def test_a_file_is_read_with_the_place_of_each_entry(tmp_path: Path) -> None:
    """The last day on which it holds is the one it says."""
    path = tmp_path / "quarantine.toml"
    path.write_text(WHOLE)
    (found,) = read_quarantine(path, today=date(2026, 12, 1))
    assert (found.drill, found.owner, found.where) == ("cancel_storm", "team-gateway", f"{path}:3:1")
    assert found.terms == "until 2026-12-01, team-gateway, https://tracker.example/1"


def changed(old: str, new: str) -> Callable[[], str]:
    assert old in WHOLE
    return lambda: WHOLE.replace(old, new)


MISTAKES = {
    "expired": (changed("2026-12-01", "2026-11-27"), "7:11: quarantine[0].expires: cancel_storm has expired on 2026-"),
    "too long": (changed("2026-12-01", "2027-02-01"), "7:11: quarantine[0].expires: is 2027-02-01; expected 2026-11"),
    "ends first": (changed("2026-12-01", "2026-10-01"), "expires: is 2026-10-01; expected 2026-11-01 to 2027-01-30"),
    "made tomorrow": (changed("2026-11-01", "2026-11-29"), "6:8: quarantine[0].made: is 2026-11-29; expected the day"),
    "no date": (changed("2026-12-01", '"soon"'), "7:11: quarantine[0].expires: is 'soon'; expected a date such as"),
    "an instant": (changed("2026-12-01", "2026-12-01T10:00:00Z"), "expires: is '2026-12-01 10:00:00+00:00'; expected"),
    "no owner": (changed('"team-gateway"', '" "'), "4:9: quarantine[0].owner: is ' '; expected who answers for it"),
    "owner missing": (changed('owner = "team-gateway"\n', ""), "quarantine[0]: 'owner' is missing"),
    "no link": (changed('"https://tracker.example/1"', '"SRV-1"'), "quarantine[0].link: is 'SRV-1'; expected where"),
    "names nothing": (changed('drill = "cancel_storm"', ""), "quarantine[0]: names nothing; expected drill = "),
    "twice": (lambda: WHOLE + WHOLE, "10:9: quarantine[1].drill: cancel_storm is there already; expected one entry"),
    "unknown key": (changed("owner", "ownr"), "4:1: quarantine[0].ownr: unknown key 'ownr'; did you mean 'owner'?"),
    "unknown claim": (
        changed('drill = "cancel_storm"', 'claim = "RetriesSpred"'),
        "3:9: quarantine[0].claim: no checker 'RetriesSpred'; expected a name from docs/drills.md",
    ),
    "always judged": (
        changed('drill = "cancel_storm"', 'claim = "LoadKeptSchedule"'),
        "LoadKeptSchedule is always judged; expected a checker that a drill asks for; no drill is judged without it",
    ),
    "no list": (lambda: "quarantine = 7", "1:14: quarantine: is 7; expected a list"),
    "no TOML": (lambda: "quarantine = [", "is no TOML"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    """What, where, what next."""
    text, says = MISTAKES[name]
    path = tmp_path / "quarantine.toml"
    path.write_text(text())
    with pytest.raises(FileError) as refused:
        read_quarantine(path, today=TODAY)
    (said,) = refused.value.mistakes
    assert said.startswith(f"{path}:")
    assert says in said


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A variable that names nothing must not gate everything, or nothing."""
    with pytest.raises(FileError, match="cannot be read: No such file"):
        read_quarantine(tmp_path / "none.toml")


def test_an_empty_file_has_nothing_in_quarantine(tmp_path: Path) -> None:
    """As after the last entry was taken out."""
    path = tmp_path / "quarantine.toml"
    path.write_text("# nothing\n")
    assert read_quarantine(path) == []
