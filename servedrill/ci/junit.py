"""JUnit's XML of a night: each test once, whichever try it was, whatever ended the session.

Proven is passed, refuted is a failure, and what could not be judged is an error: it is not green. What is in quarantine
is skipped, with its terms.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from servedrill.ci.gate import Outcome
from servedrill.ci.night import Night
from servedrill.ci.record import Case
from servedrill.reporting.junit import properties
from servedrill.reporting.shown import shown
from servedrill.runs.stored import StoredDrill, StoredRun

_TAGS = {"failed": "failure", "quarantined": "skipped", "skipped": "skipped", "passed": ""}
"""Everything else is an error."""
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(night: Night, outcome: Outcome, run: StoredRun | None) -> bytes:
    """The document. What makes the night red and belongs to no test is a case of its own."""
    drills = {drill.verdict.drill: drill for drill in run.drills} if run is not None else {}
    twice = {again.after.nodeid: again.before for again in night.again}
    suite = Element("testsuite", name="servedrill")
    for test in night.tests:
        case = _case(suite, test)
        _properties(case, drills.get(test.drill), twice.get(test.nodeid))
        tag = _TAGS.get(test.word, "error")
        if tag:
            _said(case, tag, test.word, test.text or "it was cut off")
    for reason in outcome.reasons:
        if reason.test is None:
            case = SubElement(suite, "testcase", classname="servedrill.ci", name="the night", time="0")
            _said(case, "error", outcome.word, reason.text)
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{sum(test.seconds for test in night.tests):.3f}")
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suites) + b"\n"


def _case(suite: Element, test: Case) -> Element:
    place, _, name = test.nodeid.partition("::")
    place = place or Path(test.path).name  # a module of an installed package has no place of its own
    classname = ".".join(place.removesuffix(".py").split("/"))
    return SubElement(suite, "testcase", classname=_text(classname), name=_text(name), time=f"{test.seconds:.3f}")


def _properties(case: Element, drill: StoredDrill | None, before: Case | None) -> None:
    told = properties(drill.verdict, drill.folder) if drill is not None else []
    if before is not None:
        told.append(("tried_twice", f"{before.word} at first: {before.text}"))
    if told:
        parent = SubElement(case, "properties")
        for name, value in told:
            SubElement(parent, "property", name=_text(name), value=_text(str(value)))


def _said(case: Element, tag: str, word: str, text: str) -> None:
    first = text.splitlines()[0] if text else word
    SubElement(case, tag, message=_text(first), type=word).text = _text(text)


def _text(text: str) -> str:
    return _NO_XML.sub("?", shown(text))
