"""No checker passes what it has not seen: each signal of each clean history taken away, or failing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from test_checkers_catch import ROWS

from servedrill.checkers.checker import Checker
from servedrill.checkers.finding import Answer
from servedrill.history import events as e
from servedrill.history.history import History
from servedrill.judging.verdict import judge

Mend = Callable[[e.AnyEvent], "e.AnyEvent | None"]
SIGNALS = (e.RequestRecord, e.Sample, e.Exchange, e.ProcessSeen, e.AlertSeen, e.Observed, e.Reference)
"""What a history knows from looking. Windows, faults and how the load went it knows from its own doing."""
CLEAN = [
    pytest.param(checker, told, id=name)
    for name, checker, told, answer in ROWS
    if answer is Answer.PASS and not told.control
]


def answer(checker: Checker, told: History, mend: Mend) -> Answer:
    """What the judge hears of a history some of whose events are another way, or gone."""
    events = [found for event in told.events if (found := mend(event)) is not None]
    return judge(History([*events, checker.expected(told.end_ns)])).findings[-1].answer


def without(*kinds: type[e.Event]) -> Mend:
    return lambda event: None if isinstance(event, kinds) else event


def failing(event: e.AnyEvent) -> e.AnyEvent:
    """Scrapes that come to nothing, and processes that cannot be read."""
    if isinstance(event, e.Sample):
        return msgspec.structs.replace(event, ok=False, values={}, health=None)
    if isinstance(event, e.ProcessSeen):
        return msgspec.structs.replace(event, pid=None, start_ticks=None, child_pids=[], rss_bytes=0, sockets=0)
    return event


def wordless(event: e.AnyEvent) -> e.AnyEvent:
    """Pages that answer, and have no metric that is known."""
    return msgspec.structs.replace(event, values={}) if isinstance(event, e.Sample) else event


@pytest.mark.parametrize(("checker", "told"), CLEAN)
def test_nothing_passes_without_data(checker: Checker, told: History) -> None:
    """Of a history in which nobody looked at anything no claim is proven but those about its own doing."""
    if type(checker).__name__ not in OF_ITS_OWN_DOING:
        assert answer(checker, told, without(*SIGNALS)) is not Answer.PASS


@pytest.mark.parametrize("mend", [failing, wordless])
@pytest.mark.parametrize(("checker", "told"), CLEAN)
def test_a_signal_that_fails_is_as_good_as_none(checker: Checker, told: History, mend: Mend) -> None:
    """Where a claim needs scrapes or processes, those that come to nothing do not do instead."""
    needed = any(answer(checker, told, without(kind)) is not Answer.PASS for kind in (e.Sample, e.ProcessSeen))
    if needed and type(checker).__name__ not in NEEDS_NO_WORD[mend]:
        assert answer(checker, told, mend) is not Answer.PASS


OF_ITS_OWN_DOING = {"RanToItsEnd", "FaultsTookEffect", "FaultsHealed", "LoadKeptSchedule", "HistoryKnown"} | {
    "SignalsHadData",  # a stack may have no replica that is scraped
    "DrillWatched",  # nor a word of the watchdog's, which is all that there is to say where it was gone
    "StackNotStarved",  # nor a process that can be looked at
}
READ_PROCESSES = {"ProcessesUnchanged", "SocketsReturn", "MemoryBackBeforeRestart", "MemorySteady"} | {
    "EndsInTime",
    "WithdrawnInTime",
}
READ_HEALTH = {"NewTrafficStops", "HealthTellsTheTruth", "ReadyMeansFast", "AllButOneServe"}
NEEDS_NO_WORD: dict[Mend, set[str]] = {
    failing: {"HealthTellsTheTruth", "ShareRestored"},  # not to answer is the truth; who was scraped is who there is
    wordless: {"ShareRestored", *READ_HEALTH, *READ_PROCESSES},
}
