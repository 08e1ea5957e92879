"""What is foretold of a stack is what comes of it: a checkup of somebody's URL, held against the drills themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servedrill.checkers.finding import Answer
from servedrill.drills.test_2_out_of_memory import test_out_of_memory as out_of_memory
from servedrill.drills.test_5_cancel_storm import test_cancel_storm as cancel_storm
from servedrill.judging.verdict import Verdict
from servedrill.leases.guard import Guard
from servedrill.runs.about import Options
from servedrill.session.checkup import Asked, Checkup, check_up
from servedrill.session.session import Session
from servedrill.session.stack import guarded_stack
from servedrill.stacks.file import StackFile
from servedrill.stacks.reading import read_stack_file

DRILLS: dict[str, Any] = {"out_of_memory": out_of_memory, "cancel_storm": cancel_storm}
BARE = """
kind = "external"
name = "theirs"
[external]
url = "{url}"
[[replica]]
name = "gateway-0"
role = "gateway"
url = "{url}"
[promises]
model = "chat-model"
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack file that knows the URL of a healthy stack, and nothing more."""
    folder = tmp_path_factory.mktemp("theirs")
    with (
        contextlib.closing(Guard(folder)) as guard,
        guarded_stack(StackFile(), folder, guard, defects=[], seed=1) as stack,
    ):
        url = next(one.url for one in stack.replicas() if one.role == "gateway")
        path = folder / "theirs.toml"
        path.write_text(BARE.replace("{url}", url))
        yield path


def foreseen(path: Path, folder: Path, *names: str) -> Checkup:
    asked = [
        Asked(name=name, nodeid=name, hypothesis="It holds.", function=lambda drill, name=name: DRILLS[name](drill))
        for name in names
    ]
    return check_up(read_stack_file(path), folder, asked)


def drilled(path: Path, folder: Path, name: str) -> Verdict:
    options = Options(seed=7, stack_file=str(path), runs=str(folder / "runs"))
    with contextlib.closing(Session(options)) as session:
        with session.open(name, hypothesis="It holds.", nodeid=name) as drill:
            DRILLS[name](drill)
        return session.verdicts[0]


@pytest.mark.parametrize("name", DRILLS)
def test_what_is_foretold_comes_true(theirs: Path, tmp_path: Path, name: str) -> None:
    """Claims that a checkup says cannot be judged are INCONCLUSIVE, what it leaves out is skipped, and the drill
    claims nothing else. What it says can be judged is never without an answer for want of a promise, and a healthy
    stack of which nobody knows more than its address fails none of it."""
    [told] = foreseen(theirs, tmp_path, name).drills
    verdict = drilled(theirs, tmp_path, name)
    found = {(one.checker, one.claim, one.window): one for one in verdict.findings}
    unjudged = {(one.checker, one.claim, one.window) for one in told.unjudged}
    assert told.broke == "" and unjudged
    assert {key for key, one in found.items() if "promised nothing" in one.observed} == unjudged
    assert {found[key].answer for key in unjudged} == {Answer.INCONCLUSIVE}
    assert {(one.checker, one.claim, one.window) for one in told.claims} == set(found)
    assert {(one.what, one.why) for one in told.left_out} <= {(one.part, one.reason) for one in verdict.skipped}
    assert not verdict.of(Answer.FAIL), verdict.of(Answer.FAIL)


def test_a_checkup_asks_little_and_says_what_is_lacking(theirs: Path, tmp_path: Path) -> None:
    """One line for each gap, with what to do about it."""
    checkup = foreseen(theirs, tmp_path, "cancel_storm")
    assert checkup.url.startswith("http://") and checkup.model == "chat-model"
    assert any("breaker" in line for line in checkup.metrics)
    assert not checkup.complete
    [gap] = [gap for gap in checkup.gaps if gap.what == "promises"]
    assert "slots" in gap.why and f"doctor --measure --stack {theirs}" in gap.do
    assert "cores" in checkup.machine


def test_the_embedded_stack_lacks_nothing_but_a_gpu_and_containers(tmp_path: Path) -> None:
    """All drills that come with servedrill, as they stand."""
    from servedrill.commands.collected import collected

    drills = collected(["--pyargs", "servedrill.drills"]).drills
    checkup = check_up(StackFile(), tmp_path, drills)
    assert checkup.complete, [one for drill in checkup.drills for one in drill.unjudged]
    skipped = {drill.drill for drill in checkup.drills if drill.skipped}
    assert skipped == {"lost_node", "gpu_out_of_memory"}
    assert all(len(drill.claims) > 10 for drill in checkup.drills if not drill.skipped)
