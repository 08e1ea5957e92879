"""What is left of error budgets, and who may not start when nothing is."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "checkers"))
from made_up import changed, history, many, refused

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.history.events import AnyEvent, DrillStarted
from servedrill.history.history import History
from servedrill.history.journal import read_events, write_events
from servedrill.runs.gate import objectives_for, refuse_if_spent
from servedrill.runs.spent import budget_left
from servedrill.slo.openslo import SloFile, read_slos
from servedrill.slo.slo import Sli, Slo, slos_in
from servedrill.slo.spending import spending
from tests.worlds.paper import run_drills

D = 86400.0
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SLO = Slo(name="answers", sli=Sli(measure="availability_ratio", cls="chat"), target=0.999)
CHAT = Path(__file__).parents[2] / "fixtures" / "data" / "slos" / "chat.yaml"


# ---- what is left


def stored(runs: Path, name: str, *events: AnyEvent, began: datetime, stack: str = "prod", drill: str = "d") -> Path:
    """A run with one drill."""
    folder = runs / name / drill
    folder.mkdir(parents=True)
    told = history(*events).events
    write_events(
        folder / "history.jsonl",
        [
            changed(one, wall_time=began.isoformat(), stack=stack, drill=drill)
            if isinstance(one, DrillStarted)
            else one
            for one in told
        ],
    )
    os.utime(folder / "history.jsonl", (began.timestamp() + 60,) * 2)
    return folder


def test_budget_left_is_what_the_periods_drills_did_not_spend(tmp_path: Path) -> None:
    """Of the last 30 days, of one stack, each once although `latest` leads to it too."""
    down = many(60, 0, 12, refused)
    stored(tmp_path, "old", *down, began=NOW - timedelta(days=31))
    stored(tmp_path, "one", *down, began=NOW - timedelta(days=29))
    two = stored(tmp_path, "two", *down, began=NOW - timedelta(hours=1))
    stored(tmp_path, "other", *down, began=NOW - timedelta(hours=1), stack="embedded")
    (tmp_path / "latest").symlink_to("two")
    budget, drills = budget_left([SLO], tmp_path, now=NOW, stack="prod")["answers"]
    each = spending(SLO, History(read_events(two / "history.jsonl"))).spend
    assert len(drills) == 2
    assert budget.left == pytest.approx(1 - 2 * each)
    assert budget_left([SLO], tmp_path, now=NOW)["answers"][0].spent == pytest.approx(3 * each)
    assert budget_left([SLO], tmp_path / "nothing", now=NOW)["answers"][0].left == 1


def test_a_calendar_month_begins_anew(tmp_path: Path) -> None:
    """What was spent before the first of the month is of another budget."""
    stored(tmp_path, "may", *many(60, 0, 12, refused), began=datetime(2026, 5, 31, 23, 59, tzinfo=UTC))
    stored(tmp_path, "june", *many(60, 0, 12, refused), began=datetime(2026, 6, 1, 0, 1, tzinfo=UTC))
    monthly = Slo(name="m", sli=SLO.sli, target=0.999, calendar_start="2026-01-01T00:00:00+00:00", calendar_unit="1M")
    assert [one.folder.split("/")[-2] for one in budget_left([monthly], tmp_path, now=NOW)["m"][1]] == ["june"]
    assert len(budget_left([SLO], tmp_path, now=NOW)["answers"][1]) == 2


def test_a_history_that_cannot_be_read_is_no_small_budget(tmp_path: Path) -> None:
    """Leaving it out would make the budget look better than it is."""
    folder = stored(tmp_path, "one", *many(9, 0, 9), began=NOW)
    (folder / "history.jsonl").write_text("{}\n{}\n")
    os.utime(folder / "history.jsonl", (NOW.timestamp(),) * 2)
    with pytest.raises(UsageError, match="cannot be read"):
        budget_left([SLO], tmp_path, now=NOW)


TINY = """\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: answers, annotations: {{servedrill/when-spent: "roll-back, watch-more"}}}}
spec:
  service: chat
  indicator:
    spec:
      ratioMetric:
        good: {{metricSource: {{type: servedrill, spec: {{count: whole, class: chat}}}}}}
        total: {{metricSource: {{type: servedrill, spec: {{count: attempted, class: chat}}}}}}
  timeWindow: [{{duration: 7d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: {target}}}]
