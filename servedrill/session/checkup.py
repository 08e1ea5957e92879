"""What a stack allows and what not, drill by drill and claim by claim, before any of them runs.

The stack is looked at as it is before every drill, its metrics are read a few times, and each drill is gone through
without traffic or faults. Nothing is sent but the first look's ten short questions.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from servedrill.checkers.checker import Checker
from servedrill.control.bounded import call
from servedrill.dialect.conformance import Difference, differences
from servedrill.dialect.openai import MODELS
from servedrill.dialect.vendors import publishing
from servedrill.drill.beginning import beginning
from servedrill.drill.observer import Observer
from servedrill.drill.rehearsal import Rehearsal
from servedrill.errors import NotInTime
from servedrill.history.history import History
from servedrill.history.journal import Journal
from servedrill.history.promises import LIMITS, MEASURED
from servedrill.host.clock import wait_for
from servedrill.host.limits import limits
from servedrill.host.run_delay import run_delay_untold
from servedrill.judging.catalogue import ALWAYS, WHERE_CORES_ARE_SEEN
from servedrill.judging.foresight import cannot_be_judged
from servedrill.leases.guard import Guard
from servedrill.runs.layout import HISTORY
from servedrill.session.notebook import NO_TIME
from servedrill.session.stack import guarded_stack
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.file import StackFile
from servedrill.stacks.protocols import Stack

SKEW_S_MAX = 2.0
"""A Date header has whole seconds."""
_PAGES_WITHIN_S = 3.0
_STARTED = 'a stack that servedrill starts: kind = "process" or "docker", docs/real-stacks.md'
_HOOKS = "[replica.hooks] of each [[replica]]: commands for kill, restart and identity, docs/real-stacks.md"
_HELP = {
    "Proxied": 'listen = "HOST:PORT" of each [[replica]], and a gateway that finds the replica there',
    "Scrapable": "a [[replica]] for each engine and gateway whose metrics can be read",
    "Signallable": _HOOKS,
    "Supervised": _HOOKS,
    "Alerting": 'alerts = "http://HOST:9093", an Alertmanager',
    "Named": f"{_STARTED}, with [dns]",
    "MemoryLimited": _STARTED,
    "Swappable": f"{_STARTED}, with promises.candidates",
    "Containerised": 'kind = "docker"',
    "Gpu": 'kind = "process" on a machine with a GPU, and pip install "servedrill[gpu]"',
}
"""Capability -> what gives a stack that lacks it."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A drill that is to be gone through."""

    name: str
    nodeid: str
    hypothesis: str
    function: Callable[[Any], object]
    needs: Sequence[str] = ()
    uses: Sequence[str] = ()


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is lacking: what, why, and the one thing to do."""

    what: str
    why: str = ""
    do: str = ""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One claim of a drill."""

    checker: str
    claim: str
    window: str = ""
    why_not: str = ""
    """Why it can never be judged on this stack; empty where it may."""


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one drill."""

    drill: str
    nodeid: str
    hypothesis: str
    skipped: str = ""
    """Why it would not run."""
    do: str = ""
    """What would let it."""
    broke: str = ""
    """Why it could not be gone through to its end: what it claims after that is known when it runs."""
    claims: list[Claim] = []
    left_out: list[Gap] = []
    """Parts that the stack cannot be held to."""

    @property
    def judged(self) -> list[Claim]:
        """Claims that may be judged."""
        return [claim for claim in self.claims if not claim.why_not]

    @property
    def unjudged(self) -> list[Claim]:
        """Claims that can never be."""
        return [claim for claim in self.claims if claim.why_not]


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found."""

    stack: str
    kind: str
    url: str
    model: str
    software: list[str]
    conformance: list[Difference]
    metrics: list[str]
    """What is read, a line for each replica."""
    promised: list[str]
    """Promises that somebody made."""
    gaps: list[Gap]
    """Of the stack and of this machine."""
    machine: dict[str, str]
    drills: list[Foreseen]

    @property
    def complete(self) -> bool:
        """Whether every drill that is not skipped can be judged in full."""
        return not any(drill.broke or drill.unjudged for drill in self.drills)


def check_up(
    file: StackFile, folder: Path, drills: Sequence[Asked], *, unknown: Mapping[str, str] | None = None
) -> Checkup:
    """Bring the stack up as for a drill, look, and take it down; ``folder`` is for its logs.

    ``unknown``: promises that a measurement has just not found, and why; None where there was none.

    Raises `StackError` for a stack that does not come up.
    """
    uses = sorted({one for drill in drills for one in (*drill.needs, *drill.uses)})
    with (
        contextlib.closing(Guard(folder)) as guard,
        guarded_stack(file, folder, guard, defects=[], seed=0, uses=uses) as stack,
    ):
        history = _looked_at(stack, folder)
        foreseen = [_foreseen(stack, history, drill) for drill in drills]
        entry = stack.entry()
        gaps = [*_unpublished(stack, history), *_unpromised(stack, file, foreseen, unknown), *_skew(entry.base_url)]
        here = limits(memory=file.kind != "external")
        gaps += [Gap(what=limit.what, why=limit.found, do=limit.do) for limit in here if limit.do]
        return Checkup(
            stack=stack.name,
            kind=file.kind,
            url=entry.base_url,
            model=stack.promises.model,
            software=sorted({f"{p.vendor} {p.version}".strip() for p in history.pages.values() if p.vendor}),
            conformance=differences(stack.spoken),
            metrics=_read(stack, history),
            promised=[name for name in LIMITS if name not in stack.promises.assumed],
            gaps=gaps,
            machine={limit.what: limit.found for limit in here},
            drills=foreseen,
        )


