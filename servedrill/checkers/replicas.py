"""Processes, health and memory of replicas: who died, who noticed, who came back and in what state."""

from __future__ import annotations

from itertools import islice
from typing import ClassVar

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.events import AlertSeen, Exchange, ProcessSeen
from servedrill.history.history import History
from servedrill.history.requests import LAST_NS, NEVER
from servedrill.stats.percentiles import median, percentile


class ProcessesUnchanged(Checker, frozen=True, kw_only=True):
    """No process of the stack died or was replaced."""

    needs = "Signallable"
    window: str

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        changed: list[str] = []
        # One that has no process in all that time is not seen to have kept it.
        names = sorted({p.name for p in history.of(ProcessSeen) if p.t_ns in within and p.pid is not None})
        for name in names:
            lives = {(p.pid, p.start_ticks, tuple(p.child_pids)) for p in history.processes(name) if p.t_ns in within}
            if len(lives) > 1:
                changed.append(f"{name} {len(lives)} lives")
        if not names:
            return self.cannot_say(f"no process was seen in {self.window!r}")
        return self.says(
            not changed,
            "; ".join(changed) or f"{len(names)} processes, none changed",
            threshold="0 changes",
            evidence=changed,
        )


class MemorySteady(Checker, frozen=True, kw_only=True):
    """Engines hold no more memory afterwards than before: nothing is kept of what was cancelled, loaded or replaced.

    One that is another process by then has given back all that it held.
    """

    needs = "Signallable"
    before: str
    after: str
    growth_mib_max: float = 5.0

    def __call__(self, history: History) -> Finding:
        grown: dict[str, float] = {}
        replaced: list[str] = []
        for name in history.sources("engine"):
            was, now = (
                [p for p in history.processes(name) if p.rss_bytes and p.t_ns in history.windows[w]]
                for w in (self.before, self.after)
            )
            if was and now and was[-1].pid != now[-1].pid:
                replaced.append(name)
            elif was and now:
                grown[name] = (median([p.rss_bytes for p in now]) - median([p.rss_bytes for p in was])) / (1 << 20)
        if not grown and not replaced:
            return self.cannot_say(f"no engine was seen in {self.before!r} and in {self.after!r}")
        over = [name for name, mib in grown.items() if mib > self.growth_mib_max]
        return self.says(
            not over,
            ", ".join(
                [*(f"{name} {mib:+.1f} MiB" for name, mib in grown.items()), *(f"{name} replaced" for name in replaced)]
            ),
            threshold=f"<= {self.growth_mib_max:g} MiB",
            evidence=over,
            grown_mib=max(grown.values(), default=0.0),
        )


class KvPoolFilled(Checker, frozen=True, kw_only=True):
    """The KV pool was really full: it reached its last blocks, or sequences were preempted for want of them."""

    needs = "Scrapable:engines"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"engine": ("kv_usage",)}
    window: str
    replica: str
    usage_min: float = 0.9

    def __call__(self, history: History) -> Finding:
        seen_at_all = history.samples(self.replica, window=self.window)
        samples = [s for s in seen_at_all if "kv_usage" in s.values]
        if len(samples) < 2:
            why = f"; {history.absent(self.replica, 'kv_usage')}" if len(seen_at_all) >= 2 else ""
            return self.cannot_say(f"{len(samples)} samples of {self.replica} in {self.window!r}{why}")
        usage = max(s.values["kv_usage"] for s in samples)
        preempted = samples[-1].values.get("preemptions", 0.0) - samples[0].values.get("preemptions", 0.0)
        seen = f"KV usage up to {usage:.0%}, {preempted:.0f} preemptions"
        return self.says(True, seen) if usage >= self.usage_min or preempted > 0 else self.cannot_say(seen)


class HealthTellsTheTruth(Checker, frozen=True, kw_only=True):
    """An engine whose core is gone, or does not move, stops answering that it is healthy."""

    timing = True
    of_a_fault = True
    needs = "Scrapable:engines"
    replica: str
    fault: str
    within_s: float | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        within_s = limit(self.within_s, history, lambda p: p.health_within_s)
        span = history.fault(self.fault, self.replica)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.replica}")
        before = [p for p in history.processes(self.replica) if p.t_ns <= span.start_ns]
        old_pid = before[-1].pid if before else None
        replaced = [
            p.t_ns for p in history.processes(self.replica) if p.t_ns > span.start_ns and p.pid not in (None, old_pid)
        ]
        end_ns = min([*replaced, span.end_ns or history.end_ns])
        from_ns = span.start_ns + int(within_s * 1e9)
        if not [s for s in history.samples(self.replica) if s.t_ns > span.start_ns]:
            return self.cannot_say(f"{self.replica} was not sampled after the fault")
        lies = [s for s in history.samples(self.replica) if from_ns <= s.t_ns < end_ns and s.health == 200]
        told = history.samples(self.replica).between("t_ns", span.start_ns + 1, end_ns)
        truth = next((s for s in told if s.health != 200), None)
        if truth is None and not lies and from_ns < end_ns:
            return self.cannot_say(f"{self.replica} was not sampled between {within_s:g} s after the fault and its end")
        noticed = f"not healthy after {(truth.t_ns - span.start_ns) / 1e9:.2f} s" if truth else "healthy throughout"
        return self.says(
            not lies,
            f"{noticed}; {len(lies)} samples said healthy later than {within_s:g} s",
            threshold="0",
            evidence=[self.replica] if lies else [],
        )


