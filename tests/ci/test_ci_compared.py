"""A night held against earlier runs and its error budgets, with real histories on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from ci_world import ROOT

from servedrill.checkers.finding import Answer
from servedrill.ci.artifacts import look_at
from servedrill.ci.baseline import compare_with, require_baseline
from servedrill.ci.night import Night
from servedrill.ci.record import Asked, Case, Ended, Try
from servedrill.ci.summary import night_summary
from servedrill.errors import UsageError
from servedrill.slo.spending import Spending
from tests.reporting.report_world import history, run_folder, verdict

pytest_plugins = ["pytester"]

SLO = ROOT / "fixtures/data/slos/chat.yaml"


def made(runs: Path, day: int, *, slower: float = 1.0, answer: Answer = Answer.PASS, **more: Any) -> Path:
    """A run of one drill on a day of January."""
    began = f"2026-01-{day:02}T03:00:00+00:00"
    told = msgspec.structs.replace(verdict(answer), **more.pop("told", {}))
    return run_folder(
        runs / f"202601{day:02}T030000-{day}",
        drills={"paper": history(seed=day, slower=slower)},
        verdicts={"paper": told},
        about={"began": began, **more},
    )


def night(folder: Path, *, slo_file: str = "") -> Night:
    """One whose only drill held."""
    test = Case(nodeid="t.py::test_paper", word="passed", drill="paper")
    asked = Asked(runs=str(folder.parent), stack="paper stack", slo_file=slo_file)
    one = Try(asked=asked, tests={test.nodeid: test}, ended=Ended(status=0), folder=str(folder))
    return Night(tries=[one], statuses=[0])


def test_what_got_worse_since_it_last_held_is_told_and_gates_where_asked_to(tmp_path: Path) -> None:
    """Not since the run before, which failed, nor since one that was asked for otherwise."""
    runs = tmp_path / "runs"
    for day in range(1, 5):
        made(runs, day)
    made(runs, 5, slower=1.5, answer=Answer.FAIL)
    made(runs, 6, slower=1.5, options={"control": True})
    last = made(runs, 7, slower=1.5)
    told = look_at(night(last), baseline="last-green", worse_gates=False)
    assert [one.before for one in told.compared] == ["20260104T030000-4"]
    assert any(line.startswith("paper: TTFT p50 got worse, ") for line in told.worse)
    assert (told.outcome.code, told.notes) == (0, [])
    gated = look_at(night(last), baseline="last-green", worse_gates=True)
    assert gated.outcome.code == 1
    assert gated.outcome.reasons[0].text.startswith("paper: ")


def test_one_run_against_one_gates_nothing(tmp_path: Path) -> None:
    """Nobody knows how far such runs lie apart: it is in the summary, and no reason."""
    made(tmp_path / "runs", 1)
    last = made(tmp_path / "runs", 2, slower=1.5)
    told = look_at(night(last), baseline="last-green", worse_gates=True)
    assert (told.outcome.code, told.worse) == (0, [])
    text = night_summary(told.night, told.outcome, told.run, compared=told.compared)
    assert "paper: TTFT p50 got worse, " in text and "with three more runs in the folder" in text


def test_a_night_like_the_last_is_no_worse(tmp_path: Path) -> None:
    """Nothing is told, nothing gates."""
    made(tmp_path / "runs", 1)
    last = made(tmp_path / "runs", 2)
    told = look_at(night(last), baseline="last-green", worse_gates=True)
    assert (told.outcome.code, told.worse) == (0, [])
    assert told.compared


def test_a_branch_s_artifact_or_one_run_is_a_baseline(tmp_path: Path) -> None:
    """A folder of runs: its last one in which the drill held; or a run as it is."""
    other = tmp_path / "artifact"
    made(other, 20)
    worst = made(other, 21, answer=Answer.FAIL)
    last = made(tmp_path / "runs", 2)
    run = night(last).run()
    assert run is not None
    assert [one.before for one in compare_with(run, str(other))] == ["20260120T030000-20"]
    assert [one.before for one in compare_with(run, str(worst))] == [worst.name]
    assert compare_with(run, "none") == []
    with pytest.raises(UsageError, match="no run in it"):
        require_baseline(str(tmp_path / "runs" / last.name / "paper"))


def test_without_an_earlier_run_that_is_said(tmp_path: Path) -> None:
    """The first night is green all the same."""
    told = look_at(night(made(tmp_path / "runs", 1)), baseline="last-green", worse_gates=True)
    assert (told.outcome.code, told.notes) == (0, ["not compared: no earlier run in which a drill of this one held"])


def spent(share: float) -> dict[str, Any]:
    """Of the month's budget, by one drill."""
    seconds = 60.0
    bad_ratio = share * 0.01 * 2_592_000 / seconds
    one = Spending(slo="chat", target=0.99, period_s=2_592_000, total=9, bad_ratio=bad_ratio, seconds=seconds)
    return {"spending": [one]}


@pytest.mark.parametrize(("share", "slo_file", "code"), [(0.4, True, 0), (0.6, True, 1), (0.6, False, 0)])
def test_a_spent_budget_gates_where_somebody_gave_an_slo_file(
    tmp_path: Path, share: float, slo_file: bool, code: int
) -> None:
    """With what earlier drills of the period have spent; the objectives that are built in are only shown."""
    made(tmp_path / "runs", 1, told=spent(share))
    last = made(tmp_path / "runs", 2, told=spent(share))
    told = look_at(night(last, slo_file=str(SLO) if slo_file else ""), baseline="none", worse_gates=False)
    assert told.notes == []
    (budget,) = told.budgets
    assert budget.left == pytest.approx(1 - 2 * share)
    assert told.outcome.code == code
    if code:
        assert told.outcome.reasons[0].text.startswith(
            "the error budget of chat is spent: 120% of it, by this run and 1 earlier drill"
        )


def test_a_first_try_has_spent_as_well(tmp_path: Path) -> None:
    """What is drilled again is drilled twice, and users have met both."""
    first, second = made(tmp_path / "runs", 1, told=spent(0.3)), made(tmp_path / "runs", 2, told=spent(0.3))
    one = night(first, slo_file=str(SLO))
    both = msgspec.structs.replace(one, tries=[*one.tries, *night(second).tries])
    (budget,) = look_at(both, baseline="none", worse_gates=False).budgets
    assert budget.left == pytest.approx(0.4)


def test_an_slo_file_that_is_gone_is_a_note(tmp_path: Path) -> None:
    """The drills were judged by it; nobody can say what is left, and the artifacts are written all the same."""
    told = look_at(
        night(made(tmp_path / "runs", 1), slo_file=str(tmp_path / "gone.yaml")), baseline="none", worse_gates=False
    )
    assert "gone.yaml" in told.notes[0]
    assert told.outcome.code == 6
