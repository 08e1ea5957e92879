"""The lease of a fault: its undo on disk, then the fault, then evidence, then healing, in reverse order, always."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from servedrill.faults.fault import Evidence, Fault
from servedrill.history.events import FaultEvidence, FaultHealed, FaultInjected
from servedrill.history.journal import Journal
from servedrill.host.clock import NS, now_ns
from servedrill.leases.guard import Guard
from servedrill.leases.shield import shielded


@contextlib.contextmanager
def leased(guard: Guard, journal: Journal, *faults: Fault, deadline_s: float) -> Iterator[list[str]]:
    """The faults are in place inside the block, for ``deadline_s`` at most; yields the names of their leases.

    Raises `Unwatched` where nobody would heal them.

    Evidence is taken when the block ends, while they still are. What cannot be proven to have taken effect or to be
    healed is written down as such: that is for the verdict to judge, and no reason to skip healing the next one.
    """
    open_: list[tuple[str, Fault]] = []
    try:
        for fault in faults:
            guard.check()
            deadline_ns = now_ns() + int(deadline_s * NS)
            with shielded():
                lease = guard.ledger.open(fault.name, fault.undo(), deadline_ns=deadline_ns)
                open_.append((lease, fault))
                began_ns = now_ns()
                fault.inject()
                journal.append(
                    FaultInjected(
                        t_ns=began_ns,
                        lease=lease,
                        fault=fault.name,
                        target=fault.target,
                        deadline_ns=deadline_ns,
                        attributes=fault.attributes,
                    )
                )
        yield [lease for lease, _ in open_]
    finally:
        with shielded():
            notes: list[FaultEvidence | FaultHealed] = []
            for lease, fault in reversed(open_):
                seen = _measured(fault.evidence)
                notes.append(
                    FaultEvidence(
                        t_ns=now_ns(),
                        lease=lease,
                        took_effect=seen.proven,
                        observed=seen.observed,
                        figures=seen.figures,
                    )
                )
            healed: list[str] = []
            for lease, fault in reversed(open_):
                seen = _measured(fault.heal)
                notes.append(FaultHealed(t_ns=now_ns(), lease=lease, proven=seen.proven, proof=seen.observed))
                if seen.proven:
                    healed.append(lease)
            for lease in healed:  # what cannot be written down, on a full disk, must not keep anything broken
                guard.ledger.close_lease(lease)
            journal.append(*notes)


def _measured(measure: object) -> Evidence:
    """What a fault says of itself; an error is evidence of nothing."""
    try:
        return measure()  # type: ignore[operator, no-any-return]
    except Exception as error:
        return Evidence(proven=False, observed=f"{type(error).__name__}: {error}")