class ReadyMeansFast(Checker, frozen=True, kw_only=True):
    """From the moment an engine says that it is ready it serves, at speed: its first streams are neither refused nor
    slow."""

    timing = True
    of_a_fault = True
    needs = "Signallable"
    replica: str
    first: int = 6
    first_token_s_max: float | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        longest_s = limit(self.first_token_s_max, history, lambda p: p.ready_first_token_s)
        pids = list(dict.fromkeys(p.pid for p in history.processes(self.replica) if p.pid is not None))
        if len(pids) < 2:
            return self.cannot_say(f"{self.replica} was not restarted")
        reborn_ns = next(p.t_ns for p in history.processes(self.replica) if p.pid == pids[-1])
        up = next((s.t_ns for s in history.samples(self.replica) if s.t_ns >= reborn_ns and s.health is not None), None)
        if up is None:
            return self.cannot_say(f"{self.replica} did not answer after its restart")
        whole = {a.request_id for r in history.requests(cancelled=True).unstreamed for a in r.attempts}
        sent = (
            x
            for x in history.exchanges.between("t_request_ns", reborn_ns, LAST_NS)
            if x.hop == self.replica and x.request_id not in whole and x.status is not None
        )
        first = list(islice(sent, self.first))
        if len(first) < self.first:
            return self.cannot_say(
                f"{len(first)} requests reached {self.replica} after its restart, {self.first} needed"
            )
        refused = [x for x in first if x.status != 200]
        waits = [_wait_s(x) for x in first if x.status == 200]
        worst = max(waits, default=0.0)
        return self.says(
            not refused and worst <= longest_s,
            f"of the first {len(first)} requests {len(refused)} were refused, "
            f"the slowest answer began after {worst * 1e3:.0f} ms",
            threshold=f"0 refused, <= {longest_s * 1e3:.0f} ms",
            evidence=[x.request_id or "?" for x in [*refused, *(x for x in first if _wait_s(x) > longest_s)]],
            first_token_s_max=worst,
        )


class DrainLosesNothing(Checker, frozen=True, kw_only=True):
    """A replica that is told to end finishes what it has begun: no open answer is cut."""

    of_a_fault = True
    needs = "Proxied:engines"
    replica: str
    fault: str = "process_restart"
    open_min: int = 1

    def __call__(self, history: History) -> Finding:
        span = history.fault(self.fault, self.replica)
        if span is None:
            return self.cannot_say(f"no {self.fault} on {self.replica}")
        open_ = [
            x
            for x in history.exchanges.between("t_request_ns", NEVER, span.start_ns - 1)
            if x.hop == self.replica and (x.t_end_ns is None or x.t_end_ns > span.start_ns)
        ]
        lost = [x for x in open_ if x.status != 200 or x.end != "complete"]
        if len(open_) < self.open_min and not lost:
            return self.cannot_say(f"{len(open_)} answers were open at {self.replica}, at least {self.open_min} needed")
        return self.says(
            not lost,
            f"{len(lost)} of {len(open_)} open answers were cut",
            threshold="0",
            evidence=[x.request_id or "?" for x in lost],
        )


class MemoryBackBeforeRestart(Checker, frozen=True, kw_only=True):
    """What a dead process held is free before its successor starts, and it takes one start, not a loop of them."""

    of_a_fault = True
    needs = "Signallable"
    replica: str
    window: str
    starts_max: int = 1

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        seen = [p for p in history.processes(self.replica) if p.t_ns >= within.start_ns]
        before = [p for p in history.processes(self.replica) if p.t_ns < within.start_ns and p.pid]
        if not seen or not before:
            return self.cannot_say(f"{self.replica} was not seen before and in {self.window!r}")
        old = {before[-1].pid, *before[-1].child_pids}
        lives = [pid for pid in dict.fromkeys(p.pid for p in seen) if pid is not None and pid not in old]
        if not lives:
            return self.cannot_say(f"{self.replica} was not restarted")
        leftover = {pid for p in seen if p.pid in lives for pid in p.leftover_pids}
        largest_before = percentile([p.rss_bytes for p in before[-10:]], 50)
        settled = [p.rss_bytes for p in seen if p.pid == lives[-1]][-1]
        if not largest_before or not settled:
            return self.cannot_say(f"the memory of {self.replica} could not be read")
        return self.says(
            len(lives) <= self.starts_max and not leftover and settled <= largest_before * 1.25 + (16 << 20),
            f"{len(lives)} starts, {len(leftover)} processes left over, "
            f"{settled / 2**20:.0f} MiB then, {largest_before / 2**20:.0f} MiB before",
            threshold=f"<= {self.starts_max} starts, 0 left over",
            evidence=[self.replica],
        )


