"""How fast things are noticed, routed around and good again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.counts import by_what_came
from servedrill.checkers.finding import Finding
from servedrill.history.events import Observed, Sample
from servedrill.history.history import History
from servedrill.history.requests import Requests
from servedrill.slo.evaluate import attained, missed
from servedrill.slo.objectives import good_requests
from servedrill.slo.slo import Agreement, objective_in, slos_in, slos_of
from servedrill.slo.words import percent
from servedrill.stats.percentiles import percentile
from servedrill.stats.proportion import at_most
from servedrill.stats.requests import ttft_s


class NewTrafficStops(Checker, frozen=True, kw_only=True):
    """A replica that does not answer gets no new traffic, but for probes, until it is back.

    Probes are few: also where all that comes is little, what goes there is far below a fair share.
    """

    timing = True
    of_a_fault = True
    needs = "Proxied:engines"
    window: str
    replica: str
    within_s: float | None = None
    """None: the promised time to detect a failure, and a little."""
    probes_per_s: float = 3.0
    fair_ratio_max: float = 0.75

    def __call__(self, history: History) -> Finding:
        within_s = limit(self.within_s, history, lambda p: p.detect_s + 0.5)
        within = history.windows[self.window]
        from_ns = within.start_ns + int(within_s * 1e9)
        if (within.end_ns - from_ns) / 1e9 < 0.5:
            return self.cannot_say(f"{self.window!r} is not long enough to see traffic stop")
        until_ns = self._back_ns(history.samples(self.replica, window=self.window), from_ns) or within.end_ns
        seconds = (until_ns - from_ns) / 1e9
        everywhere = history.exchanges.between("t_request_ns", from_ns, until_ns)
        sent = everywhere.keep(x.hop == self.replica for x in everywhere)
        if not everywhere:
            return self.cannot_say("no traffic anywhere")
        fair = len(everywhere) / max(len(history.sources("engine")), len({x.hop for x in everywhere}))
        allowed = min(self.probes_per_s * seconds, self.fair_ratio_max * fair) + 2
        return self.says(
            len(sent) <= allowed,
            f"{len(sent)} of {len(everywhere)} tries went there in the "
            f"{seconds:.1f} s that followed the first {within_s:g} s",
            threshold=f"<= {allowed:.0f}",
            evidence=(x.request_id or "?" for x in sent if len(sent) > allowed),
            tries=len(sent),
        )

    def _back_ns(self, samples: Sequence[Sample], from_ns: int) -> int | None:
        """When it was last seen not to be well, before it was; one bad answer between two good ones is no absence."""
        gone = False
        for earlier, sample in pairwise(samples):
            gone = gone or (earlier.health != 200 and sample.health != 200)
            if gone and sample.health == 200 and sample.t_ns > from_ns:
                return max(from_ns, earlier.t_ns)
        return None


class ShareRestored(Checker, frozen=True, kw_only=True):
    """A replica that came back has its share of the traffic again."""

    timing = True
    needs = "Proxied:engines"
    window: str
    replicas: list[str] | None = None
    """None: every engine."""
    last_s: float | None = None
    """None: 2.5 s at the stack's pace."""
    fair_ratio_min: float = 0.5
    tries_min: int = 6
    """For each engine, on average."""

    def __call__(self, history: History) -> Finding:
        last_s = limit(self.last_s, history, lambda p: p.pace * 2.5)
        within = history.windows[self.window]
        from_ns = within.end_ns - int(last_s * 1e9)
        sent = [x.hop for x in history.exchanges.between("t_request_ns", from_ns, within.end_ns)]
        engines = history.sources("engine")
        if len(sent) < self.tries_min * len(engines):
            return self.cannot_say(
                f"{len(sent)} tries in the last {last_s:g} s of {self.window!r}, "
                f"at least {self.tries_min * len(engines)} needed"
            )
        fair = 1 / len(engines)
        shares = {replica: sent.count(replica) / len(sent) for replica in self.replicas or engines}
        low = [replica for replica, share in shares.items() if share < fair * self.fair_ratio_min]
        return self.says(
            not low,
            ", ".join(f"{replica} {share:.0%}" for replica, share in shares.items()),
            threshold=f">= {fair * self.fair_ratio_min:.0%}",
            evidence=low,
            failing=None,
            **{f"share_{replica}": share for replica, share in shares.items()},
        )


