"""What drills spend, which alerts they would raise, what is left, and who may not start when nothing is."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "checkers"))
from made_up import answered, at, cancelled, changed, history, many, observed, refused

from servedrill.commands.main import main
from servedrill.errors import UsageError
from servedrill.history.events import AnyEvent, DrillStarted
from servedrill.history.history import History
from servedrill.history.journal import read_events, write_events
from servedrill.runs.gate import objectives_for, refuse_if_spent
from servedrill.runs.spent import budget_left
from servedrill.slo.budget import budget_of, burn, spend
from servedrill.slo.evaluate import Tally
from servedrill.slo.openslo import SloFile, read_slos
from servedrill.slo.replay import replay
from servedrill.slo.slo import BurnCondition, Sli, Slo, event_of, slos_in
from servedrill.slo.spending import drill_replay, spending, spendings
from servedrill.slo.windows import burn_alerts, period_s_min
from tests.worlds.paper import run_drills

D = 86400.0
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SLO = Slo(name="answers", sli=Sli(measure="availability_ratio", cls="chat"), target=0.999)
CHAT = Path(__file__).parents[2] / "fixtures" / "data" / "slos" / "chat.yaml"


def outage(seconds: float, *, slice_s: float = 1.0, rate: float = 10.0) -> list[Tally]:
    """Everything bad."""
    return [Tally(t_ns=0, good=0, total=rate * slice_s) for _ in range(round(seconds / slice_s))]


# ---- which alert would page


@pytest.mark.parametrize(("seconds", "pages"), [(50, False), (51, False), (53, True), (60, True)])
def test_an_outage_pages_when_it_has_spent_two_percent(seconds: float, pages: bool) -> None:
    """At 99.9% a full outage has to last 14.4 x 0.001 x 1 h = 51.84 s; the slower alerts take longer than that."""
    fired = replay(outage(seconds), slice_s=1.0, seconds=seconds, target=0.999, alerts=burn_alerts(30 * D))
    assert [one.fired_s is not None for one in fired] == [pages, False, False, False]
    assert fired[0].burn_max == pytest.approx(seconds / 3600 / 0.001, rel=0.01)


def test_a_page_resolves_with_its_short_window() -> None:
    """Five minutes after a minute of outage, not an hour."""
    (page, *_) = replay(outage(60), slice_s=1.0, seconds=60, target=0.999, alerts=burn_alerts(30 * D))
    assert page.fired_s is not None
    assert page.resolved_s is not None
    assert 51.84 <= page.fired_s <= 60
    assert 300 < page.resolved_s <= 375


def test_pyrras_for_asks_for_more() -> None:
    """Its quickest alert waits for two minutes above the threshold of 14."""
    fired = {
        seconds: replay(
            outage(seconds), slice_s=1.0, seconds=seconds, target=0.999, alerts=burn_alerts(28 * D, "pyrra")
        )[0]
        for seconds in (40, 60)
    }
    assert fired[40].fired_s is None  # 40 s of 3600: burn 11
    assert fired[60].fired_s == pytest.approx(14 * 0.001 * 3600 + 120, abs=20)


def test_a_drill_without_an_event_raises_nothing() -> None:
    """Nor does a clean one."""
    for series in ([], [Tally(t_ns=0, good=0, total=0)], [Tally(t_ns=0, good=5, total=5)]):
        assert all(
            one.fired_s is None for one in replay(series, slice_s=1, seconds=1, target=0.99, alerts=burn_alerts(30 * D))
        )


# ---- what a drill spends


def test_spend_of_a_history() -> None:
    """Bad ratio over the target's, times the drill's share of the period; the drill's cancels change nothing."""
    told = history(*many(90, 0, 9), *many(10, 9, 9.9, refused, after_s=0.1), cancelled(5))
    spent = spending(SLO, told)
    assert (spent.bad_ratio, spent.seconds) == (pytest.approx(0.1), pytest.approx(9.91, abs=0.05))
    assert spent.spend == pytest.approx(spend(0.1, 0.999, seconds=spent.seconds, period_s=30 * D))
    other = spending(SLO, history(*many(10, 0, 9, cls="code")))
    assert (other.total, other.bad_ratio, other.seconds, other.spend) == (0, 0, 0, 0)
    assert drill_replay(SLO, told)[0].burn_max > 0


def test_every_slo_of_a_history_is_accounted_for() -> None:
    """The built-in ones or those of its file; the file's own alerts take the place of the usual windows, and an SLA raises none."""
    told = [*many(30, 0, 9), *many(70, 0, 9.9, refused)]
    assert [(one.slo, one.total) for one in spendings(history(*told))] == [("chat", 100), ("code", 0), ("summary", 0)]
    paged = msgspec.structs.replace(
        SLO, conditions=[BurnCondition(name="Quick", severity="critical", factor=2, window_s=1800)]
    )
    agreed = msgspec.structs.replace(SLO, name="agreed", agreement="sla")
    unheard = msgspec.structs.replace(SLO, name="queries", sli=Sli(ratio_query="up"))
    found = spendings(history(event_of([paged, agreed, unheard], t_ns=at(0), source="f.yaml"), *told))
    assert [(one.slo, [fired.alert.name for fired in one.alerts]) for one in found] == [
        ("answers", ["Quick"]),
        ("agreed", []),
    ]
    assert found[0].burn == pytest.approx(700)
    assert found[0].alerts[0].fired_s is not None