class AlertFired(Checker, frozen=True, kw_only=True):
    """Somebody is told: the alert fires in time, and resolves when it is over."""

    timing = True
    of_a_fault = True
    needs = "Alerting"
    alert: str = ""
    """Empty: the one that is promised for a replica that is down."""
    replica: str
    window: str
    within_s: float | None = None
    resolves_within_s: float | None = None
    """None: as promised; it resolves when the replica is back."""

    def __call__(self, history: History) -> Finding:
        alert = self.alert or history.promises.down_alert
        within_s = limit(self.within_s, history, lambda p: p.alert_within_s)
        resolves_within_s = limit(self.resolves_within_s, history, lambda p: p.restart_within_s)
        within = history.windows[self.window]
        if not any(span.injected.target == self.replica for span in history.faults):
            return self.cannot_say(f"no fault on {self.replica}")
        began_ns = min(
            (
                span.start_ns
                for span in history.faults
                if abs(span.start_ns - within.start_ns) < 20e9 and span.injected.target == self.replica
            ),
            default=within.start_ns,
        )
        mine = [a for a in history.of(AlertSeen) if a.alert == alert and self.replica in a.labels.values()]
        before = [a for a in mine if a.t_ns < began_ns]
        if before and before[-1].state == "firing":
            return self.cannot_say(f"{alert} fired for {self.replica} before anything was broken")
        mine = [a for a in mine if a.t_ns >= began_ns]
        fired = next((a for a in mine if a.state == "firing"), None)
        if fired is None:
            return self.says(
                False,
                _untold(history, mine, alert, self.replica),
                threshold=f"within {within_s:g} s",
                evidence=[self.replica],
            )
        resolved = next((a for a in mine if a.state == "resolved" and a.t_ns > fired.t_ns), None)
        after_s = (fired.t_ns - began_ns) / 1e9
        lasted_s = (resolved.t_ns - fired.t_ns) / 1e9 if resolved else float("inf")
        return self.says(
            after_s <= within_s and lasted_s <= resolves_within_s,
            f"fired after {after_s:.1f} s, {f'resolved {lasted_s:.1f} s later' if resolved else 'never resolved'}",
            threshold=f"within {within_s:g} s, resolved within {resolves_within_s:g} s",
            evidence=[self.replica],
            fired_s=after_s,
            lasted_s=lasted_s,
        )


def _untold(history: History, mine: list[AlertSeen], alert: str, replica: str) -> str:
    """Why nobody was told."""
    if suppressed := next((a for a in mine if a.state == "suppressed"), None):
        return f"{alert} for {replica} told nobody: {', '.join(suppressed.by) or 'it was suppressed'}"
    others = sorted({a.alert for a in history.of(AlertSeen)})
    return f"{alert} never fired for {replica}; there were {', '.join(others) or 'none'}"


class BreakersClosed(Checker, frozen=True, kw_only=True):
    """No breaker opens and no engine is ejected while none is broken, whatever is asked of them and however many
    ask."""

    needs = "Scrapable:gateways"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"gateway": ("breaker",)}
    window: str

    def __call__(self, history: History) -> Finding:
        samples = history.samples(role="gateway", window=self.window)
        telling = {s.source for s in samples if any(key.startswith("breaker/") for key in s.values)}
        untold = [source for source in history.sources("gateway") if source not in telling]
        opened = sorted(
            {
                f"{s.source} {key.partition('/')[2]}"
                for s in samples
                for key, value in s.values.items()
                if key.startswith("breaker/") and value != 0
            }
        )
        out = sorted(
            {
                f"{s.source} {key.partition('/')[2]}"
                for s in samples
                for key, value in s.values.items()
                if key.startswith("healthy/") and value == 0
            }
        )
        if not (opened or out) and (untold or not telling):
            why = "; ".join(history.absent(source, "breaker") for source in untold) or "none was scraped"
            return self.cannot_say(f"not every gateway told its breakers in {self.window!r}: {why}")
        return self.says(
            not opened and not out,
            f"{len(opened)} opened, {len(out)} ejected" + (f": {', '.join([*opened, *out])}" if opened or out else ""),
            threshold="0",
            evidence=[*opened, *out],
        )


def _wait_s(exchange: Exchange) -> float:
    return (
        (exchange.t_response_ns - exchange.t_request_ns) / 1e9 if exchange.t_response_ns is not None else float("inf")
    )
