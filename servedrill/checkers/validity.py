"""Whether a history can be judged at all: it ran to its end, faults bit and healed, load was on time, the stack had
cores, signals had data."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, ClassVar

from servedrill.checkers.checker import Checker
from servedrill.checkers.cores import waited_most
from servedrill.checkers.finding import Answer, Finding
from servedrill.history.events import FORMAT, CpuWaits, DrillEnded, LoadHealth, Sample, Unknown
from servedrill.history.history import History
from servedrill.history.measurements import NOT_FIRST, UNWATCHED
from servedrill.history.promises import unsaid
from servedrill.stats.percentiles import median, percentile, percentile_counted

LAG_S_MAX = 0.04
"""5% of the strictest TTFT objective (800 ms for chat)."""
SENT_RATIO_MIN = 0.99
CPU_RATIO_MAX = 0.85
WAITED_SHARE_MAX = 0.5
"""Of the time, in the worst quarter of a drill's seconds, of the thread of the stack that waited longest. On two cores
the drills came to 0.09 to 0.20 alone; with 2 busy processes beside to 0.21 and with 6 to 0.41, and passed; with 9, 12
and 14 to 0.58, 0.67 and 0.69, and engines were ejected and answers late."""


_GO_FIRST = (
    "; it may not run before others ({because}): `sudo prlimit --pid $$ --rtprio=1:1` before pytest, "
    "for a container --ulimit rtprio=1 (as root --cap-add SYS_NICE), allows it"
)


class RanToItsEnd(Checker, frozen=True, kw_only=True):
    """The drill ran to its end."""

    def __call__(self, history: History) -> Finding:
        ended = history.of(DrillEnded)
        why = ended[-1].interrupted if ended else "the history has no end"
        return self.cannot_say(f"interrupted: {why}") if why else self.says(True, f"{len(history)} events")


class DrillWatched(Checker, frozen=True, kw_only=True):
    """The drill ran under the eyes of a watchdog, and did not stand still."""

    def __call__(self, history: History) -> Finding:
        if seen := history.observed(UNWATCHED):
            return self.cannot_say(str(seen.detail.get("because", "")))
        ended = bool(history.of(DrillEnded))
        return self.says(True, "all the time") if ended else self.cannot_say("whoever wrote the history was killed")


class FaultsTookEffect(Checker, frozen=True, kw_only=True):
    """Every fault that was injected is proven to have taken effect."""

    def __call__(self, history: History) -> Finding:
        unproven = [span for span in history.faults if span.evidence is None or not span.evidence.took_effect]
        if unproven:
            return self.cannot_say(
                "; ".join(
                    f"{s.injected.fault} on {s.injected.target}: {s.evidence.observed if s.evidence else 'no evidence'}"
                    for s in unproven
                )
            )
        return self.says(
            True,
            "; ".join(span.evidence.observed for span in history.faults if span.evidence) or "no fault was injected",
        )


class FaultsHealed(Checker, frozen=True, kw_only=True):
    """Every fault was healed, and that is proven by a measurement."""

    def __call__(self, history: History) -> Finding:
        left = [span for span in history.faults if span.healed is None or not span.healed.proven]
        if left and all(span.healed is None for span in left) and not history.of(DrillEnded):
            return self.cannot_say(f"nothing is written of {', '.join(s.injected.fault for s in left)} being healed")
        if left:
            return self.says(
                False,
                "; ".join(
                    f"{s.injected.fault} on {s.injected.target}: {s.healed.proof if s.healed else 'never healed'}"
                    for s in left
                ),
                evidence=[span.injected.target for span in left],
            )
        return self.says(
            True, "; ".join(span.healed.proof for span in history.faults if span.healed) or "no fault was injected"
        )


class LoadKeptSchedule(Checker, frozen=True, kw_only=True):
    """The load generator kept its schedule."""

    def __call__(self, history: History) -> Finding:
        health = history.of(LoadHealth)
        if not health:
            return self.cannot_say("no load generator ever reported")
        send_lags, loop_lags, cpu_ratios = Counter[int](), Counter[int](), array("d")
        for report in health:
            send_lags.update(report.send_lags_ms)
            loop_lags.update(report.loop_lags_ms)
            cpu_ratios.append(report.cpu_ratio)
        if not any(send_lags.values()) or not any(loop_lags.values()):
            return self.cannot_say("nothing was sent")
        send_p99, loop_p99 = percentile_counted(send_lags, 99) / 1e3, percentile_counted(loop_lags, 99) / 1e3
        busy = median(cpu_ratios)
        figures: dict[str, Any] = {"send_lag_s_p99": send_p99, "loop_lag_s_p99": loop_p99, "cpu_ratio": busy}
        seen = f"send lag p99 {send_p99 * 1e3:.0f} ms, loop lag p99 {loop_p99 * 1e3:.0f} ms, CPU {busy:.0%}"
        if send_p99 > LAG_S_MAX or loop_p99 > LAG_S_MAX or busy > CPU_RATIO_MAX:
            refused = history.observed(NOT_FIRST)
            help = _GO_FIRST.format(because=refused.detail.get("because", "")) if refused else ""
            return self.says(
                Answer.INCONCLUSIVE,
                seen + help,
                threshold=f"{LAG_S_MAX * 1e3:.0f} ms, CPU {CPU_RATIO_MAX:.0%}",
                **figures,
            )
        return self.says(True, seen, threshold=f"{LAG_S_MAX * 1e3:.0f} ms, CPU {CPU_RATIO_MAX:.0%}", **figures)


class StackNotStarved(Checker, frozen=True, kw_only=True):
    """The stack's processes got cores when they could run."""

    def __call__(self, history: History) -> Finding:
        shares, worst_of = array("d"), dict[str, float]()
        for look in history.of(CpuWaits):
            name, share = waited_most(look)
            shares.append(share)
            worst_of[name] = max(worst_of.get(name, 0.0), share)
        if not shares:
            return self.cannot_say("nobody looked at how long processes waited for a core")
        quarter = percentile(shares, 75)
        worst = max(worst_of, key=worst_of.__getitem__)
        seen = f"{quarter:.0%} of the time in the worst quarter of it, at most {worst_of[worst]:.0%} ({worst})"
        hint = "; fewer neighbours or more cores help" if quarter > WAITED_SHARE_MAX else ""
        return self.says(
            Answer.INCONCLUSIVE if hint else True,
            f"waited for a core {seen}{hint}",
            threshold=f"{WAITED_SHARE_MAX:.0%}",
            waited_share_p75=quarter,
        )


