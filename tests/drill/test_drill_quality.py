"""Golden questions with log-probabilities, asked of real engines of the embedded stack before and after a swap."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "refstack"))
from ref_engine import Server, engine

from servedrill.drill.quality import Said, drift_nats, quality_observed
from servedrill.history.dialect import Spoken
from servedrill.history.events import AnyEvent, DrillStarted, Observed, RequestRecord
from servedrill.history.history import History
from servedrill.history.promises import Promises
from servedrill.host.clock import now_ns
from servedrill.slo.openslo import read_slos
from servedrill.slo.spending import spending
from servedrill.stacks.protocols import Replica

SLOS = Path(__file__).parents[2] / "fixtures/data/slos/model-quality.json"


class Notebook:
    """A drill that only writes down, and its stack: engines that run."""

    def __init__(self, *servers: Server, oracle: Any = "formula") -> None:
        self.promises = Promises(model="v1", version="v1", oracle=oracle)
        self.spoken = Spoken()
        self.servers = servers
        self.events: list[AnyEvent] = [DrillStarted(t_ns=now_ns(), drill="swap", hypothesis="", seed=1)]
        self.skipped: list[str] = []

    @property
    def stack(self) -> Any:
        return self

    def replicas(self) -> list[Replica]:
        return [Replica(name=f"engine-{n}", role="engine", url=one.url) for n, one in enumerate(self.servers)]

    def observe(self, name: str, value: float, unit: str = "", **detail: Any) -> None:
        self.events.append(Observed(t_ns=now_ns(), name=name, value=value, unit=unit, detail=detail))

    def skip(self, part: str, reason: str) -> None:
        self.skipped.append(reason)

    def values(self, name: str) -> list[float | None]:
        return [one.value for one in self.events if isinstance(one, Observed) and one.name == name]

    def bad_ratio(self, slo: str) -> float:
        (wanted,) = [one for one in read_slos(SLOS).slos if one.name == slo]
        return spending(wanted, History(self.events)).bad_ratio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with engine(tmp_path) as server:
        yield server


def drill_of(notebook: Notebook) -> Any:
    return notebook


def test_the_same_version_drifts_by_nothing_and_another_one_measurably(server: Server) -> None:
    """Also from one process to the next; and model-quality.json judges a history by it."""
    notebook = Notebook(server)
    with quality_observed(drill_of(notebook)):
        pass
    assert notebook.values("logprob_drift_nats") == [0.0]
    assert notebook.bad_ratio("logprob-drift") == 0
    with quality_observed(drill_of(notebook)):
        assert server.post("/update_weights", {"version": "v2"})[1]["success"] is True
    same, other = notebook.values("logprob_drift_nats")
    assert same == 0
    assert other is not None
    assert 0.05 < other < 0.2
    assert [one.detail for one in notebook.events if isinstance(one, Observed) and one.value == other] == [
        {"engine": "engine-0", "before": "v1", "after": "v2"}
    ]
    assert notebook.bad_ratio("logprob-drift") == 0.5
    assert not any(isinstance(event, RequestRecord) for event in notebook.events)
    assert notebook.skipped == []


def test_a_model_that_knows_its_answers_is_as_sure_as_it_is_right(server: Server) -> None:
    """Within the limit of model-quality.json, before and after."""
    notebook = Notebook(server)
    with quality_observed(drill_of(notebook)):
        pass
    errors = notebook.values("calibration_error")
    assert len(errors) == 2
    assert all(error is not None and 0 < error < 0.1 for error in errors)
    assert notebook.bad_ratio("calibration-drift") == 0


def test_a_model_whose_right_answers_nobody_knows_is_not_called_uncalibrated(server: Server) -> None:
    """A real one never heard of these questions; its drift is measured all the same."""
    notebook = Notebook(server, oracle="recorded")
    with quality_observed(drill_of(notebook)):
        pass
    assert notebook.values("calibration_error") == []
    assert notebook.values("logprob_drift_nats") == [0.0]


def test_an_engine_that_is_gone_has_a_drift_that_nobody_knows(server: Server) -> None:
    """Which is a bad event, not a good one and not none."""
    notebook = Notebook(server)
    with quality_observed(drill_of(notebook)):
        server.end()
    assert notebook.values("logprob_drift_nats") == [None]
    assert notebook.bad_ratio("logprob-drift") == 1


def test_a_stack_that_gives_none_skips_the_part() -> None:
    """And says so; the block runs."""
    notebook = Notebook()
    ran = []
    with quality_observed(drill_of(notebook)):
        ran.append(1)
    assert ran == [1]
    assert notebook.skipped == ["no log-probabilities from any engine"]
    assert notebook.values("logprob_drift_nats") == []


def said(tokens: str, *logprobs: float) -> Said:
    return Said(version="v", text=tokens, tokens=tokens.split(), logprobs=list(logprobs))


def test_answers_that_part_ways_are_compared_up_to_there() -> None:
    """An exact match is another SLI's business."""
    before: list[Said | None] = [said("a b c", -0.1, -0.2, -0.3), said("x", -1.0), None]
    after: list[Said | None] = [said("a b d e", -0.2, -0.4, -9.0, -9.0), None, said("y", -1.0)]
    assert drift_nats(before, after) == pytest.approx(0.15)
    assert math.isnan(drift_nats(before[1:], after[1:]))