def test_what_a_drill_measured_itself_counts_before_and_after_its_traffic() -> None:
    """Golden questions are asked while nothing else is."""
    drift = Slo(name="drift", sli=Sli(measure="observed", observed="drift", op="lte", limit=0.1), target=0.5)
    told = history(observed("drift", 0.0, t=0.5), *many(10, 2, 9), observed("drift", 0.4, t=11))
    assert (spending(drift, told).total, spending(drift, told).bad_ratio) == (2, 0.5)


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
    data_source = f"---\napiVersion: openslo/v1\nkind: DataSource\nmetadata: {{name: p}}\nspec: {{type: Prometheus, connectionDetails: {{url: '{source}'}}}}\n"
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
    """At the head of its history and in the command that runs it again; they judge it later too, unless others are given."""
    done = run_drills(paper, "--slo", str(CHAT))
    assert f"--slo {CHAT}" in done.stdout.str()
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
    arguments = ("--slo", path.name, "--stack", "stack.toml", "--production")
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
    asked = ("--stack", "stack.toml")
    done = run_drills(paper, *asked)
    assert done.ret == 4
    assert "'prod' is a production stack; a drill's blast radius there: one engine of three" in done.stderr.str()
    assert "expected --production" in done.stderr.str()
    assert not (paper.path / "runs").exists()
    allowed = run_drills(paper, *asked, "--production")
    assert allowed.ret != 4
    assert (paper.path / "runs" / "latest" / "it" / "history.jsonl").exists()
    (paper.path / "stack.toml").write_text('environment = "production"\nname = "prod"\n')
    unstated = run_drills(paper, *asked, "--production")
    assert unstated.ret == 4
    assert "no blast_radius" in unstated.stderr.str()


def test_a_wrong_slo_file_is_wrong_usage(paper: pytest.Pytester) -> None:
    """Before anything runs, with all of its mistakes."""
    (paper.path / "slo.yaml").write_text("kind: SLOO\n")
    done = run_drills(paper, "--slo", "slo.yaml")
    assert done.ret == 4
    assert "did you mean 'SLO'" in done.stderr.str()


# ---- properties

RATIOS = st.floats(0, 1)
TARGETS = st.floats(0, 0.99999)
PERIODS = st.floats(6 * D, 400 * D)
SERIES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Tally(t_ns=0, good=min(pair), total=max(pair))),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)
@given(RATIOS, TARGETS, st.floats(0, 400 * D), PERIODS)
def test_spend_is_never_negative(bad_ratio: float, target: float, seconds: float, period_s: float) -> None:
    """It grows with everything that is bad, and a whole period at a burn rate of 1 spends exactly all."""
    share = spend(bad_ratio, target, seconds=seconds, period_s=period_s)
    assert share >= 0
    assert share <= spend(1.0, target, seconds=seconds, period_s=period_s) * (1 + 1e-9)
    assert spend(1 - target, target, seconds=period_s, period_s=period_s) == pytest.approx(1)
    assert budget_of("x", bad_ratio, target=target, period_s=period_s).spent == pytest.approx(burn(bad_ratio, target))


@settings(deadline=None)
@given(PERIODS, st.sampled_from(["sloth", "pyrra"]))
def test_windows_are_consistent(period_s: float, dialect: str) -> None:
    """The short one within the long one, within the period; slower alerts look at longer windows; in Sloth's, the long window at its factor spends its share."""
    alerts = burn_alerts(period_s, dialect)
    assert period_s >= period_s_min(dialect)
    for alert in alerts:
        assert 0 < alert.short_s < alert.long_s < period_s
        assert alert.for_s < alert.long_s
    for quick, slow in itertools.pairwise(alerts):
        assert quick.factor > slow.factor
        assert quick.long_s < slow.long_s
        assert quick.short_s < slow.short_s
    if dialect == "sloth":
        shares = [spend(alert.factor * 0.01, 0.99, seconds=alert.long_s, period_s=period_s) for alert in alerts]
        assert shares == pytest.approx([0.02, 0.05, 0.1, 0.1])


@settings(max_examples=30, deadline=None)
@given(SERIES, st.floats(0.5, 0.9999), st.floats(0.5, 30))
def test_replay_is_consistent(series: list[Tally], target: float, slice_s: float) -> None:
    """An alert fires only above its factor, and then resolves within its short window of the end; no burn is more than everything bad."""
    seconds = slice_s * len(series)
    for one in replay(series, slice_s=slice_s, seconds=seconds, target=target, alerts=burn_alerts(30 * D)):
        assert 0 <= one.burn_max <= burn(1.0, target) * (1 + 1e-9)
        if one.fired_s is not None:
            assert one.burn_max > one.alert.factor
            assert one.resolved_s is not None
            assert one.fired_s < one.resolved_s <= seconds + one.alert.short_s + 60
        else:
            assert one.burn_max <= one.alert.factor * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([answered, refused, cancelled]), st.floats(0, 11)), max_size=20), TARGETS)
def test_a_drills_spend_is_never_negative(drawn: list[tuple[Any, float]], target: float) -> None:
    """Whatever happened in it."""
    told = history(*(build(t) for build, t in drawn))
    one = Slo(name="x", sli=SLO.sli, target=target)
    spent = spending(one, told)
    assert 0 <= spent.bad_ratio <= 1
    assert spent.seconds >= 0
    assert spent.spend >= 0
    assert at(0) <= told.start_ns
