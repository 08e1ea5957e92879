"""One vocabulary for every vendor: whose page it is, what it says, and what it should have said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servedrill.dialect.scrape import read_page
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
        label = label_of.get(term.sources[0])
        labels = f'{{{label}="one"}}' if label else ""
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


def test_another_package_brings_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group servedrill.vendors is a vendor, asked for pages that are nobody's of ours."""
    package = tmp_path / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[servedrill.vendors]\nacme = acme_words:ACME\n")
    (tmp_path / "acme_words.py").write_text(
        "from servedrill.dialect.vendor import Term, Vendor\n"
        "ACME = Vendor(name='Acme', role='engine', mark='acme_', terms=(Term(word='running', sources=('acme_busy',)),))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    installed.cache_clear()
    try:
        vendor = vendor_of("acme_busy 3\n", "engine")
        assert vendor is not None
        assert read_page("acme_busy 3\n", vendor).values == {"running": 3}
    finally:
        installed.cache_clear()
