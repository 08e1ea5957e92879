"""A run as an OpenMetrics text file: for node_exporter's textfile collector, a push gateway, or a dashboard of nightly
runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime

import httpx
from prometheus_client import push_to_gateway
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from servedrill.checkers.finding import Answer
from servedrill.control.bounded import call, told
from servedrill.errors import UsageError
from servedrill.reporting.budgets import judged
from servedrill.runs.stored import StoredRun
from servedrill.secrecy.known import cut, learn_url

JOB = "servedrill"
PUSH_WITHIN_S = 10.0


def openmetrics(run: StoredRun) -> bytes:
    """The file's content, ending in ``# EOF``."""
    content: bytes = generate_latest(_registry(run))  # type: ignore[no-untyped-call]
    return content


def push(run: StoredRun, url: str) -> None:
    """The same to a Pushgateway, in the place of what this job pushed before. Raises `UsageError` where that cannot
    be."""
    try:
        push_to_gateway(learn_url(url), job=JOB, registry=_registry(run), timeout=PUSH_WITHIN_S, handler=_bounded_call)
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(
            f"cannot be pushed to: {told(error)}", where="--push", expected="a Pushgateway, like http://127.0.0.1:9091"
        ) from error


def _bounded_call(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """As the library's own handlers, with one time for all of the answer."""

    def send() -> None:
        answer = call(
            method, url, timeout_s=timeout or PUSH_WITHIN_S, by_proxy=True, headers=dict(headers), content=data
        )
        if answer.status_code >= 300:
            raise OSError(f"HTTP {answer.status_code} {cut(answer.text, 200).strip()}".strip())

    return send


def _registry(run: StoredRun) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Run(run))
    return registry


class _Run(Collector):
    def __init__(self, run: StoredRun) -> None:
        self._run = run

    def collect(self) -> Iterator[Metric]:
        run = self._run
        about = InfoMetricFamily("servedrill_run", "The run: its folder, seed and version.")
        version = run.about.versions.get("servedrill", "")
        about.add_metric([], {"run": run.folder.name, "seed": str(run.about.seed), "version": version})
        yield about
        began = GaugeMetricFamily("servedrill_run_started", "When the run began.", unit="seconds")
        try:
            began.add_metric([], datetime.fromisoformat(run.about.began).timestamp())
            yield began
        except ValueError:
            pass
        labels = ["drill", "control"]
        verdict = StateSetMetricFamily("servedrill_drill_verdict", "What each drill came to.", labels=labels)
        claims = GaugeMetricFamily(
            "servedrill_drill_claims", "Claims of each drill, by answer.", labels=[*labels, "answer"]
        )
        phases = GaugeMetricFamily(
            "servedrill_drill_phase",
            "Time to detect, to fail over, to recover; mean time to restore, +Inf where users never came back.",
            labels=[*labels, "phase"],
            unit="seconds",
        )
        budgets = GaugeMetricFamily(
            "servedrill_drill_budget_spend",
            "Share of the period's error budget that each drill spent.",
            labels=[*labels, "slo"],
            unit="ratio",
        )
        figures = GaugeMetricFamily(
            "servedrill_drill_figure",
            "What was measured for a claim; the unit is in the figure's name.",
            labels=[*labels, "checker", "window", "figure"],
        )
        for drill in run.drills:
            names = [drill.name, str(drill.verdict.control).lower()]
            verdict.add_metric(names, {answer.value: drill.verdict.answer is answer for answer in Answer})
            for answer in Answer:
                claims.add_metric([*names, answer.value], len(drill.verdict.of(answer)))
            for phase, value in (
                ("detect", drill.verdict.detect_s),
                ("failover", drill.verdict.failover_s),
                ("recover", drill.verdict.recover_s),
                ("restore", math.inf if drill.verdict.never_restored else drill.verdict.mttr_s),
            ):
                if value is not None:
                    phases.add_metric([*names, phase], value)
            for spent in judged(drill.verdict.spending):
                budgets.add_metric([*names, spent.slo], spent.spend)
            seen: set[tuple[str, ...]] = set()
            for finding in drill.verdict.findings:
                for name, figure in finding.figures.items():
                    key = (finding.checker, finding.window, name)
                    if key not in seen:  # a checker that was asked for twice in one window: the first counts
                        seen.add(key)
                        figures.add_metric([*names, *key], figure)
        yield from (verdict, claims, phases, budgets, figures)
