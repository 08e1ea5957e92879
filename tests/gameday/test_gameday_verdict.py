"""What a day came to, by its record alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from servedrill.checkers.finding import Answer
from servedrill.gameday.record import (
    RECORD,
    Action,
    AnyEntry,
    Begun,
    Ended,
    FaultSeen,
    Halted,
    HaltHealed,
    Noted,
    Record,
    SceneJudged,
    SteadySeen,
    StepBegun,
    StepEnded,
    read_record,
)
from servedrill.gameday.verdict import day_verdict

BEGUN = Begun(title="A day", plan="x", stack="s")
STEADY = SteadySeen(where="before", met=True, waited_s=0.1, said="")
STEP = StepBegun(step="1", title="it", act="fault")
DONE = StepEnded(step="1", answer=Answer.PASS)
END = Ended()
GOOD: list[AnyEntry] = [BEGUN, STEADY, STEP, DONE, END]


def test_a_good_day() -> None:
    """Every step proven, the steady state seen, an end."""
    assert (day_verdict(GOOD).answer, day_verdict(GOOD).because) == (Answer.PASS, [])


@pytest.mark.parametrize(
    ("record", "answer", "said"),
    [
        ([], Answer.INCONCLUSIVE, "never began"),
        ([BEGUN, STEP, DONE, END], Answer.INCONCLUSIVE, "never seen to be met"),
        ([BEGUN, STEADY, STEP, END], Answer.INCONCLUSIVE, "did not come to its end"),
        ([BEGUN, STEADY, STEP, DONE], Answer.INCONCLUSIVE, "did not come to its end"),
        ([*GOOD, StepEnded(step="1", answer=Answer.FAIL, said="no")], Answer.FAIL, "step 1 .it.: no"),
        ([*GOOD, StepEnded(step="1", answer=Answer.INCONCLUSIVE, said="hm")], Answer.INCONCLUSIVE, "hm"),
        ([*GOOD, SceneJudged(folder="d", answer=Answer.FAIL, said="x")], Answer.FAIL, "d: x"),
        ([*GOOD, SteadySeen(where="before", met=False, waited_s=9, said="")], Answer.INCONCLUSIVE, "not tested"),
        ([*GOOD, SteadySeen(where="after step 1", met=False, waited_s=9, said="")], Answer.FAIL, "did not come back"),
        ([*GOOD, SteadySeen(where="at the end", met=None, waited_s=9, said="")], Answer.INCONCLUSIVE, "nobody can say"),
        ([*GOOD, Halted(reason="p", by="anna")], Answer.INCONCLUSIVE, "stopped by anna: p"),
        ([*GOOD, Halted(reason="p", by="stop condition", measured=True)], Answer.FAIL, "stopped: p"),
        (
            [*GOOD, FaultSeen(step="1", fault="f", target="t", what="healed", proven=False)],
            Answer.INCONCLUSIVE,
            "not proven to be healed",
        ),
    ],
)
def test_what_is_no_pass(record: Sequence[AnyEntry], answer: Answer, said: str) -> None:
    """And why."""
    import re

    verdict = day_verdict(record)
    assert verdict.answer is answer
    assert any(re.search(said, one) for one in verdict.because), verdict.because


def test_a_step_that_was_done_again_after_a_crash_has_one_end() -> None:
    """It began twice, and that is no doubt."""
    again = Begun(title="A day", plan="x", stack="s", again=True)
    assert day_verdict([BEGUN, STEADY, STEP, again, STEADY, STEP, DONE, END]).answer is Answer.PASS


def test_figures_of_a_day() -> None:
    """How long until all was healed, and what will be done."""
    verdict = day_verdict([*GOOD, HaltHealed(seconds=0.4), Action(text="x", owner="y", due="2027-01-01")])
    assert (verdict.abort_s, verdict.actions) == (0.4, 1)


def test_a_record_survives_a_crash_in_mid_line(tmp_path: Path) -> None:
    """Half a line is left out, and what follows is read."""
    record = Record(tmp_path)
    record.add(BEGUN)
    with (tmp_path / RECORD).open("ab") as file:
        file.write(b'{"entry":"step_ended","st')
    record.add(END)
    record.close()
    assert [type(one) for one in read_record(tmp_path)] == [Begun, Ended]
    assert read_record(tmp_path)[0].at_s > 0


def test_what_another_process_writes_is_heard(tmp_path: Path) -> None:
    """A note from another terminal; each entry once."""
    heard: list[AnyEntry] = []
    record, other = Record(tmp_path, told=heard.append), Record(tmp_path)
    record.add(BEGUN)
    other.add(Noted(text="the pager rang", by="ben", what="detected"))
    record.hear()
    record.hear()
    assert [type(one) for one in heard] == [Begun, Noted]
    record.close()
    other.close()
