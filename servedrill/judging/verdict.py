"""The verdict: every expectation of a history judged, and what follows from that."""

from __future__ import annotations

import math

import msgspec

from servedrill._version import __version__
from servedrill.checkers.checker import Checker, find_checker, read_checker
from servedrill.checkers.finding import Answer, Finding
from servedrill.dialect.conformance import Difference, differences
from servedrill.errors import UsageError
from servedrill.history.events import CpuWaits, DeclaredWeakness, DrillEnded, Expected, PartSkipped
from servedrill.history.history import History
from servedrill.history.measurements import UNWATCHED
from servedrill.judging.catalogue import ALWAYS, WHERE_CORES_ARE_SEEN, WHERE_NOT_ALL_IS_KNOWN, WHERE_UNWATCHED
from servedrill.judging.clocks import where_clocks_allow
from servedrill.judging.timeline import Restored, Times, timeline
from servedrill.slo.spending import Spending, spendings

_NO_CORES = " (not judged: the stack's processes waited for cores)"
"""Behind what was observed, where a refutation is taken back for it."""


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the drill that this stack cannot be held to, and why."""

    part: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill came to; times in seconds, absent where there was nothing to time."""

    drill: str
    answer: Answer
    hypothesis: str
    seed: int
    control: bool
    defects: list[str]
    findings: list[Finding]
    detect_s: float | None = None
    failover_s: float | None = None
    recover_s: float | None = None
    mttr_s: float | None = None
    """Mean time to restore over all faults; absent where one of them was never restored or cannot be timed, see
    ``restored``."""
    restored: list[Restored] = []
    spending: list[Spending] = []
    """What the drill spent of each SLO's error budget."""
    skipped: list[Skipped] = []
    conformance: list[Difference] = []
    """Where the stack talks otherwise than OpenAI's own API; no part of the answer."""
    software: list[str] = []
    """Vendors of the stack's metrics pages, as `servedrill.dialect.vendors` names them; ours left out."""

    def of(self, answer: Answer) -> list[Finding]:
        """Findings of that answer which count, declared weaknesses left out."""
        return [finding for finding in self.findings if finding.answer is answer and not finding.declared]

    @property
    def unwatched(self) -> bool:
        """Whether the watchdog was gone before the drill was over: what the drill ran into may be our own doing."""
        return any(finding.checker == WHERE_UNWATCHED.id for finding in self.findings)

    @property
    def never_restored(self) -> int:
        """Faults after which users were not served well again."""
        return sum(one.outcome == "never" for one in self.restored)

    @property
    def weaknesses(self) -> list[Finding]:
        """Claims that were refuted and that the stack's file says it does not make."""
        return [finding for finding in self.findings if finding.declared]


def judge(history: History) -> Verdict:
    """Judge a history by what it expects and by what is always expected. Pure: the same history gives the same verdict.

    FAIL when a claim is refuted, INCONCLUSIVE when one could not be judged, PASS only when every one was proven. Where
    the load generator could not keep its schedule, claims about time are not judged: a late client looks just like a
    slow server. Where the stack's processes got no cores, nothing is refuted but by what was said; what was proven all
    the same stands. Where the watchdog was gone, or healed behind the drill's back, nothing is refuted. Of a history of
    another version what is known is judged, and what is not is a doubt.

    Raises `UsageError` for a history without the beginning of a drill that this version can read.
    """
    drill = history.drill
    if drill is None:
        raise UsageError("no drill in it", where="history", expected="a history that a drill wrote")
    findings = where_clocks_allow(findings_of, history)
    findings = [_declared(finding, drill.weaknesses) for finding in findings]
    doubts = {finding.checker for finding in findings if finding.answer is not Answer.PASS}
    findings = [_doubted(finding, doubts) for finding in findings]
    if not any(finding.observed.endswith(_NO_CORES) for finding in findings):
        findings = [_harmless(finding) for finding in findings]
    counted = [finding for finding in findings if not finding.declared]
    if any(finding.answer is Answer.FAIL for finding in counted):
        answer = Answer.FAIL
    elif any(finding.answer is Answer.INCONCLUSIVE for finding in counted):
        answer = Answer.INCONCLUSIVE
    else:
        answer = Answer.PASS
    times = timeline(history) if all(map(math.isfinite, history.clocks.errors_ns.values())) else Times()
    return Verdict(
        drill=drill.drill,
        answer=answer,
        hypothesis=drill.hypothesis,
        seed=drill.seed,
        control=drill.control,
        defects=drill.defects,
        findings=findings,
        detect_s=times.detect_s,
        failover_s=times.failover_s,
        recover_s=times.recover_s,
        mttr_s=times.mttr_s,
        restored=list(times.restored),
        spending=spendings(history),
        skipped=[Skipped(part=event.part, reason=event.reason) for event in history.of(PartSkipped)],
        conformance=differences(history.spoken),
        software=sorted({page.vendor for page in history.pages.values()} - {"", "servedrill"}),
    )


