"""A checkup on a terminal of any width, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from servedrill.checkers.validity import Unpromised
from servedrill.reporting.shown import shown_json
from servedrill.session.checkup import Checkup, Claim, Foreseen

_NAMES_SHOWN = 6


def written(checkup: Checkup) -> str:
    """As JSON, with what follows from it."""
    told = msgspec.to_builtins(checkup) | {"complete": checkup.complete}
    return shown_json(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())


def show(console: Console, checkup: Checkup) -> None:
    """The stack, this machine, each drill, and in the end what is lacking, with one thing to do for each."""
    _head(console, f"The stack {checkup.stack!r} ({checkup.kind})")
    _line(console, "address", checkup.url)
    _line(console, "model", checkup.model)
    _line(console, "software", ", ".join(checkup.software) or "not known by any metrics page")
    habits = [f"{one.what}: {one.here}" for one in checkup.conformance]
    _line(console, "talks", "as OpenAI's API does" + (f", but {'; '.join(habits)}" if habits else ""))
    for metrics in checkup.metrics or ["none"]:
        _line(console, "metrics", metrics)
    _line(console, "promises", ", ".join(checkup.promised) or "none")
    _head(console, "This machine")
    for what, found in checkup.machine.items():
        _line(console, what, found)
    _head(console, "The drills")
    for drill in checkup.drills:
        _drill(console, drill)
    if checkup.gaps:
        _head(console, "What is lacking, and what to do")
        for gap in checkup.gaps:
            _line(console, gap.what, gap.why)
            if gap.do:
                console.print(Padding(Text.assemble(("-> ", "bold"), gap.do), (0, 0, 0, 4)))
    runs = [drill for drill in checkup.drills if not drill.skipped]
    judged, all_claims = sum(len(one.judged) for one in runs), sum(len(one.claims) for one in runs)
    told = f"{len(runs)} of {len(checkup.drills)} drills run; {judged} of {all_claims} claims can be judged."
    console.print(Text(f"\n{told}", style="bold" if checkup.complete else "bold yellow"))


def _drill(console: Console, drill: Foreseen) -> None:
    if drill.skipped:
        console.print(Text.assemble("  ", (drill.drill, "bold"), "  skipped"))
        _reason(console, [], drill.skipped)
        if drill.do:
            _reason(console, [], f"-> {drill.do}")
        return
    count = f"{len(drill.judged)} of {len(drill.claims)} claims can be judged"
    console.print(Text.assemble("  ", (drill.drill, "bold"), f"  {count}"))
    for why, names in _grouped((one.why_not, _called(one)) for one in drill.unjudged).items():
        _reason(console, names, why, style="yellow")
    for why, names in _grouped((one.why, one.what) for one in drill.left_out).items():
        _reason(console, names, f"left out: {why}", style="dim")
    if drill.broke:
        _reason(console, [], f"not gone through to its end: {drill.broke}", style="yellow")


def _called(claim: Claim) -> str:
    """By its checker's name; what stands for several claims by the claim."""
    return claim.claim if claim.checker == Unpromised.id else claim.checker


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for why, name in pairs:
        if name not in groups.setdefault(why, []):
            groups[why].append(name)
    return groups


def _reason(console: Console, names: list[str], why: str, *, style: str = "dim") -> None:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    who = f"{' '.join(names[:_NAMES_SHOWN]) if _sentences(names) else ', '.join(names[:_NAMES_SHOWN])}{more}: "
    console.print(Padding(Text.assemble((who if names else "", ""), (why, style)), (0, 0, 0, 4)))


def _sentences(names: list[str]) -> bool:
    return any(name.endswith(".") for name in names)


def _head(console: Console, text: str) -> None:
    console.print(Text(f"\n{text}", style="bold"))


def _line(console: Console, what: str, text: str) -> None:
    console.print(Padding(Text.assemble((f"{what}: ", "dim"), text), (0, 0, 0, 2)))
