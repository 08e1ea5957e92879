"""One vocabulary for every vendor: whose page it is, what it says, and what it should have said."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from servedrill.dialect.scrape import names_on, read_page
from servedrill.dialect.vendor import UNITS, Vendor
from servedrill.dialect.vendors import KNOWN, installed, vendor_of

ROOT = Path(__file__).parents[2]


def named(name: str, role: str) -> Vendor:
    return next(vendor for vendor in KNOWN if (vendor.name, vendor.role) == (name, role))


def page(vendor: Vendor, *, without: str = "", number: float = 3) -> str:
    """A page with every metric of a vendor, but for one word's."""
    lines = ["# HELP python_info Python.", "python_info 1.0"]
    label_of = {term.sources[0]: term.label for term in vendor.terms if term.label}
    for term in vendor.terms:
        label, value = term.where if term.where[0] else (label_of.get(term.sources[0]), "one")
        labels = f'{{{label}="{value}"}}' if label else ""
        if term.word != without:
            lines.append(f"{term.sources[0]}{labels} {number}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


BY_NAME = pytest.mark.parametrize("vendor", KNOWN, ids=lambda vendor: f"{vendor.name}-{vendor.role}")


@BY_NAME
def test_a_page_is_known_by_its_names(vendor: Vendor) -> None:
    assert vendor_of(page(vendor), vendor.role) is vendor


@BY_NAME
def test_every_word_of_a_vendor_is_read(vendor: Vendor) -> None:
    read = read_page(page(vendor), vendor)
    assert {word.partition("/")[0] for word in read.values} == {term.word for term in vendor.terms}
    assert set(read.values.values()) == {3.0}
    assert read.missing == []


@pytest.mark.parametrize(
    ("vendor", "word"),
    [(vendor, term.word) for vendor in KNOWN for term in vendor.terms if not term.lazy],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_metric_that_was_renamed_is_missing_by_name(vendor: Vendor, word: str) -> None:
    """And its word has no value, least of all zero."""
    read = read_page(page(vendor, without=word), vendor)
    assert read.missing == [word]
    assert not [key for key in read.values if key.partition("/")[0] == word]


def test_what_comes_with_its_first_event_is_not_missing_before() -> None:
    router = named("vllm-router", "gateway")
    read = read_page('vllm_router_worker_health{worker="http://a"} 1\n', router)
    assert (read.values, read.missing) == ({"healthy/http://a": 1.0}, [])


def test_samples_are_added_up_unless_a_label_keeps_them_apart_or_they_are_ratios() -> None:
    text = (
        'vllm:num_requests_running{engine="0"} 2\nvllm:num_requests_running{engine="1"} 3\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\nvllm:kv_cache_usage_perc{engine="1"} 0.25\n'
        'vllm:request_success_total{finished_reason="stop"} 7\nvllm:request_success_total{finished_reason="length"} 1\n'
    )
    values = read_page(text, named("vLLM", "engine")).values
    assert values == {"running": 5.0, "kv_usage": 0.5, "ended/stop": 7.0, "ended/length": 1.0}


def test_an_older_name_counts_where_the_new_one_is_not() -> None:
    values = read_page("vllm:gpu_cache_usage_perc 0.75\n", named("vLLM", "engine")).values
    assert values == {"kv_usage": 0.75}


def test_a_page_of_nobody_is_nobodys() -> None:
    assert vendor_of("python_info 1.0\n", "engine") is None
    assert vendor_of("vllm:num_requests_running 0\n", "gateway") is None


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("0.32.0", True),
        ("v0.9.2", True),
        ("0.33.1.dev4", True),
        ("0.34.0", False),
        ("1.0", False),
        ("", False),
        ("main", False),
    ],
)
def test_a_version_whose_names_were_never_checked_is_not_known(version: str, known: bool) -> None:
    assert named("vLLM", "engine").knows(version) is known


def test_the_table_for_people_has_every_name() -> None:
    """METRICS.md says what the code reads."""
    text = (ROOT / "METRICS.md").read_text()
    told = set(re.findall(r"`([^`]+)`", text))
    for vendor in KNOWN:
        for term in vendor.terms:
            assert term.word in UNITS
            assert any(name.split("{")[0] == term.sources[0] for name in told), (vendor.name, term.sources[0])


