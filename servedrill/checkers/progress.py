"""Whether what a stack says of its work is true, and whether somebody is told when nothing gets on."""

from __future__ import annotations

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.history.events import AlertSeen
from servedrill.history.history import History


class ProgressAlerted(Checker, frozen=True, kw_only=True):
    """When users wait and no token comes from anywhere, somebody is told, and told again when it is over."""

    timing = True
    of_a_fault = True
    needs = "Alerting"
    window: str
    alert: str = ""
    """Empty: the one that is promised."""
    within_s: float | None = None
    """None: as promised."""
    resolves_within_s: float = 3.0
    """After the window."""

    def __call__(self, history: History) -> Finding:
        alert = self.alert or history.promises.progress_alert
        within_s = limit(self.within_s, history, lambda p: p.progress_alert_within_s)
        within = history.windows[self.window]
        if not any(span.start_ns <= within.start_ns < (span.end_ns or history.end_ns) for span in history.faults):
            return self.cannot_say(f"nothing was broken in {self.window!r}")
        if within.seconds < within_s:
            return self.cannot_say(f"{self.window!r} is shorter than the {within_s:g} s that it may take")
        told = [one for one in history.of(AlertSeen) if one.alert == alert]
        before = [one for one in told if one.t_ns < within.start_ns]
        if before and before[-1].state == "firing":
            return self.cannot_say(f"{alert} fired before anything was broken")
        fired = next((one for one in told if one.t_ns >= within.start_ns and one.state == "firing"), None)
        if fired is None or fired.t_ns > within.end_ns:
            return self.says(False, f"{alert} did not fire", threshold=f"within {within_s:g} s")
        resolved = [one for one in told if one.t_ns > within.end_ns and one.state == "resolved"]
        after_s = (fired.t_ns - within.start_ns) / 1e9
        over_s = (resolved[0].t_ns - within.end_ns) / 1e9 if resolved else float("inf")
        return self.says(
            after_s <= within_s and over_s <= self.resolves_within_s,
            f"fired after {after_s:.1f} s, "
            + (f"resolved {over_s:.1f} s after the end" if resolved else "never resolved"),
            threshold=f"within {within_s:g} s, resolved within {self.resolves_within_s:g} s",
            fired_s=after_s,
        )


class EngineGaugesTrue(Checker, frozen=True, kw_only=True):
    """Engines say how much they have to do: as many as are open at them, running or waiting."""

    needs = "Proxied:engines"
    window: str
    behind_s: float = 0.4
    """Gauges may be as old as this."""
    slack: int = 1
    ratio_max: float = 0.1
    samples_min: int = 6

    def __call__(self, history: History) -> Finding:
        told, lies = 0, dict[str, int]()
        behind_ns = int(self.behind_s * 1e9)
        for engine in history.sources("engine"):
            ends = [
                (x.t_request_ns, x.t_end_ns or history.end_ns)
                for x in history.exchanges
                if x.hop == engine and x.status in (200, None)
            ]
            for sample in history.samples(engine, window=self.window):
                if "running" not in sample.values:
                    continue
                told += 1
                said = sample.values["running"] + sample.values.get("waiting", 0.0)
                from_ns, until_ns = sample.t_ns - behind_ns, sample.t_ns
                least = sum(start < from_ns and end > until_ns for start, end in ends)  # open all that time
                most = sum(start < until_ns and end > from_ns for start, end in ends)  # open at any moment of it
                if not least - self.slack <= said <= most + self.slack:
                    lies[engine] = lies.get(engine, 0) + 1
        if told < self.samples_min:
            why = (
                "; ".join(history.absent(engine, "running") for engine in history.sources("engine")) if not told else ""
            )
            return self.cannot_say(f"{told} samples, at least {self.samples_min} needed" + (f"; {why}" if why else ""))
        if not history.exchanges:
            return self.cannot_say("no exchange was seen at any engine")
        wrong = sum(lies.values())
        return self.says(
            wrong <= self.ratio_max * told,
            f"{wrong} of {told} readings were not what was open at the engine",
            threshold=f"<= {self.ratio_max:.0%}",
            evidence=lies,
            wrong=wrong,
        )