"""


def slo_file(folder: Path, *, target: str, source: str = "") -> Path:
    path = folder / "slo.yaml"
    spec = f"{{type: Prometheus, connectionDetails: {{url: '{source}'}}}}"
    data_source = f"---\napiVersion: openslo/v1\nkind: DataSource\nmetadata: {{name: p}}\nspec: {spec}\n"
    path.write_text(TINY.format(target=target) + (data_source if source else ""))
    return path


def test_the_command_prints_and_gates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 with budget left, 1 when it is spent, and then what follows, by the file's own words."""
    now = datetime.now(UTC)
    stored(tmp_path / "runs", "one", *many(60, 0, 12, refused), began=now, drill="down")
    arguments = ["--runs", str(tmp_path / "runs")]
    assert main(["budget", "--slo", str(slo_file(tmp_path, target="0.999")), *arguments]) == 0
    text = capsys.readouterr().out
    assert "answers: down spent 1.9" in text
    assert "100.00% bad for 12 s); would raise no alert" in text
    assert main(["budget", "--slo", str(slo_file(tmp_path, target="0.99999")), *arguments]) == 1
    text = capsys.readouterr().out
    assert "answers: the budget is spent: the last risky change is rolled back; somebody watches the service" in text
    assert "would raise: page (3.36 over 1h and 5m) after" in text
    assert main(["budget", *arguments, "--stack-name", "other"]) == 0
    assert main(["budget", "--runs", str(tmp_path / "no")]) == 4


