"""What may be said where events are of several machines, whose clocks are known to within an error only.

A word that changes when clocks are moved to the ends of what is not known about them is no word. So a history is judged
again with each pair of machines as far apart as they may be, and a claim whose answer is not the same every time is
INCONCLUSIVE. Checkers need not know: it holds for limits, for edges of windows, and for checkers of other packages.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from servedrill.checkers.finding import Answer, Finding
from servedrill.history.history import History


def where_clocks_allow(findings_of: Callable[[History], list[Finding]], history: History) -> list[Finding]:
    """The findings of a history; those that hang on how clocks stand are INCONCLUSIVE."""
    findings = findings_of(history)
    errors_ns = history.clocks.errors_ns
    unknown = [host for host, error_ns in errors_ns.items() if math.isinf(error_ns)]
    known = {host: math.ceil(error_ns) for host, error_ns in errors_ns.items() if host not in unknown}
    if unknown:
        why = ", ".join(history.clocks.why_unknown(host) for host in unknown)
        findings = [_doubted(finding, why) if finding.timing or finding.window else finding for finding in findings]
    if known:
        why = ", ".join(f"the clock of {host} is known to within {ns / 1e6:.3g} ms" for host, ns in known.items())
        short = {name for name, window in history.windows.items() if window.seconds <= 2e-9 * max(known.values())}
        findings = [_doubted(finding, why) if finding.window in short else finding for finding in findings]
        for moved_ns in _far_apart(known):
            again = findings_of(history.moved(moved_ns))
            findings = [
                finding if finding.answer is other.answer else _doubted(finding, why)
                for finding, other in zip(findings, again, strict=True)
            ]
    return findings


def _far_apart(errors_ns: dict[str, int]) -> list[dict[str, int]]:
    """All other machines early, all late; each one early while the others are late, and the reverse.

    So any two clocks, the drill's included, are once as far apart as they may be in either direction. Of up to three
    machines these are all combinations of the ends.
    """
    ways: list[dict[str, int]] = []
    for lone in (None, *errors_ns):
        for sign in (-1, 1):
            way = {host: -sign * error if host == lone else sign * error for host, error in errors_ns.items()}
            if way not in ways:
                ways.append(way)
    return ways


def _doubted(finding: Finding, why: str) -> Finding:
    if finding.answer is Answer.INCONCLUSIVE:
        return finding
    observed = f"{finding.observed} (not judged: {why})"
    return msgspec.structs.replace(finding, answer=Answer.INCONCLUSIVE, observed=observed)
