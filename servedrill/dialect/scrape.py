"""From a /metrics page to our vocabulary."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from servedrill.dialect.frames import UNREADABLE
from servedrill.dialect.vendor import Term, Vendor
from servedrill.errors import ServedrillError
from servedrill.secrecy.known import cut, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page said; ``missing`` are words whose metric its vendor publishes and this page lacks."""

    values: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


class PageError(ServedrillError, ValueError):
    """A page that cannot be read."""


_LINE_MAX, _LINES_MAX, _WORDS_MAX = 4096, 2000, 1000
"""Of what is read: a line has a metric and its labels, and one engine has tens of those that are read."""
_SAID_MAX = 200
_COPIES = {"tp_rank", "pp_rank", "attn_cp_rank", "cp_rank", "moe_ep_rank", "ep_rank"}
"""Ranks that do the same work together, and each tell of it: their samples are copies of one figure (SGLang)."""
_TOTAL = "priority"
"""A label whose empty value is the sum over its other values (SGLang's priority scheduling)."""


def read_page(text: str, vendor: Vendor) -> Page:
    """Word (or ``word/label value``) -> value; a word without any of its sources on the page is absent.

    Only lines that some term needs are parsed: a vLLM page is mostly histogram buckets. Raises `PageError` on a page
    that is no exposition format, or has more to say of these terms than any server has.
    """
    wanted = {source for term in vendor.terms for source in term.sources}
    kept = [line for line in _lines(text, vendor) if _name(line) in wanted]
    samples = _samples(kept)
    values: dict[str, float] = {}
    missing: list[str] = []
    for term in vendor.terms:
        for source in term.sources:
            found = _told([sample for sample in samples if sample.name == source], term)
            if found:
                values |= found
                break
        else:
            if not term.lazy:
                missing.append(term.word)
    if len(values) > _WORDS_MAX:
        raise PageError(f"metrics under {len(values)} labels; at most {_WORDS_MAX} are read")
    return Page(values=values, missing=missing)


def _samples(lines: list[str]) -> list[Sample]:
    """Of lines that are wanted: their parser takes time by the square of a line's length."""
    if any(len(line) > _LINE_MAX for line in lines) or len(lines) > _LINES_MAX:
        raise PageError(f"metrics in lines of more than {_LINE_MAX} characters, or in more than {_LINES_MAX} of them")
    try:
        families = text_string_to_metric_families("\n".join(lines) + "\n")
        return [sample for family in families for sample in family.samples]
    except UNREADABLE as error:
        raise PageError(f"metrics that cannot be read: {cut(str(error), _SAID_MAX)}") from error


def names_on(text: str, *, most: int = 3) -> list[str]:
    """What the names on a page begin with, the commonest first: what a page says of itself whose vendor nobody
    knows."""
    names = [name for line in text.splitlines() if (name := _name(line)) and not name.startswith("#")]
    counted = Counter(_BEGINNING.split(name, maxsplit=1)[0] for name in names)
    return [f"{cut(beginning, _SAID_MAX)}*" for beginning, _ in counted.most_common(most)]


_BEGINNING = re.compile(r"(?<=[:_])")


def _name(line: str) -> str:
    return line.split("{", 1)[0].split(" ", 1)[0]


def _lines(text: str, vendor: Vendor) -> list[str]:
    """Its lines, each with the vendor's own mark."""
    lines = text.splitlines()
    if any(line.startswith(vendor.mark) for line in lines):
        return lines
    for other in vendor.spelt:
        lines = [vendor.mark + line[len(other) :] if line.startswith(other) else line for line in lines]
    return lines


def _told(samples: list[Sample], term: Term) -> dict[str, float]:
    """Word -> value, of the samples of one source."""
    label, value = term.where
    samples = [sample for sample in samples if not label or sample.labels.get(label) == value]
    if any(sample.labels.get(_TOTAL) == "" for sample in samples):
        samples = [sample for sample in samples if not sample.labels.get(_TOTAL)]
    figures: dict[frozenset[tuple[str, str]], float] = {}
    for sample in samples:
        whose = frozenset(pair for pair in sample.labels.items() if pair[0] not in _COPIES)
        figures[whose] = _most(figures.get(whose), sample.value)
    words: dict[str, float] = {}
    for whose, figure in figures.items():
        word = f"{term.word}/{name(dict(whose).get(term.label, ''))}" if term.label else term.word
        before = words.get(word)
        words[word] = _most(before, figure) if term.largest else figure if before is None else before + figure
    return words


def _most(one: float | None, other: float) -> float:
    """The larger; NaN, which says nothing, only where there is nothing else."""
    return other if one is None or math.isnan(one) or other > one else one