def findings_of(history: History) -> list[Finding]:
    """What every checker says that is always asked or that the drill asked for."""
    always = list(ALWAYS)
    if history.of(CpuWaits):
        always.append(WHERE_CORES_ARE_SEEN)
    if history.observed(UNWATCHED) or not history.of(DrillEnded):
        always.append(WHERE_UNWATCHED)
    if not history.all_known:
        always.append(WHERE_NOT_ALL_IS_KNOWN)
    return [
        *(_judged(checker, history) for checker in always),
        *(_asked(expected, history) for expected in history.of(Expected)),
    ]


def _asked(expected: Expected, history: History) -> Finding:
    """What the drill wanted judged; a checker that this version does not have leaves a doubt in its name."""
    try:
        checker = read_checker(expected)
    except UsageError as error:
        version = history.drill.version if history.drill else ""
        wrote = f"; servedrill {version} asked for it" if version not in ("", __version__) else ""
        window = expected.params.get("window")
        return Finding(
            checker=expected.checker,
            answer=Answer.INCONCLUSIVE,
            claim=expected.checker,
            observed=f"{error.what}{wrote}",
            window=window if isinstance(window, str) else "",
        )
    return _judged(checker, history)


def _judged(checker: Checker, history: History) -> Finding:
    """A checker that crashes has no opinion."""
    try:
        return checker.judge(history)
    except Exception as error:
        return checker.cannot_say(f"the checker broke: {type(error).__name__}: {error}")


def _doubted(finding: Finding, doubts: set[str]) -> Finding:
    """A refutation for which the stack may not be to blame is none."""
    if finding.answer is not Answer.FAIL or finding.declared:
        return finding
    cls = find_checker(finding.checker)
    if finding.timing and "LoadKeptSchedule" in doubts:
        why = " (not judged: the load generator was late)"
    elif WHERE_UNWATCHED.id in doubts:
        why = " (not judged: see DrillWatched)"
    elif WHERE_CORES_ARE_SEEN.id in doubts and not (cls and cls.of_words):
        why = _NO_CORES
    else:
        return finding
    return msgspec.structs.replace(finding, answer=Answer.INCONCLUSIVE, observed=f"{finding.observed}{why}")


def _harmless(finding: Finding) -> Finding:
    """Want of cores that refuted nothing: it cannot make a stack look better than it is."""
    if finding.checker != WHERE_CORES_ARE_SEEN.id or finding.answer is not Answer.INCONCLUSIVE or not finding.figures:
        return finding
    return msgspec.structs.replace(
        finding, answer=Answer.PASS, observed=f"{finding.observed}; nothing was refuted that it could have caused"
    )


def _declared(finding: Finding, weaknesses: list[DeclaredWeakness]) -> Finding:
    """A refutation that the stack's file foretells is shown with its sentence.

    What could not be judged stays a doubt: nobody has seen it.
    """
    if finding.answer is not Answer.FAIL:
        return finding
    names = names_of(finding)
    for weakness in weaknesses:
        if not names.isdisjoint(weakness.checks):
            return msgspec.structs.replace(finding, declared=weakness.because)
    return finding


def names_of(finding: Finding) -> set[str]:
    """How people may name the claim: the checker's id or bare name, its window behind it or not."""
    bare = finding.checker.rpartition(":")[2]
    cls = find_checker(bare)
    ids = {finding.checker, *([bare] if cls and cls.id == finding.checker else [])}
    return ids | {f"{each}:{finding.window}" for each in ids}


def interrupted(history: History) -> str | None:
    """Why the drill did not get to its end; None when it did."""
    ended = history.of(DrillEnded)
    return ended[-1].interrupted if ended else "the history has no end"
