"""The report: one HTML page a run, which opens anywhere and asks nobody for anything.

The page says in its own policy what may run: the two scripts and the style sheet that are in it, by their hashes. Text
is escaped where it enters (jinja2, autoescape), figures travel as JSON that cannot end its script element, and the
script writes text as text. So what a stack says of itself stays text, whatever it says.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from servedrill.checkers.finding import Answer
from servedrill.errors import UsageError
from servedrill.files.whole import write_whole
from servedrill.history.events import DrillStarted
from servedrill.history.source import Lines
from servedrill.judging import words
from servedrill.judging.quarantine import outcome, quarantined
from servedrill.judging.verdict import Verdict
from servedrill.reporting.advice import remedy_of, software_of
from servedrill.reporting.attainment import Attainment, attainment
from servedrill.reporting.budgets import judged, run_budgets
from servedrill.reporting.figure import Plot
from servedrill.reporting.marks import Band, Fault, Mark, bands, faults, marks
from servedrill.reporting.plots import plots
from servedrill.reporting.shown import shown, shown_json
from servedrill.reporting.stories import Story, stories
from servedrill.runs.digest import Digest
from servedrill.runs.stored import StoredDrill, StoredRun
from servedrill.secrecy.looks import masked, masked_text
from servedrill.slo.durations import short
from servedrill.slo.words import alert_said, percent

FILE = "report.html"
LONGEST_TEXT = 800
"""Characters of one observation; what is longer is cut, and verdict.json has it all."""
MARKS_MAX = 400


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the page's script draws of one drill."""

    seconds: float
    bands: list[Band]
    marks: list[Mark]
    plots: list[Plot]


class DrillPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says of one drill."""

    drill: StoredDrill
    started: DrillStarted | None
    seconds: float
    requests: int
    failed: int
    faults: list[Fault]
    restored: list[str]
    """In words, of each of the faults."""
    marks: list[Mark]
    attainment: Attainment
    stories: list[Story]
    figures: Figures
    promises: dict[str, Any]
    stack: dict[str, Any]
    trouble: str = ""
    """Why there are no pictures."""

    @property
    def verdict(self) -> Verdict:
        """What the drill came to."""
        return self.drill.verdict

    @property
    def software(self) -> frozenset[str]:
        """What the stack is made of, as far as it can be told."""
        return software_of(self.verdict, self.stack)

    @property
    def told(self) -> dict[str, int]:
        """Id of a request -> the number of its story on the page."""
        return {name: number for number, story in enumerate(self.stories, start=1) for name in story.names}


def write_page(run: StoredRun, target: Path, drills: list[DrillPage], *, more_style: str = "") -> None:
    """The report of a run, as one file; complete or not there at all."""
    page = render(run, drills, more_style=more_style)
    write_whole(target, page.encode(errors="replace"))


def render(run: StoredRun, drills: list[DrillPage], *, more_style: str = "") -> str:
    """The page as text; ``more_style`` for pictures that leave something out."""
    scripts = [_asset("uPlot.iife.min.js"), _asset("report.js")]
    style = _asset("uPlot.min.css") + _asset("report.css") + more_style
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            about=run.about,
            budgets=run_budgets(run),
            drills=drills,
            title=words.headline(run.answers),
            worst=words.worst_of(run.answers),
            control=any(drill.verdict.control for drill in run.drills) or run.about.options.control,
            defects=run.about.options.defects,
            style=style,
            scripts=scripts,
            policy="; ".join(
                (
                    "default-src 'none'",
                    f"script-src {' '.join(_hash(script) for script in scripts)}",
                    f"style-src {_hash(style)}",
                    "img-src data:",
                    "base-uri 'none'",
                    "form-action 'none'",
                )
            ),
            data=json_in_script([drill.figures for drill in drills]),
        )
    )


def drill_page(drill: StoredDrill) -> DrillPage:
    """Everything that the page shows of one drill, from its folder."""
    named = frozenset(
        name for finding in drill.verdict.findings if finding.answer is not Answer.PASS for name in finding.evidence
    )
    trouble = ""
    try:
        digest = Digest(Lines(drill.history, kept_max_bytes=0), named=named)
    except UsageError as error:
        trouble, digest = str(error), Digest(())
    return page_of(drill, digest, trouble=trouble)


def page_of(drill: StoredDrill, digest: Digest, *, trouble: str = "") -> DrillPage:
    """The same, of a history that was read already."""
    broken = faults(digest)
    happened = marks(digest, broken)
    requests = digest.requests
    return DrillPage(
        drill=drill,
        started=digest.rest.drill,
        seconds=digest.seconds,
        requests=len(requests),
        failed=sum(not requests.whole(row) and not requests.cancelled(row) for row in range(len(requests))),
        faults=broken,
        restored=_restored(broken, drill.verdict),
        marks=happened[:MARKS_MAX],
        attainment=attainment(digest),
        stories=stories(digest, broken),
        figures=Figures(
            seconds=digest.seconds,
            bands=bands(digest, broken),
            marks=[mark for mark in happened if mark.kind in ("alert", "state")][:MARKS_MAX],
            plots=plots(digest),
        ),
        promises=masked(digest.rest.drill.promises) if digest.rest.drill is not None else {},
        stack=masked(drill.stack()),
        trouble=trouble,
    )


def _restored(broken: list[Fault], verdict: Verdict) -> list[str]:
    """Faults of the page are groups of leases in the order of the verdict's; one that was judged before it timed them
    says nothing."""
    told = iter(verdict.restored)
    return [words.restored(islice(told, len(fault.targets))) for fault in broken]


def json_in_script(value: Any) -> str:
    """JSON that is safe inside a script element: nothing in it can end the element or begin a comment."""
    text = shown_json(msgspec.json.encode(value).decode())
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return files("servedrill.reporting").joinpath("assets", name).read_text("utf-8")


def still(template: str, *, sheet: str = "", **told: Any) -> str:
    """A page of the same looks that nothing moves on: no script may run. ``sheet`` is a style sheet of its own."""
    style = _asset("report.css") + (_asset(sheet) if sheet else "")
    policy = f"default-src 'none'; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template(template).render(style=style, policy=policy, **told)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("servedrill.reporting", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalized,
    )
    environment.filters |= {
        "duration": words.duration,
        "seconds": words.seconds,
        "decisive": words.decisive,
        "cut": cut,
        "pretty": lambda value: msgspec.json.format(msgspec.json.encode(value), indent=2).decode(),
        "day": _day,
        "count": words.count,
        "mttr": words.mttr,
        "outcome": outcome,
        "quarantined": quarantined,
        "remedy": remedy_of,
        "share": words.share,
        "judged": judged,
        "percent": percent,
        "short": short,
        "alert": alert_said,
    }
    environment.globals["ORDER"] = words.ORDER
    return environment


def _finalized(value: Any) -> Any:
    """What an expression of the template comes to, as it is drawn; what is safe was made so before."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def cut(text: Any, longest: int = LONGEST_TEXT) -> str:
    """A text of bounded length, without what looks like a secret."""
    text = masked_text(str(text))
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest:,} more characters)"


def _day(began: str) -> str:
    """``2026-11-20 12:15 UTC`` of an ISO instant."""
    return f"{began[:10]} {began[11:16]} UTC" if len(began) >= 16 else began or "unknown"