PRIORITIES = """\
sglang:num_running_reqs{model_name="m",pp_rank="0",priority="",tp_rank="0"} 14.0
sglang:num_running_reqs{model_name="m",pp_rank="0",priority="-1",tp_rank="0"} 0.0
sglang:num_running_reqs{model_name="m",pp_rank="0",priority="0",tp_rank="0"} 14.0
sglang:num_queue_reqs{model_name="m",pp_rank="0",priority="",tp_rank="0"} 2.0
sglang:num_queue_reqs{model_name="m",pp_rank="0",priority="-1",tp_rank="0"} 2.0
sglang:token_usage{model_name="m",pp_rank="0",tp_rank="0"} 0.5
"""
RANKS = """\
sglang:num_running_reqs{model_name="m",dp_rank="0",tp_rank="0"} 4.0
sglang:num_running_reqs{model_name="m",dp_rank="0",tp_rank="1"} 4.0
sglang:num_running_reqs{model_name="m",dp_rank="1",tp_rank="0"} 2.0
sglang:num_running_reqs{model_name="m",dp_rank="1",tp_rank="1"} 2.0
sglang:num_queue_reqs{model_name="m",dp_rank="0"} 0.0
sglang:token_usage{model_name="m",dp_rank="0"} 0.5
"""
RAY = """\
ray_vllm:num_requests_running{Component="core_worker",WorkerId="w1",model_name="m"} 3.0
ray_vllm:num_requests_waiting{Component="core_worker",WorkerId="w1",model_name="m"} 1.0
"""
TRITON = """\
nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 4
nv_trt_llm_request_metrics{model="m",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="m",version="1"} 0.25
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="m",version="1"} 64
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (PRIORITIES, {"running": 14.0, "waiting": 2.0, "kv_usage": 0.5}),
        (RANKS, {"running": 6.0, "waiting": 0.0, "kv_usage": 0.5}),
        (RAY, {"running": 3.0, "waiting": 1.0}),
        (RAY.replace("ray_", "kserve_"), {"running": 3.0, "waiting": 1.0}),
        ("sglang_num_running_reqs 3\nsglang_num_queue_reqs 1\n", {"running": 3.0, "waiting": 1.0}),
        (TRITON, {"running": 4.0, "waiting": 3.0, "kv_usage": 0.25}),
        ("lmdeploy:num_requests_running 2\nlmdeploy:num_requests_waiting 0\n", {"running": 2.0, "waiting": 0.0}),
        ('vllm:num_requests_running NaN\nvllm:num_requests_running{a="1"} 2\n', {"running": math.nan}),
    ],
    ids=["priorities", "ranks", "ray", "kserve", "underscores", "triton", "lmdeploy", "nan"],
)
def test_each_request_counts_once(text: str, values: dict[str, float]) -> None:
    """Copies of one figure are not added up, and a sum beside its parts is the sum; a mark may have another's name
    first."""
    vendor = vendor_of(text, "engine")
    assert vendor is not None
    assert read_page(text, vendor).values == pytest.approx(values, nan_ok=True)


def test_a_ratio_that_is_no_number_is_not_zero() -> None:
    """A gauge that says NaN says nothing; another one beside it counts."""
    page = 'vllm:kv_cache_usage_perc{engine="0"} NaN\n'
    vllm = named("vLLM", "engine")
    assert math.isnan(read_page(page, vllm).values["kv_usage"])
    assert read_page(page + 'vllm:kv_cache_usage_perc{engine="1"} 0.25\n', vllm).values == {"kv_usage": 0.25}


def test_a_page_that_nobody_knows_is_described() -> None:
    """By what its names begin with, so that whoever reads the verdict can tell whose page it is."""
    text = "# TYPE acme_busy gauge\nacme_busy 3\nacme_queue_depth 1\nhttp_requests_total 7\n"
    assert names_on(text) == ["acme_*", "http_*"]


def test_another_package_brings_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group servedrill.vendors is a vendor, asked for pages that are nobody's of ours."""
    package = tmp_path / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[servedrill.vendors]\nacme = acme_words:ACME\n")
    (tmp_path / "acme_words.py").write_text(
        "from servedrill.dialect.vendor import Term, Vendor\n"
        "ACME = Vendor(name='Acme', role='engine', mark='acme_', terms=(Term(word='running', "
        "sources=('acme_busy',)),))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    installed.cache_clear()
    try:
        vendor = vendor_of("acme_busy 3\n", "engine")
        assert vendor is not None
        assert read_page("acme_busy 3\n", vendor).values == {"running": 3}
    finally:
        installed.cache_clear()
