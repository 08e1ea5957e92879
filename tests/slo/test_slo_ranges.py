"""Queries whose range stands elsewhere than servedrill has it, or nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servedrill.slo.openslo import check, read_slos
from servedrill.slo.ranges import grown, proposed, with_window
from tests.worlds.slos import changed, written


def ratio(good: Any, total: Any, *, counter: bool | None = True, key: str = "query") -> dict[str, Any]:
    """An SLO of two queries."""
    metric: dict[str, Any] = {
        "good": {"metricSource": {"type": "prometheus", "spec": {key: good}}},
        "total": {"metricSource": {"type": "prometheus", "spec": {key: total}}},
    }
    if counter is not None:
        metric["counter"] = counter
    slo = changed("spec.indicator", {"spec": {"ratioMetric": metric}})
    slo["spec"]["objectives"] = [{"target": 0.99}]
    return slo


def complaints(folder: Path, slo: dict[str, Any]) -> list[str]:
    return [str(one) for one in check([written(folder, slo)])[1]]


@pytest.mark.parametrize(
    ("query", "increase"),
    [
        ("answers", "sum(increase(answers[$window]))"),
        ('answers{code=~"2xx|4xx"}', 'sum(increase(answers{code=~"2xx|4xx"}[$window]))'),
        ('sum(answers{path="/a}b", to!=\'"\'})', 'sum(increase(answers{path="/a}b", to!=\'"\'}[$window]))'),
        (' sum ( {__name__="answers"} ) ', 'sum(increase({__name__="answers"}[$window]))'),
    ],
)
def test_a_plain_counter_is_what_it_grew(query: str, increase: str, tmp_path: Path) -> None:
    """A counter's own value is of no period; that is what `counter: true` says."""
    (slo,) = read_slos(written(tmp_path, ratio(query, "all_of_them"))).slos
    assert slo.sli.good_query == increase
    assert slo.sli.total_query == "sum(increase(all_of_them[$window]))"


@pytest.mark.parametrize("window", ["{{.window}}", "{{.Window}}", "{{ .window }}", "{{- .window -}}", "$window"])
@pytest.mark.parametrize("key", ["query", "promql"])
def test_other_tools_words_for_the_window_and_the_query(window: str, key: str, tmp_path: Path) -> None:
    """Sloth's and Nobl9's."""
    file = ratio(f"sum(rate(good[{window}]))", f"sum(rate(all[{window}]))", counter=None, key=key)
    (slo,) = read_slos(written(tmp_path, file)).slos
    assert (slo.sli.good_query, slo.sli.total_query) == ("sum(rate(good[$window]))", "sum(rate(all[$window]))")


@pytest.mark.parametrize(
    ("query", "counter", "meant"),
    [
        ("sum(rate(good[5m]))", None, "sum(rate(good[$window]))"),
        ('sum by (job) (good{a="("})', True, 'sum by (job) (increase(good{a="("}[$window]))'),
        ("sum(good) + sum(fine)", True, "sum(increase(good[$window])) + sum(increase(fine[$window]))"),
        ("good / on (job) fine", True, "increase(good[$window]) / on (job) increase(fine[$window])"),
    ],
)
def test_what_is_no_plain_counter_is_refused_with_what_was_meant(
    query: str, counter: bool | None, meant: str, tmp_path: Path
) -> None:
    """Somebody has to look at it: it could mean something else."""
    (said,) = complaints(tmp_path, ratio(query, "sum(rate(all[$window]))", counter=counter))
    assert "has no $window" in said
    assert said.endswith(f"did you mean {meant!r}?")


def test_beside_a_rate_no_counter_is_taken_for_its_increase(tmp_path: Path) -> None:
    """The ratio of both would be off by the length of the range."""
    (said,) = complaints(tmp_path, ratio("sum(rate(good[$window]))", "sum(all)"))
    assert "total.metricSource.spec.query: has no $window" in said
    assert "did you mean 'sum(increase(all[$window]))'?" in said


def test_series_that_nobody_calls_counters_are_refused(tmp_path: Path) -> None:
    """They may be gauges; the word that would make counters of them is said."""
    said = complaints(tmp_path, ratio("sum(good)", "sum(all)", counter=False))
    assert len(said) == 2
    assert "'counter: true' takes it for 'sum(increase(good[$window]))'" in said[0]


@pytest.mark.parametrize("query", ["sum(good offset 5m)", "max_over_time(good[1h:1m])", "1", "sum("])
def test_nothing_is_proposed_where_nothing_is_known(query: str) -> None:
    """Better no answer than a wrong one."""
    assert (grown(query), proposed(query, counter=True)) == ("", "")


@pytest.mark.parametrize(
    ("spec", "said"),
    [({}, "'query' is missing"), ({"query": "a[$window]", "promql": "a[$window]"}, "has both query and promql")],
)
def test_a_source_has_one_query(spec: dict[str, str], said: str, tmp_path: Path) -> None:
    """By either name."""
    slo = ratio("sum(increase(a[$window]))", "sum(increase(a[$window]))")
    slo["spec"]["indicator"]["spec"]["ratioMetric"]["good"]["metricSource"]["spec"] = spec
    (found,) = complaints(tmp_path, slo)
    assert said in found


@given(st.text(alphabet="ab_:{}()[]\"'`\\=~, 05m.$@|sumbyon", max_size=60))
def test_any_text_is_a_query_or_none(query: str) -> None:
    """Whatever it is, what comes of it has a range, or nothing comes of it."""
    for found in (grown(query), proposed(query, counter=True), proposed(query, counter=False)):
        assert not found or "$window" in found
    assert with_window(query) == query
