"""What happened when: windows, faults that belong together, alerts, and every change of a replica's state."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from servedrill.history.events import AlertSeen, Observed, ProcessSeen, Sample
from servedrill.history.history import FaultSpan, Window
from servedrill.runs.digest import Digest
from servedrill.secrecy.looks import masked

_TOGETHER_S = 0.5
"""Faults of one kind that began within this time are one band: the same thing done to several replicas."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time with a name; seconds since the drill began."""

    start: float
    end: float
    label: str
    short: str = ""
    """A letter, where there is no room for the label."""
    kind: Literal["fault", "window", "alert"] = "window"
    row: int = 0
    """Where bands overlap, the line that this one is drawn in."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An instant with a name."""

    at: float
    label: str
    kind: Literal["alert", "state", "fault", "window", "measured"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Leases that belong together, told as one."""

    letter: str
    name: str
    targets: list[str]
    attributes: dict[str, Any]
    start: float
    end: float | None
    evidence: list[str]
    took_effect: bool | None
    """None where nothing was measured."""
    proof: list[str]
    healed: bool

    @property
    def label(self) -> str:
        """Name and targets, as readers see them."""
        return f"{self.name} on {', '.join(self.targets)}"


def faults(digest: Digest) -> list[Fault]:
    """In the order in which they began, named A, B, C ..."""
    groups: list[list[FaultSpan]] = []
    for span in digest.rest.faults:
        first = groups[-1][0] if groups else None
        if (
            first is not None
            and first.injected.fault == span.injected.fault
            and first.injected.attributes == span.injected.attributes
            and (span.start_ns - first.start_ns) / 1e9 <= _TOGETHER_S
        ):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [_fault(digest, letter(number), group) for number, group in enumerate(groups)]


def letter(number: int) -> str:
    """A, B ... Z, AA, AB ..."""
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _fault(digest: Digest, name: str, group: list[FaultSpan]) -> Fault:
    ends = [span.end_ns for span in group]
    seen = [span.evidence for span in group if span.evidence is not None]
    healed = [span.healed for span in group if span.healed is not None]
    return Fault(
        letter=name,
        name=group[0].injected.fault,
        targets=[span.injected.target for span in group],
        attributes=masked(group[0].injected.attributes),
        start=digest.at(group[0].start_ns),
        end=None if None in ends else digest.at(max(end for end in ends if end is not None)),
        evidence=[evidence.observed for evidence in seen],
        took_effect=None if len(seen) < len(group) else all(evidence.took_effect for evidence in seen),
        proof=[one.proof for one in healed],
        healed=len(healed) == len(group) and all(one.proven for one in healed),
    )


def bands(digest: Digest, found: list[Fault]) -> list[Band]:
    """Windows, faults and alerts, each kind in as few lines as their overlaps need."""
    end = digest.seconds
    windows = [
        Band(start=digest.at(window.start_ns), end=digest.at(window.end_ns), label=window.name)
        for window in digest.rest.windows.values()
    ]
    broken = [
        Band(start=f.start, end=end if f.end is None else f.end, label=f.label, short=f.letter, kind="fault")
        for f in found
    ]
    return [*_packed(windows), *_packed(broken), *_packed(_alerts(digest))]


def _alerts(digest: Digest) -> list[Band]:
    open_: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    found: list[Band] = []
    for event in digest.rest.of(AlertSeen):
        key = (event.alert, tuple(sorted(event.labels.items())))
        at = digest.at(event.t_ns)
        if event.state == "firing":
            open_.setdefault(key, at)
        elif key in open_:
            found.append(Band(start=open_.pop(key), end=at, label=alert_name(event), kind="alert"))
    found += [
        Band(start=at, end=digest.seconds, label=_named(alert, dict(labels)), kind="alert")
        for (alert, labels), at in open_.items()
    ]
    return sorted(found, key=lambda band: band.start)


def alert_name(event: AlertSeen) -> str:
    """``ReplicaDown engine-0``: the alert and what tells it from others of its name."""
    return _named(event.alert, event.labels)


def _named(alert: str, labels: dict[str, str]) -> str:
    rest = " ".join(value for name, value in sorted(labels.items()) if name not in ("alertname", "severity", "job"))
    return f"{alert} {rest}".strip()


def _packed(bands: list[Band]) -> list[Band]:
    """Each band in the first line that is free where it begins."""
    free: list[float] = []
    packed = []
    for band in sorted(bands, key=lambda band: (band.start, -band.end)):
        row = next((row for row, until in enumerate(free) if until <= band.start), len(free))
        free[row:] = [band.end, *free[row + 1 :]]
        packed.append(msgspec.structs.replace(band, row=row))
    return packed


def marks(digest: Digest, found: list[Fault]) -> list[Mark]:
    """Everything that happened at an instant, in order."""
    all_: list[Mark] = [*_states(digest), *_processes(digest)]
    for window in digest.rest.windows.values():
        all_.append(Mark(at=digest.at(window.start_ns), kind="window", label=f"window {_quoted(window)} began"))
    for fault in found:
        all_.append(Mark(at=fault.start, kind="fault", label=f"{fault.letter}: {fault.label} injected"))
        if fault.end is not None:
            how = "healed" if fault.healed else "ended, not proven to be healed"
            all_.append(Mark(at=fault.end, kind="fault", label=f"{fault.letter}: {fault.label} {how}"))
    for event in digest.rest.of(AlertSeen):
        all_.append(Mark(at=digest.at(event.t_ns), kind="alert", label=f"alert {alert_name(event)} {event.state}"))
    for seen in digest.rest.of(Observed):
        value = "no value" if seen.value is None else f"{seen.value:.3g} {seen.unit}".strip()
        all_.append(Mark(at=digest.at(seen.t_ns), kind="measured", label=f"{seen.name}: {value}"))
    return sorted(all_, key=lambda mark: mark.at)


def _quoted(window: Window) -> str:
    return f"“{window.name}”"


_BREAKER = {0.0: "closed", 1.0: "opened", 2.0: "half open"}


def _states(digest: Digest) -> list[Mark]:
    """Health, breakers and ejections, where they changed from one sample to the next."""
    found: list[Mark] = []
    known: dict[tuple[str, str], float] = {}

    def changed(sample: Sample, what: str, value: float, label: str) -> None:
        before = known.get((sample.source, what))
        known[sample.source, what] = value
        if before is not None and before != value:
            found.append(Mark(at=digest.at(sample.t_ns), kind="state", label=label))

    for sample in digest.rest.of(Sample):
        said = "does not answer" if sample.health is None else f"/health says {sample.health}"
        changed(sample, "health", -1.0 if sample.health is None else float(sample.health), f"{sample.source}: {said}")
        for word, value in sample.values.items():
            what, _, target = word.partition("/")
            if what == "breaker":
                state = _BREAKER.get(value, f"{value:g}")
                changed(sample, word, value, f"{sample.source}: breaker of {target} {state}")
            elif what == "healthy":
                changed(sample, word, value, f"{sample.source}: {target} {'healthy again' if value else 'ejected'}")
    return found


def _processes(digest: Digest) -> list[Mark]:
    found: list[Mark] = []
    known: dict[str, tuple[int | None, int | None, str]] = {}
    for seen in digest.rest.of(ProcessSeen):
        now = (seen.pid, seen.start_ticks, seen.state)
        before = known.get(seen.name)
        known[seen.name] = now
        if before is None or before == now:
            continue
        if now[:2] != before[:2]:
            label = f"{seen.name}: process gone" if seen.pid is None else f"{seen.name}: process {seen.pid} started"
        elif "T" in (now[2], before[2]):
            label = f"{seen.name}: process {'frozen' if now[2] == 'T' else 'goes on'}"
        else:
            continue
        found.append(Mark(at=digest.at(seen.t_ns), kind="state", label=label))
    return found
