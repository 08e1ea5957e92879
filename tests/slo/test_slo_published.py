"""Windows, burn rates and budgets against the numbers that other tools publish, to four digits.

Sloth: internal/alert/alert_test.go and examples/_gen/getting-started.yml. Pyrra: slo/rules_test.go, mcp_test.go.
slo-generator: tests/unit/fixtures/slo_report_v2.json, dummy_tests.json, samples/config.yaml. OpenSLO:
examples/budgeting-method/README.md. SRE workbook, chapter 5.
"""

from __future__ import annotations

import pytest

from servedrill.slo.budget import budget_of, burn, spend, window_report
from servedrill.slo.windows import WORKBOOK, Share, absent_for_s, burn_alerts, exhausts_in_s

M, H, D = 60.0, 3600.0, 86400.0


def four(value: float) -> float:
    """To four significant digits."""
    return float(f"{value:.4g}")


@pytest.mark.parametrize(("days", "factors"), [(30, [14.4, 6, 3, 1]), (28, [13.44, 5.6, 2.8, 0.9333])])
def test_sloth_windows_and_factors(days: int, factors: list[float]) -> None:
    """Sloth's catalogue has these two periods; at 99.9% an alert's ratio is the factor times 0.001."""
    alerts = burn_alerts(days * D, "sloth")
    assert [four(alert.factor) for alert in alerts] == factors
    assert [(alert.long_s, alert.short_s) for alert in alerts] == [
        (H, 5 * M),
        (6 * H, 30 * M),
        (D, 2 * H),
        (3 * D, 6 * H),
    ]
    assert [alert.severity for alert in alerts] == ["page", "page", "ticket", "ticket"]
    assert four(alerts[0].threshold(0.999)) == four(factors[0] * 0.001)


def test_sloth_custom_windows() -> None:
    """Its example of seven days with shares of its own: 8%, 12.5%, 20%, 42%."""
    shares = [
        Share(severity=one.severity, budget_percent=percent, long_s=one.long_s, short_s=one.short_s)
        for one, percent in zip(WORKBOOK, (8, 12.5, 20, 42), strict=True)
    ]
    assert [four(alert.factor) for alert in burn_alerts(7 * D, shares=shares)] == [13.44, 3.5, 1.4, 0.98]


def test_pyrra_windows_factors_and_for() -> None:
    """28 days as its tests have them, and the time in which each rate would exhaust the budget."""
    alerts = burn_alerts(28 * D, "pyrra")
    assert [(a.factor, a.long_s, a.short_s, a.for_s) for a in alerts] == [
        (14, H, 5 * M, 2 * M),
        (7, 6 * H, 30 * M, 15 * M),
        (2, D, 2 * H, H),
        (1, 4 * D, 6 * H, 3 * H),
    ]
    assert [exhausts_in_s(28 * D, alert.factor) for alert in alerts] == [2 * D, 4 * D, 14 * D, 28 * D]


@pytest.mark.parametrize(("target", "minutes"), [(0.99, 10), (0.999, 3)])
def test_pyrra_absent_telemetry(target: float, minutes: int) -> None:
    """How long its SLOMetricAbsent waits over four weeks: 10 m at 99%, 3 m at 99.9%."""
    assert absent_for_s(28 * D, target) == minutes * M


def test_pyrra_budget_and_availability() -> None:
    """A latency objective of 90% that 32.79% of requests met has -572.1% of its budget left; one without errors all."""
    assert four(100 * budget_of("caddy-response-latency", 1 - 0.3279, target=0.9, period_s=28 * D).left) == -572.1
    assert budget_of("prometheus-api-errors", 0.0, target=0.99, period_s=14 * D).left == 1


def test_slo_generator_report() -> None:
    """Its fixture of 3,556 good and as many bad events at 90% over twelve hours."""
    report = window_report(3556, 3556, target=0.9, window_s=43200, burn_max=3)
    assert (report.sli, four(report.gap), four(report.budget_ratio), report.bad_ratio) == (0.5, -0.4, 0.1, 0.5)
    assert (four(report.budget_minutes), four(report.bad_minutes), four(report.left_minutes)) == (72, 360, -288)
    assert (report.burn, report.alert) == (5.0, True)


@pytest.mark.parametrize(
    ("good", "bad", "sli"), [(5, 5, 0.5), (0, 15, 0.0), (15, 0, 1.0)]
)  # "enough events", "no good events", "no bad events"
def test_slo_generator_edge_cases(good: int, bad: int, sli: float) -> None:
    """Its dummy tests; without a bad event nothing burns."""
    report = window_report(good, bad, target=0.99, window_s=3600, burn_max=9)
    assert report.sli == sli
    assert report.alert is (sli < 1)


def test_openslo_budgeting_methods() -> None:
    """Its example: 95% over two weeks of 24,000 requests a day: 16,800 bad ones, or 16 h 48 min, spend everything."""
    assert four(spend(1.0, 0.95, seconds=16 * H + 48 * M, period_s=14 * D)) == 1
    assert four(burn(16_800 / 336_000, 0.95)) == 1


def test_a_minute_of_outage() -> None:
    """60 s of full outage at 99.9% of 30 days: a burn rate of 1,000, and 2.315% of the budget."""
    assert four(burn(1.0, 0.999)) == 1000
    assert four(100 * spend(1.0, 0.999, seconds=60, period_s=30 * D)) == 2.315
    # The workbook's table: a burn rate of 1, 2, 10, 1,000 spends 30 days' budget in 30, 15, 3 days, 43 minutes.
    assert [four(exhausts_in_s(30 * D, rate) / M) for rate in (1, 2, 10, 1000)] == [43200, 21600, 4320, 43.2]