class GoodputRecovers(Checker, frozen=True, kw_only=True):
    """Goodput is back soon after the fault is gone, with clients' retries going on, and stays."""

    timing = True
    window: str = "recover"
    after: str = "inject"
    within_s: float | None = None
    """None: as promised."""
    ratio_min: float = 0.95
    requests_min: int = 20
    bucket_s: float | None = None
    """Stretches of time in which goodput is looked at; None: half a second at the stack's pace."""

    def __call__(self, history: History) -> Finding:
        return by_what_came(lambda trusted: self._judged(history, trusted=trusted), history)

    def _judged(self, history: History, *, trusted: bool) -> Finding:
        """``trusted``: with the server's counts of tokens taken at its word."""
        within_s = limit(self.within_s, history, lambda p: p.recovers_within_s)
        bucket_s = limit(self.bucket_s, history, lambda p: p.pace * 0.5)
        healed_ns = history.windows[self.after].end_ns
        end_ns = history.windows[self.window].end_ns
        objective_of = objective_in(history)
        asked, good = Counter[int](), Counter[int]()
        requests = history.requests().due(healed_ns, end_ns)
        goods = [
            good_requests(history, cls, objective_of(cls), trusted=trusted).due(healed_ns, end_ns)
            for cls in history.classes
        ]
        for counted, some in ((asked, requests), *((good, one) for one in goods)):
            counted.update(int((due_ns - healed_ns) / 1e9 / bucket_s) for due_ns in some.column("t_int_ns"))
        if len(requests) < self.requests_min:
            return self.cannot_say(
                f"{len(requests)} requests after {self.after!r}, at least {self.requests_min} needed"
            )
        bad = [index for index, total in asked.items() if good[index] < total * 0.75]

        def since(first: int) -> tuple[int, int]:
            """Good ones, and all."""
            indices = [index for index in asked if index >= first]
            return sum(good[index] for index in indices), sum(asked[index] for index in indices)

        back, last = max(bad, default=-1) + 1, int(within_s / bucket_s)
        well, total = since(back)
        while well < total * self.ratio_min and back < last:  # stragglers belong to the recovery, too
            later = since(back + 1)
            if later[1] < self.requests_min:
                break
            back, (well, total) = back + 1, later
        recovered_s = back * bucket_s
        if recovered_s <= within_s and total < self.requests_min:
            return self.cannot_say(f"{total} requests since it was back, at least {self.requests_min} needed")
        final = well / total if total else 0.0
        return self.says(
            recovered_s <= within_s and final >= self.ratio_min,
            f"back after {recovered_s:.1f} s, {final:.0%} of {total} good since",
            threshold=f"within {within_s:g} s, >= {self.ratio_min:.0%}",
            failing=(total - well, total),
            recovered_s=recovered_s,
            final_ratio=final,
        )


class BystandersUnaffected(Checker, frozen=True, kw_only=True):
    """Requests that other engines answered were as fast as before: one that hangs blocks nobody else."""

    timing = True
    needs = "Proxied:engines"
    window: str
    replica: str
    baseline: str = "baseline"
    factor: float = 3.0
    slack_s: float = 0.25

    def __call__(self, history: History) -> Finding:
        def latencies(window: str, *, but: str = "") -> list[float]:
            found = []
            for request in history.requests(window).streams:
                if not request.attempts:
                    continue
                tries = history.exchanges_of.get(request.attempts[-1].request_id or "", [])
                if len(tries) == 1 and tries[0].hop != but:
                    found.append(ttft_s(request))
            return found

        before, during = latencies(self.baseline), latencies(self.window, but=self.replica)
        if len(before) < 10 or len(during) < 10:
            return self.cannot_say(
                f"{len(before)} requests before and {len(during)} at other engines, at least 10 needed"
            )
        was, now = percentile(before, 95), percentile(during, 95)
        if math.isinf(was):
            return self.cannot_say(f"more than 5% of {len(before)} requests in {self.baseline!r} got no token")
        limit = was * self.factor + self.slack_s
        return self.says(
            now <= limit,
            f"TTFT p95 {now * 1e3:.0f} ms, {was * 1e3:.0f} ms before",
            threshold=f"<= {limit * 1e3:.0f} ms",
            ttft_s_p95=now,
        )


