"""Answers of a real model against what the same model said to the same prompt while nothing was broken, byte for byte.

Greedy answers only: what was sampled, or holds several choices, is checked for its frame (one version, one preamble,
one end) and counted as not compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from servedrill.history.events import Reference, RequestRecord
from servedrill.history.history import History


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an answer beside what was asked for."""

    max_tokens_cap: int
    max_model_len: int

    @classmethod
    def of(cls, history: History) -> Limits:
        """What the stack promised; what it did not promise bounds nothing."""
        return cls(
            history.promised(lambda p: p.max_tokens_cap, otherwise=1 << 30),
            history.promised(lambda p: p.max_model_len, otherwise=1 << 30),
        )

    def tokens_of(self, request: RequestRecord) -> int:
        """How long the answer is when nothing else ends it."""
        room = self.max_model_len - (request.usage_prompt_tokens or request.prompt_tokens)
        asked = self.max_tokens_cap if request.max_tokens is None else request.max_tokens
        return min(asked, self.max_tokens_cap, room)


@dataclass(slots=True)
class References:
    """What every version said, by route and prompt."""

    said: dict[tuple[str, str], dict[str, Reference]] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)
    """Engines that gave different answers to one question: then nothing can be called exact."""

    @classmethod
    def of(cls, history: History) -> References:
        """All references of a history; of two that agree the longer one."""
        found = cls()
        for reference in history.of(Reference):
            if not reference.text:
                continue  # any answer would agree with it
            versions = found.said.setdefault((reference.route, reference.prompt), {})
            known = versions.get(reference.version)
            if known is not None and not _agree(known.text, reference.text):
                found.disagreements.append(
                    f"{known.source} and {reference.source} on {reference.prompt} ({reference.version})"
                )
            if known is None or len(reference.text) > len(known.text):
                versions[reference.version] = reference
        return found

    def versions(self) -> set[str]:
        """Versions that anything is known of."""
        return {version for versions in self.said.values() for version in versions}

    def problem(self, request: RequestRecord, *, complete: bool, limits: Limits) -> str | None:
        """What is wrong with a greedy answer; empty when nothing is, None when there is no reference for it."""
        known = self.said.get((request.route, request.prompt))
        if not known:
            return None
        named = set(request.fingerprints) & known.keys()
        candidates = [known[version] for version in named] if named else list(known.values())
        text = request.texts[0]
        if not any(_agree(reference.text, text) for reference in candidates):
            best = max(candidates, key=lambda reference: _shared(reference.text, text))
            return f"differs from {best.version or 'what was recorded'} from byte {_shared(best.text, text)} on"
        asked = limits.tokens_of(request)
        if (
            complete
            and request.finish_reasons[0] == "length"
            and request.completion_tokens is not None
            and request.completion_tokens != asked
        ):
            return f"has {request.completion_tokens} tokens and ended with 'length', {asked} were asked for"
        return ""


def greedy(request: RequestRecord) -> bool:
    """Whether the answer has to be the recorded one."""
    return request.params.get("temperature", 0) == 0 and request.n == 1


def _agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _shared(one: str, other: str) -> int:
    """Length of the common beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
