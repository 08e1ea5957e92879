"""What one drill spent of each SLO's error budget, and which burn-rate alerts it would have raised."""

from __future__ import annotations

import msgspec

from servedrill.history.events import Observed
from servedrill.history.history import History
from servedrill.slo.alerting import alerts_of
from servedrill.slo.budget import burn
from servedrill.slo.evaluate import Chosen, Events, attained_of, events, series, traffic_span
from servedrill.slo.measures import OBSERVED
from servedrill.slo.objectives import good_requests
from servedrill.slo.replay import Fired, replay
from servedrill.slo.slo import Agreement, Slo, defaults, slos_in


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """One SLO in one drill; ratios of 0 where ``total`` is 0: there was nothing to judge."""

    slo: str
    agreement: Agreement = "slo"
    target: float
    period_s: float
    total: float = 0.0
    """Events, or time slices, by the budgeting method."""
    bad_ratio: float = 0.0
    seconds: float = 0.0
    """That the drill spent it in: of traffic, or of the drill where it measured something itself."""
    alerts: list[Fired] = []
    """That would have fired, had the drill happened within a clean period."""

    @property
    def burn(self) -> float:
        """How fast the budget was spent: 1 spends all of it in exactly the period."""
        return burn(self.bad_ratio, self.target)

    @property
    def spend(self) -> float:
        """Share of the period's budget, 0 and more."""
        return self.burn * self.seconds / self.period_s


def spendings(history: History) -> list[Spending]:
    """Of every SLO that the history was given (else those that are built in) and that a history can be judged by."""
    given = slos_in(history)
    return [spending(slo, history) for slo in (defaults() if given is None else given) if slo.sli.judged_by_history]


def spending(slo: Slo, history: History) -> Spending:
    """What a drill spent of one SLO's budget."""
    start_ns, end_ns = _span(slo, history)
    found = _events(slo, history, start_ns, end_ns)
    tally = attained_of(slo, found, start_ns=start_ns, end_ns=end_ns)
    bad_ratio = max(0.0, 1 - tally.ratio) if tally.total else 0.0
    fired = _replayed(slo, found, start_ns, end_ns) if bad_ratio else []
    return Spending(
        slo=slo.name,
        agreement=slo.agreement,
        target=slo.target,
        period_s=slo.period_s,
        total=tally.total,
        bad_ratio=bad_ratio,
        seconds=(end_ns - start_ns) / 1e9 if tally.total else 0.0,
        alerts=[one for one in fired if one.fired_s is not None],
    )


def drill_replay(slo: Slo, history: History) -> list[Fired]:
    """Every alert of the SLO over the drill, put into a clean period; those that stay silent too."""
    start_ns, end_ns = _span(slo, history)
    return _replayed(slo, _events(slo, history, start_ns, end_ns), start_ns, end_ns)


def _replayed(slo: Slo, found: Events, start_ns: int, end_ns: int) -> list[Fired]:
    slice_s = slo.slice_s if slo.method != "Occurrences" and slo.slice_s else 1.0
    return replay(
        series(found, start_ns=start_ns, end_ns=end_ns, bucket_s=slice_s),
        slice_s=slice_s,
        seconds=(end_ns - start_ns) / 1e9,
        target=slo.target,
        alerts=alerts_of(slo),
    )


def _span(slo: Slo, history: History) -> tuple[int, int]:
    """The stretch of a drill that an SLO is about: its traffic; the whole of it for what the drill measures itself,
    before and after."""
    return (history.start_ns, history.end_ns) if slo.sli.measure == OBSERVED else traffic_span(history)


def _events(slo: Slo, history: History, start_ns: int, end_ns: int) -> Events:
    classes = [cls for cls in history.classes if slo.covers(cls)]
    if slo.sli.measure == "good_ratio":
        both = ((history.requests(classes=[cls]), good_requests(history, cls, slo.sli.limits)) for cls in classes)
        return Chosen((asked.due(start_ns, end_ns), good.due(start_ns, end_ns)) for asked, good in both)
    observed = history.of(Observed)
    return events(slo, history.requests(classes=classes), start_ns=start_ns, end_ns=end_ns, observed=observed)