class SloMet(Checker, frozen=True, kw_only=True):
    """Users got what their class was promised."""

    timing = True
    window: str
    classes: list[str]
    requests_min: int = 10
    agreement: Agreement = "slo"
    """``sla``: what was agreed with users, which is looser, and kept apart."""

    def __call__(self, history: History) -> Finding:
        return by_what_came(lambda trusted: self._judged(history, trusted=trusted), history)

    def _judged(self, history: History, *, trusted: bool) -> Finding:
        """``trusted``: with the server's counts of tokens taken at its word."""
        given, within = slos_in(history), history.windows[self.window]
        parts: list[str] = []
        limits: list[str] = []
        bad: list[Requests] = []
        figures: dict[str, float] = {}
        few: list[str] = []
        held = True
        for cls in self.classes:
            requests = history.undisturbed(self.window, classes=[cls])
            requests = requests.trusted if trusted else requests
            slos = slos_of(cls, given, agreement=self.agreement)
            if not slos:
                return self.cannot_say(f"no {self.agreement.upper()} of {cls} is given")
            for slo in slos:
                name = cls if len(slos) == 1 else f"{cls} {slo.name}"
                if len(requests) < self.requests_min:
                    few.append(f"{len(requests)} of {name}")
                    continue
                span = {"start_ns": within.start_ns, "end_ns": within.end_ns}
                tally = attained(slo, requests, **span, observed=history.of(Observed))
                if not tally.total:
                    few.append(f"nothing to judge {name} by")
                    continue
                parts.append(f"{name} {tally.ratio:.1%} of {tally.total:.0f}{_SLICES.get(slo.method, '')}")
                if slo.method not in _SLICES:
                    sure = 1 - at_most(round(tally.total - tally.good), round(tally.total))
                    figures[f"attainment_{name}_at_least"] = sure
                    parts[-1] += f" ({sure:.1%} for sure)"
                limits.append(f"{name} {percent(slo.target)}")
                figures[f"attainment_{name}"] = tally.ratio
                if tally.ratio < slo.target:
                    held = False
                    bad.append(missed(slo, requests))
        if few and held:
            return self.cannot_say(f"too few requests: {', '.join(few)}")
        return self.says(
            held,
            "good: " + ", ".join([*parts, *few]),
            threshold=f">= {', '.join(limits)}",
            evidence=_each_once(request.id for requests in bad for request in requests),
            failing=None,
            **figures,
        )


def _each_once(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


_SLICES = {"Timeslices": " slices", "RatioTimeslices": " slices, their mean"}


class Settled(Checker, frozen=True, kw_only=True):
    """After each fault every gateway sends to every engine again, by itself and in time."""

    timing = True
    needs = "Scrapable:gateways"
    words: ClassVar[dict[str, tuple[str, ...]]] = {"gateway": ("breaker|healthy",)}
    settles_min: int = 1

    def __call__(self, history: History) -> Finding:
        seen = [event for event in history.of(Observed) if event.name.startswith("settled/")]
        if len(seen) < self.settles_min:
            return self.cannot_say(f"{len(seen)} times waited for, at least {self.settles_min} needed")
        for event in seen:
            if silent := _untold(history, event):
                return self.cannot_say(f"{event.name}: {silent}")
        never = [event.name for event in seen if not event.detail.get("met")]
        slowest = max(event.value or 0.0 for event in seen)
        return self.says(
            not never, f"{len(never)} of {len(seen)} times not; the slowest took {slowest:.1f} s", evidence=never
        )


def _untold(history: History, event: Observed) -> str:
    """Which gateway did not tell whom it sends to while that was waited for, or a little before."""
    from_ns = event.t_ns - int(((event.value or 0.0) + 1.0) * 1e9)
    gateways = history.sources("gateway")
    for source in gateways:
        near = history.samples(source).between("t_ns", from_ns, event.t_ns)
        if not any(s.ok and any(key.startswith(("breaker/", "healthy/")) for key in s.values) for s in near):
            return history.absent(source, "breaker")
    return "" if gateways else "no gateway was scraped"
