"""What is too large for a stack by one: prompts, answers, choices; a few requests, each of which is refused or hung up
on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from servedrill.drill.traffic import SAMPLED, burst, cancels
from servedrill.history.promises import REFUSED, Promises, TooMuch
from servedrill.history.requests import Requests
from servedrill.session.notebook import NO_TIME, PATIENT, Notebook

_FAR_TOO_MUCH = 10_000_000
_RISING = (1024, 4096, 16_384, 131_072, 1_048_576)
_STEPS_MAX = 14
_PROMPT_MAX = 65_536
_NOT_EXACT = 1.01
"""Tokens of a word, so that prompts keep away from a limit: see `Promises.words_within`."""


class Sizes:
    """The questions, and what was learnt by the ones before."""

    def __init__(self, notes: Notebook) -> None:
        self.notes = notes
        self._numbers = set[int]()
        """That stand in refusals: a refusal often says what would be right."""
        self._no_context = set[int]()
        """Those of which it is known that they are not the context's length."""
        self._asked = 0

    def find(self) -> None:
        """All of them, while there is time; what there was none for is not known, which is no word of its being taken
        without end."""
        steps: dict[TooMuch, Callable[[], None]] = {
            "output": self._longest_answer,
            "prompt": self._longest_prompt,
            "choices": self._most_choices,
            "endless": self._endless,
        }
        for what, step in steps.items():
            if self.notes.left_s > 2:
                step()
            else:
                self.notes.refuses.append(what)
                self.notes.unknown |= dict.fromkeys(REFUSED[what].promises[:1], NO_TIME)

    def _longest_answer(self) -> None:
        """``max_tokens``, asked for by clients who hang up at the first token."""
        said = _Said(False, False, [], "nothing was asked")
        for tokens in _RISING:  # far too much at once is refused for a key's quota, which is another thing
            said = self._ask("answer", output_tokens=tokens, cancel=cancels(points={"1": 1}))
            if not said.taken:
                break
        if said.refused:
            cap = self._edge("answer", said.numbers, lambda n: {"output_tokens": n, "cancel": cancels(points={"1": 1})})
            if cap:
                self.notes.refuses.append("output")
                self.notes.note("max_tokens_cap", cap, f"max_tokens {cap} was taken, {cap + 1} refused")
                return
        if not said.taken:
            self.notes.refuses.append("output")
        self.notes.unknown["max_tokens_cap"] = f"max_tokens of {_RISING[-1]:,} was taken" if said.taken else said.why

    def _longest_prompt(self) -> None:
        """By what refusals say of a context; else by prompts that double until one is refused, and then by halves."""
        self.notes.refuses.append("prompt")
        if "max_model_len" in self.notes.unknown or self._told_size():
            return
        size = 512
        while self.notes.left_s > 4 and size <= _PROMPT_MAX:
            said = self._prompt(size, beyond=False)
            if not said.taken:
                break
            size *= 2
        else:
            if size > _PROMPT_MAX:
                self.notes.refuses.remove("prompt")
            self.notes.unknown["max_model_len"] = f"a prompt of {size // 2} tokens was taken" if size > 512 else NO_TIME
            return
        if not self._told_size():
            self.notes.unknown["max_model_len"] = f"no refusal tells how long a prompt may be: {said.why}"

    def _told_size(self) -> bool:
        """Whether one of the numbers in refusals is the length of the context: a prompt just below it is taken, one
        just above refused."""
        told = [*self._numbers, *(n + cap for n in (0, 10) if (cap := self.notes.value("max_tokens_cap", 0)))]
        for size in sorted({one for one in told if 64 <= one <= _PROMPT_MAX} - self._no_context):
            self._no_context.add(size)
            if self._is_context(size):
                return True
            if self.notes.value("tokens_per_word") == 1.0 and self._prompt(size, beyond=False).taken:
                because = "a token each, and limits are not kept to the token: answers are cut short to fit"
                self.notes.note("tokens_per_word", _NOT_EXACT, because)
                if self._is_context(size):
                    return True
                self.notes.note("tokens_per_word", 1.0, "prompts took as many tokens as words")
        return False

    def _is_context(self, size: int) -> bool:
        if not (self._prompt(size, beyond=False).taken and self._prompt(size, beyond=True).refused):
            return False
        words = self._words(size, beyond=False), self._words(size, beyond=True)
        self.notes.note("max_model_len", size, f"a prompt of {words[0]} words was taken, {words[1]} refused")
        return True

    def _prompt(self, size: int, *, beyond: bool) -> _Said:
        """As long as a context of that size allows, or longer by as little as is sure to be too long."""
        words = self._words(size, beyond=beyond)
        return self._ask(f"prompt-{words}", prompt_words=words, output_tokens=8, stream=0)

    def _words(self, size: int, *, beyond: bool) -> int:
        p = Promises(model="", tokens_per_word=self.notes.value("tokens_per_word"))
        room = size - 8 - 2  # of the answer, and of what a chat adds to its message
        return p.words_beyond(room) if beyond else p.words_within(room)

    def _most_choices(self) -> None:
        if not self.notes.drill.stack.spoken.dialect.several(stream=True):
            return
        said = self._ask("choices", n=128, output_tokens=1, params=SAMPLED)
        most = said.refused and self._edge(
            "choices",
            [*said.numbers, 1, 2, 4, 8, 16, 32, 64],
            lambda n: {"n": n, "output_tokens": 1, "params": SAMPLED},
        )
        if most:
            self.notes.refuses.append("choices")
            self.notes.note("max_n", most, f"{most} choices were given, {most + 1} refused")
        else:
            if not said.taken:
                self.notes.refuses.append("choices")
            self.notes.unknown["max_n"] = "128 choices were given" if said.taken else said.why

    def _endless(self) -> None:
        """An answer that names no limit."""
        params = {"temperature": 0, "ignore_eos": True}
        self.notes.send(
            burst(1, over_s=0, name="endless", output_tokens=None, params=params, **PATIENT | {"deadline_s": 8.0}),
            within_s=12,
        )
        whole = self.notes.requests("endless").whole
        tokens = sum(whole.tokens()) if whole else 0
        if tokens:
            self.notes.refuses.append("endless")
            self.notes.note("default_max_tokens", tokens, f"an answer that named no limit ended after {tokens} tokens")
        else:
            self.notes.unknown["default_max_tokens"] = "an answer that named no limit had not ended after 8 s"

    def _edge(self, what: str, told: list[int], asking: Callable[[int], dict[str, Any]]) -> int:
        """The largest that is taken, where one more is refused: by a refusal's own numbers first, then by halves."""
        taken, refused = 0, _FAR_TOO_MUCH
        for size in [*sorted({n for n in told if 1 <= n < refused})]:
            if not taken < size < refused:
                continue
            if self._ask(f"{what}-{size}", **asking(size)).taken:
                taken = size
                if self._ask(f"{what}-{size + 1}", **asking(size + 1)).refused:
                    return size
            else:
                refused = size
        for _ in range(_STEPS_MAX):
            if refused - taken <= 1 or self.notes.left_s < 2:
                break
            size = (taken + refused) // 2 if refused < 4 * max(taken, 16) else 4 * max(taken, 16)
            if self._ask(f"{what}-{size}", **asking(size)).taken:
                taken = size
            else:
                refused = size
        return taken if refused - taken == 1 else 0

    def _ask(self, name: str, **more: Any) -> _Said:
        given: dict[str, Any] = {
            "stream": 1.0,
            "prefix_words": 0,
            "prompt_words": 4,
            **PATIENT,
            "deadline_s": 8.0,
            **more,
        }
        name = f"{name}-asked-{self._asked}"
        self._asked += 1
        self.notes.send(burst(1, over_s=0, name=name, **given), within_s=12)
        said = _said(self.notes.requests(name, cancelled=True))
        self._numbers.update(said.numbers)
        return said


class _Said(msgspec.Struct, frozen=True):
    """What came of one question."""

    taken: bool
    refused: bool
    numbers: list[int]
    why: str


def _said(requests: Requests) -> _Said:
    for one in requests:
        taken = one.status == 200 and (one.failure is None or one.cancelled_ns is not None)
        refused = one.status is not None and 400 <= one.status < 500 and one.status != 429
        numbers = [int(found) for found in re.findall(r"\d{1,7}", one.error_message or "")]
        return _Said(taken, refused, numbers, f"{one.failure or one.status}: {one.error_message or ''}")
    return _Said(False, False, [], "nothing was asked")
