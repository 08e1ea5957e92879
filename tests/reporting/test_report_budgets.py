"""What a run spent of the error budgets, and when users were well served again, wherever anybody looks for it."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from report_world import history, run_folder

from servedrill.commands.main import main
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.judging.verdict import judge
from servedrill.reporting.attainment import attainment
from servedrill.reporting.budgets import run_budgets
from servedrill.reporting.junit import properties
from servedrill.reporting.markdown import summary
from servedrill.reporting.openmetrics import openmetrics
from servedrill.reporting.page import drill_page, render
from servedrill.runs.digest import Digest
from servedrill.runs.index import Wanted, open_index
from servedrill.runs.layout import INDEX
from servedrill.runs.stored import StoredRun, read_run
from servedrill.slo.slo import Sli, Slo, event_of

SLO = Slo(name="answers<b>", sli=Sli(measure="availability_ratio"), target=0.99999)


def held_to(*slos: Slo) -> list[e.AnyEvent]:
    first, *rest = history()
    return [first, event_of(slos, t_ns=first.t_ns, source="f.yaml"), *rest]


def run_of(runs: Path, name: str, began: str, *, slo: Slo = SLO) -> StoredRun:
    events = held_to(slo)
    return read_run(
        run_folder(
            runs / name,
            drills={"paper": events},
            verdicts={"paper": judge(History(events))},
            about={"began": began, "ended": ""},
        )
    )


def test_a_run_counts_what_earlier_drills_spent(tmp_path: Path) -> None:
    """Of the same SLO, on the same stack, within the period; later runs and older ones are not its own."""
    alone = run_of(tmp_path / "alone", "now", "2026-02-20T00:00:00+00:00")
    (one,) = run_budgets(alone)
    assert (one.spent_before, one.drills_before) == (0, 0)
    assert not (tmp_path / "alone" / INDEX).exists()
    run_of(tmp_path, "old", "2026-01-01T00:00:00+00:00")
    run_of(tmp_path, "earlier", "2026-02-01T00:00:00+00:00")
    run_of(tmp_path, "other", "2026-02-02T00:00:00+00:00", slo=msgspec.structs.replace(SLO, target=0.9))
    run_of(tmp_path, "later", "2026-02-21T00:00:00+00:00")
    (one,) = run_budgets(run_of(tmp_path, "now", "2026-02-20T00:00:00+00:00"))
    assert one.drills_before == 1
    assert one.spent_before == pytest.approx(one.spend)
    assert one.left == pytest.approx(1 - 2 * one.spend)
    assert one.raising["page"] == ["paper"]


def test_the_page_and_the_summary_say_what_was_spent(tmp_path: Path) -> None:
    """By the run and by the drill, with the alert that would have paged; names are text."""
    run = run_of(tmp_path, "now", "2026-02-20T00:00:00+00:00")
    (spent,) = run.drills[0].verdict.spending
    page = render(run, [drill_page(drill) for drill in run.drills])
    assert page.count("answers&lt;b&gt;") >= 2
    assert "<b>" not in page
    assert "99.999% over 30d" in page
    assert "page (14.4 over 1h and 5m), after " in page
    assert f"{spent.burn:.3g}" in page
    assert "| answers&lt;b&gt;, 99.999% over 30d | " in summary(run)
    assert "page: paper" in summary(run)


def test_machines_are_told(tmp_path: Path) -> None:
    """Properties of a test case, and OpenMetrics; one who never came back has an infinite mean."""
    run = run_of(tmp_path, "now", "2026-02-20T00:00:00+00:00")
    verdict = run.drills[0].verdict
    told = dict(properties(verdict, run.drills[0].folder))
    assert told["budget_spend_ratio[answers<b>]"] == verdict.spending[0].spend > 0
    assert "page (14.4" in str(told["would_raise[answers<b>]"])
    never = msgspec.structs.replace(
        verdict, restored=[msgspec.structs.replace(verdict.restored[0], outcome="never", seconds=None)]
    )
    assert dict(properties(never, run.folder))["never_restored"] == 1
    lost = msgspec.structs.replace(run, drills=[msgspec.structs.replace(run.drills[0], verdict=never)])
    samples = [s for f in text_string_to_metric_families(openmetrics(lost).decode()) for s in f.samples]
    values = {(s.name, s.labels.get("phase") or s.labels.get("slo")): s.value for s in samples}
    assert math.isinf(values["servedrill_drill_phase_seconds", "restore"])
    assert values["servedrill_drill_budget_spend_ratio", "answers<b>"] == pytest.approx(verdict.spending[0].spend)


def test_the_list_of_runs_has_the_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time to detect and to restore of each run, and over all of them; never is never, however good the others are."""
    events = [event for event in held_to(SLO) if not (isinstance(event, e.FaultInjected) and event.fault == "latency")]
    good = judge(History(events))
    assert good.mttr_s == pytest.approx(4, abs=0.3)
    run_folder(tmp_path / "a", drills={"paper": events}, verdicts={"paper": good})
    with open_index(tmp_path) as index:
        (row,) = index.find(Wanted())
    assert (row.drills[0].mttr_s, row.drills[0].never_restored) == (good.mttr_s, 0)
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert f"{good.mttr_s:.1f} s" in capsys.readouterr().out
    never = msgspec.structs.replace(
        good, mttr_s=None, restored=[msgspec.structs.replace(good.restored[0], outcome="never", seconds=None)]
    )
    run_folder(tmp_path / "b", drills={"paper": events}, verdicts={"paper": never})
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert "never" in capsys.readouterr().out.split("all 2")[1]


def test_the_page_draws_the_limits_that_the_drill_was_held_to() -> None:
    """Those of its SLO file, not those that are built in."""
    slow = Slo(name="slow", sli=Sli(measure="ttft_s", cls="chat", limit=2.0), target=0.999)
    report = {cls.name: cls for cls in attainment(Digest(held_to(slow))).classes}
    assert report["chat"].promise == "99.9% whole with TTFT ≤ 2000 ms"
    assert report["code"].promise == ""
