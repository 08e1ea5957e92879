"""A drill as a Chaos Toolkit journal, for what reads those: `chaos report`, dashboards, archives.

The names are those of chaostoolkit-lib's run.py and hypothesis.py. A claim is a probe of the steady-state hypothesis, a
fault an action of the method, its healing a rollback. Their statuses have no word for INCONCLUSIVE: such a drill is
``aborted``, and deviated is what a refuted claim makes it.
"""

from __future__ import annotations

import platform
from datetime import datetime, timedelta
from typing import Any

from servedrill._version import __version__
from servedrill.checkers.finding import Answer, Finding
from servedrill.history.history import FaultSpan, History
from servedrill.judging.verdict import interrupted
from servedrill.runs.digest import Digest
from servedrill.runs.stored import StoredDrill
from servedrill.secrecy.looks import masked

_PROVIDER = {"type": "python", "module": "servedrill.checkers", "func": "judge"}


def journal(drill: StoredDrill, digest: Digest) -> dict[str, Any]:
    """The journal of one drill, ready for JSON."""
    history, verdict = digest.rest, drill.verdict
    clock = _Clock(history)
    before = [finding for finding in verdict.findings if finding.window == "baseline"]
    after = [finding for finding in verdict.findings if finding.window != "baseline"]
    start, end = clock.at(digest.start_ns), clock.at(digest.end_ns)
    title = verdict.hypothesis or drill.name
    return {
        "chaoslib-version": "1.0.0",
        "platform": platform.platform(),
        "node": platform.node(),
        "experiment": {
            "version": "1.0.0",
            "title": drill.name,
            "description": title,
            "tags": ["servedrill", *(["control"] if verdict.control else [])],
            "contributions": {"reliability": "high", "availability": "high"},
            "configuration": {"seed": verdict.seed, "servedrill": __version__, "defects": verdict.defects},
            "steady-state-hypothesis": {"title": title, "probes": [_probe(finding) for finding in verdict.findings]},
            "method": [_action(span, "inject") for span in history.faults],
            "rollbacks": [_action(span, "heal") for span in history.faults],
        },
        "start": start,
        "status": _status(verdict.answer, cut_short=interrupted(history) is not None),
        "deviated": verdict.answer is Answer.FAIL,
        "steady_states": {
            "before": _state(before, start, end) if before else None,
            "after": _state(after, start, end),
            "during": [],
        },
        "run": [_injected(span, clock) for span in history.faults],
        "rollbacks": [_healed(span, clock) for span in history.faults if span.healed is not None],
        "end": end,
        "duration": digest.seconds,
    }


def _status(answer: Answer, *, cut_short: bool) -> str:
    if cut_short:
        return "interrupted"
    return {Answer.PASS: "completed", Answer.FAIL: "failed", Answer.INCONCLUSIVE: "aborted"}[answer]


class _Clock:
    """Wall time, without a zone, as Chaos Toolkit writes it."""

    def __init__(self, history: History) -> None:
        started = history.drill
        self._anchor_ns = started.t_ns if started is not None else history.start_ns
        try:
            wall = datetime.fromisoformat(started.wall_time if started is not None else "")
        except ValueError:
            wall = datetime.fromtimestamp(0)
        self._wall = wall.replace(tzinfo=None)

    def at(self, t_ns: int) -> str:
        return (self._wall + timedelta(microseconds=(t_ns - self._anchor_ns) / 1e3)).isoformat()


def _probe(finding: Finding) -> dict[str, Any]:
    name = f"{finding.checker} in {finding.window}" if finding.window else finding.checker
    return {"type": "probe", "name": name, "tolerance": True, "provider": _PROVIDER}


def _state(findings: list[Finding], start: str, end: str) -> dict[str, Any]:
    return {
        "steady_state_met": all(finding.answer is Answer.PASS for finding in findings),
        "probes": [
            {
                "activity": _probe(finding),
                "output": finding.answer is Answer.PASS,
                "status": "failed" if finding.answer is Answer.INCONCLUSIVE else "succeeded",
                "tolerance_met": finding.answer is Answer.PASS,
                "start": start,
                "end": end,
                "duration": 0.0,
                "servedrill": {"claim": finding.claim, "observed": finding.observed, "threshold": finding.threshold},
            }
            for finding in findings
        ],
    }


def _action(span: FaultSpan, what: str) -> dict[str, Any]:
    injected = span.injected
    return {
        "type": "action",
        "name": f"{what} {injected.fault} on {injected.target}",
        "provider": {
            "type": "python",
            "module": "servedrill.faults",
            "func": what,
            "arguments": {"fault": injected.fault, "target": injected.target, **masked(injected.attributes)},
        },
    }


def _injected(span: FaultSpan, clock: _Clock) -> dict[str, Any]:
    proven = span.evidence is not None and span.evidence.took_effect
    return {
        "activity": _action(span, "inject"),
        "output": span.evidence.observed if span.evidence is not None else None,
        "status": "succeeded" if proven else "failed",
        "start": clock.at(span.start_ns),
        "end": clock.at(span.end_ns or span.start_ns),
        "duration": ((span.end_ns or span.start_ns) - span.start_ns) / 1e9,
    }


def _healed(span: FaultSpan, clock: _Clock) -> dict[str, Any]:
    assert span.healed is not None
    at = clock.at(span.healed.t_ns)
    return {
        "activity": _action(span, "heal"),
        "output": span.healed.proof,
        "status": "succeeded" if span.healed.proven else "failed",
        "start": at,
        "end": at,
        "duration": 0.0,
    }
