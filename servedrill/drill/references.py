"""What a real model says while nothing is broken: the oracle of stacks whose tokens follow no formula.

It is asked of engines directly, one question at a time.

Every greedy class of a drill then draws its prompts from a small pool, and each prompt of the pool is asked beforehand.
At the end they are asked once more of engines that serve another version by then, so that answers from after a swap can
be checked, too.
"""

from __future__ import annotations

import random

import httpx
import msgspec

from servedrill.control.bounded import call, read, told
from servedrill.dialect.frames import Choice, Chunk
from servedrill.dialect.openai import PATHS, bearer, question
from servedrill.errors import NotInTime
from servedrill.history.events import Observed, Reference
from servedrill.history.journal import Journal
from servedrill.history.measurements import NOT_RECORDED
from servedrill.history.promises import Promises
from servedrill.host.clock import now_ns, wait_for
from servedrill.load.arrivals import Burst
from servedrill.load.lengths import Length, draw
from servedrill.load.plan import RequestClass
from servedrill.load.record import short_prompt
from servedrill.oracle.prompts import expand, words_prompt
from servedrill.oracle.tokens import hash64
from servedrill.secrecy.known import secret_in
from servedrill.stacks.protocols import Stack

POOL = 8
_PATIENCE_S = 10.0
"""How long answers are asked for again, in all: a full queue or a restart is over by then, or it is said that there is
none."""
_TOKENS_MAX, _CANCELLED_TOKENS_MAX = 160, 32
"""How much of a long answer is recorded; clients that hang up are not expected to read far."""


class Recorder:
    """Asks, and writes down what was said."""

    def __init__(self, stack: Stack, journal: Journal, *, seed: int) -> None:
        self._stack, self._journal, self._seed = stack, journal, seed
        self._asked: dict[tuple[str, str], tuple[RequestClass, int]] = {}
        self._versions: set[str] = set()
        self._patience_s = _PATIENCE_S

    @property
    def wanted(self) -> bool:
        """Whether the stack's right answers are those that it gave while nothing was broken."""
        return self._stack.promises.oracle == "recorded"

    def pooled(self, cls: RequestClass) -> RequestClass:
        """The class with a pool of prompts as long as its own; unchanged where nothing is recorded for it."""
        if not self.wanted or cls.prompts or not _greedy(cls):
            return cls
        chance = random.Random(self._seed ^ hash64(cls.name))
        together = cls.arrivals.count if isinstance(cls.arrivals, Burst) else None
        prompts = [
            words_prompt(
                seed=chance.getrandbits(31),
                words=draw(cls.prompt_words, chance),
                prefix_seed=hash64(cls.name) % 1000 + number % cls.prefixes,
                prefix_words=cls.prefix_words,
            )
            for number in range(
                max(POOL, min(together or 0, 2 * POOL))
            )  # prompts that meet would share their KV blocks
        ]
        return msgspec.structs.replace(cls, prompts=prompts)

    def record(self, *classes: RequestClass) -> None:
        """Ask every prompt of these classes that was not asked yet.

        The first of a class is asked of every engine, so that engines are compared.
        """
        for cls in classes if self.wanted else ():
            if not _greedy(cls):
                continue
            tokens = _longest(cls, self._stack.promises)
            for number, prompt in enumerate(dict.fromkeys(cls.prompts)):
                known = self._asked.get((cls.route, prompt))
                if known is None or known[1] < tokens:
                    self._asked[cls.route, prompt] = (cls, tokens)
                    self._ask(cls, prompt, tokens, first=number, everywhere=number == 0)

    def record_new_versions(self) -> None:
        """Ask again, where an engine names a version that was not recorded."""
        if not self._asked:
            return
        (_, prompt), (cls, _) = next(iter(self._asked.items()))
        now = {self._say(url, cls, prompt, 1)[0].system_fingerprint for _, url in self._engines()}
        if now - self._versions - {None}:
            for number, ((_, prompt), (cls, tokens)) in enumerate(list(self._asked.items())):
                self._ask(cls, prompt, tokens, first=number, everywhere=False)

    def _engines(self) -> list[tuple[str, str]]:
        """Name and URL of each; where none can be asked directly, the front door answers for them."""
        engines = [(r.name, r.url) for r in self._stack.replicas() if r.role == "engine"]
        return engines or [("entry", self._stack.entry().base_url)]

    def _ask(self, cls: RequestClass, prompt: str, tokens: int, *, first: int, everywhere: bool) -> None:
        """One engine, or all: those that do not answer are asked again; where none does, that is written down."""
        engines = self._engines()
        turns = [engines[(first + turn) % len(engines)] for turn in range(len(engines))]
        heard: list[Reference] = []
        seen = ""

        def answered() -> bool:
            nonlocal seen
            for name, url in turns:
                answer, seen = self._say(url, cls, prompt, tokens)
                if reference := self._reference(name, cls, prompt, answer):
                    heard.append(reference)
                    if not everywhere:
                        return True
            return bool(heard)

        try:
            self._patience_s -= wait_for(answered, what="an answer", within_s=self._patience_s, every_s=0.25)
        except NotInTime:
            self._patience_s = 0.0
            asked = {"prompt": short_prompt(prompt), "seen": seen}
            self._journal.append(Observed(t_ns=now_ns(), name=NOT_RECORDED, value=None, detail=asked))
        for reference in heard:
            self._versions.add(reference.version)
            self._journal.append(reference)

    def _reference(self, name: str, cls: RequestClass, prompt: str, answer: Chunk) -> Reference | None:
        """None for an answer without words: every other one would agree with it."""
        choice = answer.choices[0] if answer.choices else Choice()
        if not choice.said:
            return None
        return Reference(
            t_ns=now_ns(),
            version=answer.system_fingerprint or self._stack.promises.version,
            source=name,
            route=cls.route,
            prompt=short_prompt(prompt),
            text=choice.said,
            finish_reason=choice.finish_reason,
        )

    def _say(self, url: str, cls: RequestClass, prompt: str, tokens: int) -> tuple[Chunk, str]:
        """The answer, and in words what came; an empty one where there was none."""
        promises, entry = self._stack.promises, self._stack.entry()
        model = promises.model if url == entry.base_url else promises.direct_model
        headers = bearer(secret_in(entry.api_key_env))
        dialect = self._stack.spoken.dialect
        greedy = {} if "temperature" in dialect.without else {"temperature": 0}
        asked = question(cls.route, model, expand(prompt)) | {dialect.max_tokens: tokens} | greedy | cls.params
        try:
            response = call("POST", f"{url}{PATHS[cls.route]}", timeout_s=30, json=asked, headers=headers)
            answer = read(response, Chunk) if response.status_code == 200 else Chunk()
        except httpx.HTTPError as error:
            return Chunk(), told(error)
        return answer, f"HTTP {response.status_code}"


def _greedy(cls: RequestClass) -> bool:
    return bool(cls.params.get("temperature", 0) == 0)


def _longest(cls: RequestClass, promises: Promises) -> int:
    length: Length | None = cls.output_tokens
    asked = promises.default_max_tokens if length is None else length if isinstance(length, int) else length.hi
    return min(asked, promises.max_tokens_cap, _CANCELLED_TOKENS_MAX if cls.cancel else _TOKENS_MAX)