class TrafficFlowed(Checker, frozen=True, kw_only=True):
    """There was traffic, and some of it was answered."""

    requests_min: int = 20

    def __call__(self, history: History) -> Finding:
        requests = history.requests(cancelled=True)
        answered = len(requests.where("status", test=(200).__eq__))
        seen = f"{len(requests)} requests, {answered} answered"
        return self.says(True, seen) if len(requests) >= self.requests_min and answered else self.cannot_say(seen)


class SignalsHadData(Checker, frozen=True, kw_only=True):
    """Every replica that is read by checks gave data."""

    words: ClassVar[dict[str, tuple[str, ...]]] = {"engine": ("running",), "gateway": ("in_flight",)}

    def __call__(self, history: History) -> Finding:
        missing = []
        for role, (word,) in self.words.items():
            for source in history.sources(role):
                samples = history.samples(source)
                if not any(word in sample.values for sample in samples):
                    missing.append(history.absent(source, word))
        if missing:
            return self.cannot_say("; ".join(missing))
        replicas = [*history.sources("engine"), *history.sources("gateway")]
        strange = [
            f"{page.source}: names of {page.vendor} {page.version or 'without a version'} were never checked"
            for page in history.pages.values()
            if not page.known
        ]
        return self.says(True, "; ".join([f"{len(history.of(Sample))} samples of {len(replicas)} replicas", *strange]))


class Unpromised(Checker, frozen=True, kw_only=True):
    """The stack has promised what is claimed of it.

    A drill asks for it in place of a claim whose limit would be somebody else's.
    """

    what: str
    """The claim."""
    names: list[str]
    """Promises that it takes."""
    window: str = ""

    @property
    def claim(self) -> str:
        return self.what

    def __call__(self, history: History) -> Finding:
        return self.cannot_say(unsaid(self.names))


class HistoryKnown(Checker, frozen=True, kw_only=True):
    """Everything in the history is known to the version that judges it."""

    def __call__(self, history: History) -> Finding:
        events = Counter(event.kind for event in history.of(Unknown))
        fields = history.extras
        if not events and not fields:
            return self.says(True, f"{len(history)} events")
        format = history.drill.format if history.drill else 1
        unknown = [f"{count:,} of {what}" for what, count in sorted((events + fields).items())]
        wrote = f"; its format is {format}, this version knows {FORMAT}" if format > FORMAT else ""
        return self.cannot_say(f"not known to this version: {', '.join(unknown)}{wrote}")
