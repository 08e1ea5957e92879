"""Claims that go together: each function is one sentence about a stack, and returns the checkers that prove it."""

from __future__ import annotations

from servedrill.checkers.answered import (
    BrokenStreamsSaidSo,
    ErrorsReadable,
    FirstTokenBounded,
    NoFailureBeforeFirstToken,
    NoFailures,
)
from servedrill.checkers.checker import Checker
from servedrill.checkers.conservation import InFlightTrue
from servedrill.checkers.failover import FailuresOnlyWhileDetecting, OpenStreamsEnd
from servedrill.checkers.recovery import GoodputRecovers, ShareRestored, SloMet
from servedrill.checkers.replicas import AlertFired, MemoryBackBeforeRestart
from servedrill.checkers.retries import RetriesWithinBudget, TriesBounded
from servedrill.checkers.rolling import EndsInTime, OpenAnswersFinish, ServedUntilWithdrawn
from servedrill.checkers.streaming import StallBounded


def served(window: str, *classes: str, requests_min: int = 10) -> list[Checker]:
    """Everybody got an answer, and these classes as fast as they were promised."""
    return [NoFailures(window=window), SloMet(window=window, classes=list(classes), requests_min=requests_min)]


def unnoticed(window: str, *classes: str, ttft_s_max: float | None = None) -> list[Checker]:
    """An engine in trouble costs nobody an answer: another one gives it, in time, and streams that broke go on."""
    return [
        NoFailureBeforeFirstToken(window=window, classes=list(classes) or None),
        FirstTokenBounded(window=window, ttft_s_max=ttft_s_max),
        BrokenStreamsSaidSo(window=window),
        StallBounded(window=window),
        TriesBounded(window=window),
    ]


def refused_without_a_storm(window: str) -> list[Checker]:
    """Where no engine answers, users are told so in words that they can act on, and retries do not multiply the
    outage."""
    return [ErrorsReadable(window=window), TriesBounded(window=window), RetriesWithinBudget(window=window)]


def came_back(replica: str, *, window: str, alert: str = "") -> list[Checker]:
    """Somebody was told that the replica died, what it held was free before its successor started, and one start was
    enough."""
    return [
        MemoryBackBeforeRestart(replica=replica, window=window),
        AlertFired(alert=alert, replica=replica, window=window),
    ]


def good_again(*classes: str, after: str, window: str = "recover") -> list[Checker]:
    """Soon after the heal users are served as they were promised, by every engine, and nobody is counted who is
    gone."""
    return [
        GoodputRecovers(after=after, window=window),
        ShareRestored(window=window),
        SloMet(window=window, classes=list(classes)),
        InFlightTrue(window=window),
    ]


def front_door_lost(
    gateway: str, address: str, *, fault: str, window: str, ends_within_s: float | None = None
) -> list[Checker]:
    """Who comes after the failure was noticed is served, and who was being served by the gateway is not left
    hanging."""
    return [
        FailuresOnlyWhileDetecting(fault=fault, gateway=gateway, window=window),
        OpenStreamsEnd(fault=fault, gateway=gateway, address=address, within_s=ends_within_s),
    ]


def leaves_nobody(gateway: str, address: str) -> list[Checker]:
    """A gateway that is told to end finishes what it has begun, serves who still comes, and ends."""
    return [
        OpenAnswersFinish(gateway=gateway, address=address),
        ServedUntilWithdrawn(gateway=gateway, address=address),
        EndsInTime(replica=gateway),
    ]
