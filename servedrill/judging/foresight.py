"""Which claims a stack can never be held to, known before anything is broken: from its promises and its metrics."""

from __future__ import annotations

from servedrill.checkers.checker import Checker
from servedrill.checkers.validity import Unpromised
from servedrill.history.history import History
from servedrill.history.promises import NotPromised


def cannot_be_judged(checker: Checker, history: History) -> str:
    """Why, whatever traffic and faults show; empty where they may.

    ``history`` is of a stack that was looked at, and of nothing that happened to it: what it promises, how it talks,
    whose metrics pages its replicas have. What is asked of it is the claim itself, so that nobody has to keep a list.
    """
    return _unpromised(checker, history) or "; ".join(_unpublished(checker, history))


def _unpromised(checker: Checker, history: History) -> str:
    if isinstance(checker, Unpromised):
        return checker(history).observed
    try:
        checker(history)
    except NotPromised as missing:
        return str(missing)
    except Exception:  # of a history with nothing in it some checkers can say nothing
        return ""
    return ""


def _unpublished(checker: Checker, history: History) -> list[str]:
    return [
        history.absent(source, ways.split("|")[-1])
        for role, words in checker.words.items()
        for source in history.sources(role)
        for ways in words
        if not any(_told(history, source, word) for word in ways.split("|"))
    ]


def _told(history: History, source: str, word: str) -> bool:
    page = history.pages.get(source)
    return page is not None and word in page.words and word not in page.missing