class _Prometheus(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query)["query"][0]
        self.server.asked.append((query, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        ratio = self.server.ratio  # type: ignore[attr-defined]
        result = "[]" if ratio is None else f'[{{"metric": {{}}, "value": [1, "{ratio}"]}}]'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'{{"status": "success", "data": {{"resultType": "vector", "result": {result}}}}}'.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Any:
    """Answers every query with one ratio of bad events."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Prometheus)
    server.asked, server.ratio = [], 0.0004
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_budget_of_a_prometheus(
    prometheus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked over the whole period; named by the file or by the command; a token is sent and never shown."""
    monkeypatch.setenv("SERVEDRILL_PROMETHEUS_TOKEN", "s3cret")
    path = slo_file(tmp_path, target="0.999", source=prometheus.url)
    assert main(["budget", "--slo", str(path)]) == 0
    (query, authorization) = prometheus.asked[0]
    assert "[7d]" in query
    assert "vllm:request_success_total" in query
    assert authorization == "Bearer s3cret"
    text = capsys.readouterr().out
    assert "40.00%" in text
    assert "60.00%" in text
    assert "s3cret" not in text
    prometheus.ratio = None
    assert main(["budget", "--slo", str(path)]) == 6
    prometheus.ratio = 0.0011
    assert main(["budget", "--slo", str(slo_file(tmp_path, target="0.999")), "--prometheus", prometheus.url]) == 1


# ---- drills on production


def test_production_refuses_when_the_budget_is_spent(tmp_path: Path) -> None:
    """Its own stack's drills count, and only on production; the refusal says what is to be done."""
    now = datetime.now(UTC)
    stored(tmp_path / "runs", "one", *many(60, 0, 12, refused), began=now, stack="prod")
    spent, left = slo_file(tmp_path, target="0.99999"), {"stack": "prod", "runs": tmp_path / "runs"}
    with pytest.raises(UsageError, match=r"the error budget is spent: answers 19\d%") as refusal:
        objectives_for(str(spent), environment="production", **left)
    assert "the last risky change is rolled back" in refusal.value.hint
    for environment in ("local", "staging"):
        (given_objectives,) = objectives_for(str(spent), environment=environment, **left)
        assert (given_objectives.source, len(given_objectives.slos)) == (str(spent), 1)
    assert objectives_for(str(spent), environment="production", stack="another", runs=tmp_path / "runs")
    assert objectives_for(None, environment="production", **left) == []


def test_production_refuses_without_data(prometheus: Any, tmp_path: Path) -> None:
    """Where the file names a Prometheus, a budget that it cannot tell is no budget."""
    file = read_slos(slo_file(tmp_path, target="0.999", source=prometheus.url))
    refuse_if_spent(file, stack="prod", runs=tmp_path)
    prometheus.ratio = None
    with pytest.raises(UsageError, match="no data for the budget of answers"):
        refuse_if_spent(file, stack="prod", runs=tmp_path)
    with pytest.raises(UsageError, match="no answer"):
        refuse_if_spent(SloFile(slos=file.slos, prometheus_url="http://127.0.0.1:9"), stack="prod", runs=tmp_path)


pytest_plugins = ["pytester"]


@pytest.fixture
def paper(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a drill on a stack of paper."""
    pytester.makepyfile(test_it="def test_it(drill):\n    '''It holds.'''\n")
    (pytester.path / "stack.toml").write_text(
        'environment = "production"\nname = "prod"\nblast_radius = "one engine of three"\n'
    )
    return pytester


def test_a_drill_is_given_its_objectives(paper: pytest.Pytester) -> None:
    """At the head of its history and in the command that runs it again; they judge it later too, or others do."""
    done = run_drills(paper, "--drill-slo", str(CHAT))
    assert f"--drill-slo {CHAT}" in done.stdout.str()
    path = paper.path / "runs" / "latest" / "it" / "history.jsonl"
    told = History(read_events(path))
    given_slos = slos_in(told)
    assert given_slos == read_slos(CHAT).slos
    assert main(["judge", str(path.parent), "--slo", str(CHAT.parent / "code.yaml")]) in (1, 6)
    assert slos_in(History(read_events(path))) == given_slos


def test_a_drill_on_production_does_not_start(paper: pytest.Pytester) -> None:
    """Exit code 4 and one line; no stack is brought up and no history is begun."""
    stored(paper.path / "runs", "before", *many(60, 0, 12, refused), began=datetime.now(UTC), stack="prod")
    path = slo_file(paper.path, target="0.99999")
    arguments = ("--drill-slo", path.name, "--drill-stack", "stack.toml", "--drill-production")
    done = run_drills(paper, *arguments)
    assert done.ret == 4
    assert any("production stack 'prod': the error budget is spent" in line for line in done.outlines)
    assert [
        found.parts[-3]
        for found in (paper.path / "runs").glob("*/*/history.jsonl")
        if not found.parents[1].is_symlink()
    ] == ["before"]


def test_production_takes_a_flag_and_a_blast_radius(paper: pytest.Pytester) -> None:
    """The refusal names what is at stake; with the flag it goes on to the budget."""
    asked = ("--drill-stack", "stack.toml")
    done = run_drills(paper, *asked)
    assert done.ret == 4
    assert "'prod' is a production stack; a drill's blast radius there: one engine of three" in done.stderr.str()
    assert "expected --drill-production" in done.stderr.str()
    assert not (paper.path / "runs").exists()
    allowed = run_drills(paper, *asked, "--drill-production")
    assert allowed.ret != 4
    assert (paper.path / "runs" / "latest" / "it" / "history.jsonl").exists()
    (paper.path / "stack.toml").write_text('environment = "production"\nname = "prod"\n')
    unstated = run_drills(paper, *asked, "--drill-production")
    assert unstated.ret == 4
    assert "no blast_radius" in unstated.stderr.str()


def test_a_wrong_slo_file_is_wrong_usage(paper: pytest.Pytester) -> None:
    """Before anything runs, with all of its mistakes."""
    (paper.path / "slo.yaml").write_text("kind: SLOO\n")
    done = run_drills(paper, "--drill-slo", "slo.yaml")
    assert done.ret == 4
    assert "did you mean 'SLO'" in done.stderr.str()
