"""What stands around the words of an answer: who says that it speaks, how it begins, how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.history.dialect import Dialect
from servedrill.history.events import RequestRecord
from servedrill.history.history import History
from servedrill.stats.requests import whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How answers of a stack begin and end while nothing is broken."""

    dialect: Dialect
    names: frozenset[str]
    """Names of models that answers may have, beside the one that was asked for and the version's own."""

    @classmethod
    def of(cls, history: History) -> Frame:
        """As the stack was heard to talk. Where nobody stated it, answers that were over before anything was broken
        count, too: behind one door there may be several names, and few questions were asked.
        """
        spoken = history.spoken
        names = set(spoken.dialect.names)
        if not spoken.pinned:
            broken_ns = min((span.start_ns for span in history.faults), default=history.end_ns + 1)
            before = history.requests(cancelled=True).answers.where("t_end_ns", test=lambda end_ns: end_ns < broken_ns)
            names.update(*(r.models for r in before))
        return cls(dialect=spoken.dialect, names=frozenset(names))

    def problem(self, request: RequestRecord) -> str:
        """What is wrong around the words of one answer; empty when nothing is."""
        if len(request.models) > 1:
            return f"names {len(request.models)} models: {', '.join(request.models)}"
        own = {request.model, *(name.partition("+")[0] for name in request.fingerprints)}
        if not (own | self.names).issuperset(request.models):
            return f"names the model {request.models[0]!r}, {request.model!r} was asked for"
        if not (request.stream and whole(request)):
            return ""
        preambles = request.n if request.route == "chat" and self.dialect.role == "once" else 0
        if request.preambles != preambles and self.dialect.role != "often":
            return f"{request.preambles} preambles, {preambles} expected"
        if request.done_frames != self.dialect.done and (self.dialect.done or request.done_frames > 1):
            return f"{request.done_frames} terminal frames"
        return ""
