"""What a checker is, and how one is written into a history and read back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from itertools import islice
from typing import Any, ClassVar

import msgspec

from servedrill.checkers.finding import EVIDENCE_MAX, FAILING_AT_MOST, SAMPLE, Answer, Finding
from servedrill.errors import UsageError
from servedrill.history.dialect import Dialect
from servedrill.history.events import Expected, RequestRecord
from servedrill.history.history import History
from servedrill.history.promises import NotPromised, Promises
from servedrill.stats.proportion import at_most

REGISTRY: dict[str, type[Checker]] = {}
"""Id -> checker."""
_BARE: dict[str, type[Checker]] = {}
"""Bare name -> the first checker of another package that has it."""
_GROUP = "servedrill.checkers"
"""Entry points that name modules with checkers of other packages."""


class Checker(msgspec.Struct, frozen=True, kw_only=True):
    """One claim; its fields are its parameters. Calling it judges a history.

    Subclasses are found by their ids, so that a stored history names the checkers that it wants to be judged by: the
    bare name of servedrill's own, ``module:Class`` of anybody else's.
    """

    id: ClassVar[str] = ""
    """Made of the class's name and module."""

    timing: ClassVar[bool] = False
    """Whether its answer depends on when things happened."""
    of_words: ClassVar[bool] = False
    """Whether it is about what was said and not whether and when: a stack without cores may be late or silent, and
    still may not say what is wrong."""
    of_a_fault: ClassVar[bool] = False
    """Whether it is about what a fault does, so that a control, which has none, shows nothing of it."""
    needs: ClassVar[str] = ""
    """The capability without which a stack cannot be held to it."""
    words: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Role -> words of `servedrill.dialect.vendor` without which the metrics of a replica of that role do not tell it;
    ``a|b``: either will do."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        cls.id = cls.__name__ if ours else f"{cls.__module__}:{cls.__qualname__}"
        other = REGISTRY.get(cls.id)
        if other is not None and other.__module__ != cls.__module__:
            raise TypeError(f"two checkers {cls.id}: in {other.__module__} and in {cls.__module__}")
        REGISTRY[cls.id] = cls
        if not ours and _BARE.setdefault(cls.__name__, cls).id == cls.id:
            _BARE[cls.__name__] = cls  # its module was loaded again

    def __call__(self, history: History) -> Finding:
        raise NotImplementedError

    def moot(self, dialect: Dialect) -> str:
        """Why a stack that talks like this cannot be held to it, however healthy it is; empty where it can."""
        return ""

    def judge(self, history: History) -> Finding:
        """What it says of a history, a control's too."""
        if self.of_a_fault and history.control:
            return self.says(True, "control: no fault")
        try:
            return self(history)
        except NotPromised as missing:
            return self.cannot_say(str(missing))

    @property
    def claim(self) -> str:
        """The sentence that is judged: the first of the class's docstring."""
        return (inspect.getdoc(type(self)) or type(self).__name__).split("\n\n")[0].replace("\n", " ")

    def expected(self, t_ns: int) -> Expected:
        """The checker as a history writes it down."""
        return Expected(t_ns=t_ns, checker=self.id, params=msgspec.to_builtins(self))

    def says(
        self,
        answer: Answer | bool,
        observed: str,
        *,
        threshold: str = "",
        evidence: Iterable[RequestRecord | str] = (),
        failing: tuple[int, int] | None = None,
        **figures: float,
    ) -> Finding:
        """A finding; True is pass, False is fail.

        ``failing``: how many failed of how many, where the claim is about a share: so the finding says what it rules
        out.
        """
        if failing is not None and failing[1]:
            figures |= {SAMPLE: failing[1], FAILING_AT_MOST: at_most(*failing)}
        first = islice(evidence, EVIDENCE_MAX)
        return Finding(
            checker=self.id,
            answer=answer if isinstance(answer, Answer) else Answer.PASS if answer else Answer.FAIL,
            claim=self.claim,
            observed=observed,
            threshold=threshold,
            window=getattr(self, "window", ""),
            evidence=[item if isinstance(item, str) else item.id for item in first],
            figures=figures,
            timing=type(self).timing,
        )

    def cannot_say(self, why: str, **figures: Any) -> Finding:
        """Not enough data for an answer."""
        return self.says(Answer.INCONCLUSIVE, why, **figures)


def limit(given: float | None, history: History, promise: Callable[[Promises], float]) -> float:
    """What a drill asked for or, where it named nothing, what the stack promises: ``lambda p: p.detect_s + 0.5``."""
    return given if given is not None else float(promise(history.promises))


def find_checker(name: str) -> type[Checker] | None:
    """The checker of an id or a bare name, if there is one.

    A history is data from elsewhere, so nothing is imported because it says so: only what is loaded already counts, and
    modules that an installed package names as its checkers' (entry points in the group ``servedrill.checkers``). Raises
    what these raise.
    """
    found = REGISTRY.get(name) or _BARE.get(name)
    if found is None and ":" in name:
        module = name.partition(":")[0]
        for entry in entry_points(group=_GROUP):
            if f"{module}.".startswith(f"{entry.module}."):
                entry.load()
        found = REGISTRY.get(name)
    return found


def read_checker(expected: Expected) -> Checker:
    """The checker that a history asks for.

    Raises `UsageError` for one that this version does not have, or not with these parameters.
    """
    try:
        cls = find_checker(expected.checker)
    except Exception as error:
        what = f"{expected.checker} cannot be loaded: {type(error).__name__}: {error}"
        raise UsageError(what, where="history") from error
    if cls is None:
        raise UsageError(f"no checker {expected.checker!r}", where="history")
    new = sorted(set(expected.params) - set(cls.__struct_fields__))
    if new:
        raise UsageError(f"parameters of {expected.checker}: it has no {', '.join(new)}", where="history")
    try:
        return msgspec.convert(expected.params, cls)
    except msgspec.ValidationError as error:
        raise UsageError(f"parameters of {expected.checker}: {error}", where="history") from error
