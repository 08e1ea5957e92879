"""From a /metrics page to our vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from servedrill.dialect.vendor import Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page said; ``missing`` are words whose metric its vendor publishes and this page lacks."""

    values: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def read_page(text: str, vendor: Vendor) -> Page:
    """Word (or ``word/label value``) -> value; a word without any of its sources on the page is absent.

    Only lines that some term needs are parsed: a vLLM page is mostly histogram buckets. Raises `ValueError` on a page
    that is no exposition format.
    """
    wanted = {source for term in vendor.terms for source in term.sources}
    kept = [line for line in text.splitlines() if line.split("{", 1)[0].split(" ", 1)[0] in wanted]
    samples = [sample for family in text_string_to_metric_families("\n".join(kept) + "\n") for sample in family.samples]
    values: dict[str, float] = {}
    missing: list[str] = []
    for term in vendor.terms:
        for source in term.sources:
            found = [sample for sample in samples if sample.name == source]
            for sample in found:
                word = f"{term.word}/{sample.labels.get(term.label, '')}" if term.label else term.word
                before = values.get(word, 0.0)
                values[word] = max(before, sample.value) if term.largest else before + sample.value
            if found:
                break
        else:
            if not term.lazy:
                missing.append(term.word)
    return Page(values=values, missing=missing)