def _looked_at(stack: Stack, folder: Path) -> History:
    """The history of a drill that has only begun, with the first samples of every replica."""
    with contextlib.closing(Journal(folder / HISTORY)) as journal:
        journal.append(*beginning(stack, name="doctor", hypothesis="", seed=0))
        observer = Observer(stack, journal)
        observer.start()
        scraped = [replica.name for replica in stack.replicas() if replica.scraped]
        with contextlib.suppress(NotInTime):  # who does not answer is a gap
            wait_for(lambda: observer.latest.keys() >= set(scraped), what="pages", within_s=_PAGES_WITHIN_S)
        observer.stop()
    return History.read(folder / HISTORY)


def _foreseen(stack: Stack, history: History, drill: Asked) -> Foreseen:
    told = Foreseen(drill=drill.name, nodeid=drill.nodeid, hypothesis=drill.hypothesis)
    for need in drill.needs:
        if lack := lacking(stack, need):
            return msgspec.structs.replace(told, skipped=lack, do=_HELP.get(need.partition(":")[0], ""))
    rehearsal = Rehearsal(stack, name=drill.name)
    rehearsal.go_through(drill.function)
    return msgspec.structs.replace(
        told,
        broke=rehearsal.broke,
        claims=[
            Claim(
                checker=checker.id,
                claim=checker.claim,
                window=getattr(checker, "window", ""),
                why_not=cannot_be_judged(checker, history),
            )
            for checker in (*ALWAYS, *_of_cores(stack), *rehearsal.claims)
        ],
        left_out=[Gap(what=part.part, why=part.reason) for part in rehearsal.left_out],
    )


def _of_cores(stack: Stack) -> list[Checker]:
    """What is judged of a stack on this machine."""
    return [] if lacking(stack, "OnCores") or run_delay_untold() else [WHERE_CORES_ARE_SEEN]


def _read(stack: Stack, history: History) -> list[str]:
    lines = []
    for replica in stack.replicas():
        page = history.pages.get(replica.name)
        words = sorted({*page.words} - {*page.missing}) if page and page.vendor else []
        lines.append(f"{replica.name}: {', '.join(words) or 'nothing'}")
    return lines


def _unpublished(stack: Stack, history: History) -> list[Gap]:
    gaps = []
    for replica in stack.replicas():
        page = history.pages.get(replica.name)
        if page is None or not page.vendor:
            names = f"its names begin with {', '.join(page.names)}" if page and page.names else "no page with metrics"
            gaps.append(Gap(what=f"metrics of {replica.name}", why=names, do=publishing("", replica.role)))
        elif page.missing:
            why = ", ".join(history.absent(replica.name, word) for word in page.missing)
            gaps.append(Gap(what=f"metrics of {replica.name}", why=why, do=publishing(page.vendor, replica.role)))
    if not stack.replicas():
        do = '[[replica]] name = "engine-0", role = "engine" or "gateway", url = "http://host:port"'
        gaps.append(Gap(what="metrics", why="the stack file names no replica", do=f"add each one: {do}"))
    return gaps


def _unpromised(
    stack: Stack, file: StackFile, foreseen: Sequence[Foreseen], unknown: Mapping[str, str] | None
) -> list[Gap]:
    """Promises that claims of these drills take, and nobody has made."""
    told = " ".join(claim.why_not for drill in foreseen for claim in drill.unjudged)
    wanted = [name for name in stack.promises.assumed if re.search(rf"\b{name}\b", told)]
    if not wanted:
        return []
    where = f"--stack {file.path}" if file.path else f"--url {stack.entry().base_url}"
    if unknown is None and any(name in MEASURED for name in wanted):
        do = f"servedrill doctor --measure {where}"
    elif unknown is not None and any(NO_TIME in unknown.get(name, "") for name in wanted):
        do = f"servedrill doctor --measure --within 180 {where}"
    else:
        do = "say them in [promises] of the stack file: docs/stacks.md, docs/real-stacks.md"
    said = [f"{name} ({unknown[name]})" if unknown and name in unknown else name for name in wanted]
    return [Gap(what="promises", why=f"nobody has said {', '.join(said)}", do=do)]


def _skew(url: str) -> list[Gap]:
    """Of the stack's clock against this machine's, as its answers tell it."""
    began = time.time()
    try:
        told = call("GET", f"{url}{MODELS}", timeout_s=5).headers.get("date", "")
        there_s = parsedate_to_datetime(told).timestamp()
    except (httpx.HTTPError, ValueError, TypeError):
        return []
    skew_s = there_s + 0.5 - (began + time.time()) / 2
    if abs(skew_s) <= SKEW_S_MAX:
        return []
    why = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    return [Gap(what="clock of the stack", why=why, do="let both keep time (NTP): logs and alerts are compared by it")]
