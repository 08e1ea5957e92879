"""Whether everybody gets a share: who came first goes first, and a key gets what its limit allows, no more, no less."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import Finding
from servedrill.history.events import Exchange
from servedrill.history.history import History


class OldestFirst(Checker, frozen=True, kw_only=True):
    """Of those who wait at an engine at the same time, who came first is answered first."""

    timing = True
    needs = "Proxied:engines"
    window: str
    classes: list[str]
    """One kind of request each, streamed: the head of its answer comes with the first token."""
    apart_s: float = 0.1
    """Who came so much earlier."""
    ratio_max: float = 0.1
    pairs_min: int = 30

    def __call__(self, history: History) -> Finding:
        within = history.windows[self.window]
        pairs, overtaken = 0, list[str]()
        for waiting in self._waiting(history).values():
            for one, other in combinations(waiting, 2):
                first, then = sorted((one, other), key=lambda x: x.t_request_ns)
                told = first.t_response_ns, then.t_response_ns
                if first.t_request_ns not in within or None in told:
                    continue
                began, later = (t_ns or 0 for t_ns in told)
                if then.t_request_ns - first.t_request_ns < self.apart_s * 1e9 or began < then.t_request_ns:
                    continue  # they did not wait at the same time
                pairs += 1
                overtaken += [first.request_id or "?"] if later < began else []
        if pairs < self.pairs_min:
            return self.cannot_say(f"{pairs} pairs waited at the same time, at least {self.pairs_min} needed")
        return self.says(
            len(overtaken) <= self.ratio_max * pairs,
            f"in {len(overtaken)} of {pairs} pairs who came later was answered first",
            threshold=f"<= {self.ratio_max:.0%}",
            evidence=dict.fromkeys(overtaken),
            overtaken_ratio=len(overtaken) / pairs,
        )

    def _waiting(self, history: History) -> dict[tuple[str, str], list[Exchange]]:
        """Engine and class -> its streams."""
        found: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
        for request in history.requests(self.window, classes=self.classes).streams:
            for attempt in request.attempts:
                for exchange in history.exchanges_of.get(attempt.request_id or "", []):
                    if exchange.status == 200:
                        found[exchange.hop, request.cls].append(exchange)
        return found


class QuotaKept(Checker, frozen=True, kw_only=True):
    """A key gets the tokens that its limit allows: no more however many ask at once, and no less for what was
    refused."""

    window: str
    classes: list[str]
    """All that asked with the key, what is refused for its own fault included."""
    tokens_per_minute: int
    ratio_min: float = 0.6
    """Of the limit: what is charged may be an estimate, higher than what is counted."""
    refused_min: int = 5

    def __call__(self, history: History) -> Finding:
        asked = history.requests(self.window, classes=self.classes)
        refused = asked.where("status", test=(429).__eq__)
        granted = [(r.prompt_tokens or 0) + (r.completion_tokens or 0) for r in asked.whole]
        most = self.tokens_per_minute * (1 + history.windows[self.window].seconds / 60) + max(granted, default=0)
        least = self.tokens_per_minute * self.ratio_min
        wanted = sum((r.prompt_tokens or 0) + (r.max_tokens or 0) for r in asked if r.status in (200, 429))
        if wanted < self.tokens_per_minute:
            return self.cannot_say(f"{wanted} tokens were asked for, {self.tokens_per_minute} are allowed")
        seen = f"{sum(granted)} of {wanted} tokens, {len(refused)} of {len(asked)} requests refused with 429"
        if least <= sum(granted) <= most and len(refused) < self.refused_min:
            return self.cannot_say(f"{seen}, at least {self.refused_min} needed")
        return self.says(
            least <= sum(granted) <= most,
            seen,
            threshold=f"{least:.0f} to {most:.0f} tokens",
            evidence=asked.whole if sum(granted) > most else refused,
            granted_tokens=sum(granted),
        )
