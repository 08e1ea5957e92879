"""Answers are what the model said: token by token, from one version, once each, with an end that tells the truth."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import msgspec

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.finding import Finding
from servedrill.checkers.frame import Frame
from servedrill.checkers.recorded import Limits, References, greedy
from servedrill.history.events import Observed, RequestRecord
from servedrill.history.history import History
from servedrill.history.measurements import NOT_RECORDED
from servedrill.history.requests import Requests
from servedrill.oracle.prompts import expand
from servedrill.oracle.tokens import expected_tokens, golden_answer
from servedrill.stats.requests import tokens_received, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where a request names nothing."""

    temperature: float
    max_tokens: int


def oracle_of(history: History) -> str:
    """How right answers are known, see `servedrill.history.promises.Promises.oracle`."""
    return history.promised(lambda p: p.oracle, otherwise="formula")


class Compared(NamedTuple):
    """How an answer of a real model was compared with a recorded one, and what is wrong with it; empty when nothing
    is."""

    how: Literal["compared", "sampled", "unknown", "not"]
    problem: str = ""


class TokenExact(Checker, frozen=True, kw_only=True):
    """Every answer is, token for token, what the version that it names says, once and from one version only; what was
    cut short is a beginning of it."""

    of_words = True

    def __call__(self, history: History) -> Finding:
        oracle = oracle_of(history)
        frame = Frame.of(history)
        defaults = Defaults(
            temperature=history.promised(lambda p: p.default_temperature, otherwise=1.0),
            max_tokens=history.promised(lambda p: p.default_max_tokens, otherwise=256),
        )
        if oracle == "recorded":
            return self.against_references(history)
        if oracle == "frames":
            return self.frames_alone(history)
        answers = history.requests(cancelled=True).answers

        def problem(request: RequestRecord) -> str:
            return frame.problem(request) or self.problem(request, defaults)

        def without_ignore_eos(request: RequestRecord) -> str:
            params = {name: value for name, value in request.params.items() if name != "ignore_eos"}
            return problem(msgspec.structs.replace(request, params=params))

        seen = f"{len(answers)} answers checked word by word"
        wrong = answers.keep(answers.each_answer(problem))
        if wrong and not any(answers.each_answer(without_ignore_eos)):
            seen += "; all of them end where the model ends: somebody on the way drops `ignore_eos`"
        elif wrong:
            return self.refuted(wrong, problem, checked=len(answers))
        if not answers:
            return self.cannot_say("no answer to check")
        return self.says(True, seen, failing=(0, len(answers)), checked=len(answers))

    def refuted(self, wrong: Requests, problem: Callable[[RequestRecord], str], *, checked: int) -> Finding:
        """Names the first three wrong answers and what is wrong with each; ``checked``: how many were looked at."""
        return self.says(
            False,
            f"{len(wrong)} of {checked} answers: "
            + "; ".join(f"{request.id} {problem(request)}" for request in wrong[:3]),
            evidence=wrong,
            checked=checked,
            wrong=len(wrong),
        )

    def against_references(self, history: History) -> Finding:
        """The same claim of a real model, whose answers were recorded while nothing was broken."""
        references, limits, frame = References.of(history), Limits.of(history), Frame.of(history)
        if references.disagreements:
            return self.cannot_say(f"engines do not agree with each other: {'; '.join(references.disagreements[:3])}")
        answers = history.requests(cancelled=True).answers

        def compare(request: RequestRecord) -> Compared:
            if len(request.fingerprints) > 1:
                return Compared("not", f"names {len(request.fingerprints)} versions")
            if problem := frame.problem(request):
                return Compared("not", problem)
            if not greedy(request):
                return Compared("sampled")
            found = references.problem(request, complete=whole(request), limits=limits)
            return Compared("unknown") if found is None else Compared("compared", found)

        numbers = Counter(one.how for one in answers.each_answer(compare))
        compared, sampled, unknown = (numbers[how] for how in ("compared", "sampled", "unknown"))
        wrong = answers.keep(one.problem for one in answers.each_answer(compare))
        if wrong:
            return self.refuted(wrong, lambda request: compare(request).problem, checked=len(answers))
        frames = f"{sampled} sampled ones by their frame only"
        seen = f"{compared} answers compared with {len(references.said)} recorded ones, {frames}"
        if unknown or not compared:
            without = answers.keep(one.how == "unknown" for one in answers.each_answer(compare))
            names = ", ".join(request.id for request in without[:3])
            return self.cannot_say(f"{seen}; {unknown} without a recorded one: {names}{_not_recorded(history)}")
        return self.says(True, seen, checked=compared, sampled=sampled)

    def frames_alone(self, history: History) -> Finding:
        """What can be said of answers whose words nobody knows."""
        answers = history.requests(cancelled=True).answers
        frame = Frame.of(history)
        wrong = answers.keep(answers.each_answer(frame.problem))
        if wrong:
            return self.refuted(wrong, frame.problem, checked=len(answers))
        seen = f"the frames of {len(answers)} answers are right; what they say is not known"
        return self.says(True, seen, checked=len(answers)) if answers else self.cannot_say("no answer to check")

    def problem(self, request: RequestRecord, defaults: Defaults) -> str:
        """What is wrong with one answer; empty when nothing is."""
        if len(request.fingerprints) != 1:
            return f"names {len(request.fingerprints)} versions: {', '.join(request.fingerprints) or 'none'}"
        if whole(request) and request.completion_tokens is not None and not request.params.get("stop"):
            received = tokens_received(request)
            if received != request.completion_tokens:
                return f"{received} words received, {request.completion_tokens} accounted for"
        for choice, text in enumerate(request.texts):
            problem = self.choice_problem(request, choice, text, defaults, complete=whole(request))
            if problem:
                return problem
        return ""

    def choice_problem(
        self, request: RequestRecord, choice: int, text: str, defaults: Defaults, *, complete: bool
    ) -> str:
        """What is wrong with one text of an answer; empty when nothing is. ``complete``: nothing cut it short."""
        params = request.params
        temperature = params.get("temperature")
        limit = request.max_tokens if request.max_tokens is not None else defaults.max_tokens
        words, finish = expected_tokens(
            version=request.fingerprints[0],
            prompt=expand(request.prompt),
            chat=request.route == "chat",
            max_tokens=min(limit, len(text.split()) + 1),
            temperature=defaults.temperature if temperature is None else float(temperature),
            seed=int(params.get("seed") or 0),
            choice=choice,
            ignore_eos=bool(params.get("ignore_eos")),
        )
        said = "".join(" " + word for word in words)
        if request.prompt.startswith("golden:") or params.get("stop"):
            return ""
        got = request.finish_reasons[choice] if choice < len(request.finish_reasons) else None
        if complete and text == said and got == finish:
            return ""
        if complete and text == said:
            return f"choice {choice} ended with {got!r} after {len(words)} words, {finish!r} is true"
        if complete and said.startswith(text):
            return f"choice {choice} has {len(text.split())} words and ended with {got!r}, though the model goes on"
        if not complete and said.startswith(text):
            return ""
        same = next(
            (i for i, (a, b) in enumerate(zip(text.split(), words, strict=False)) if a != b),
            min(len(text.split()), len(words)),
        )
        return f"choice {choice} differs from {request.fingerprints[0]} from word {same} on"


def _not_recorded(history: History) -> str:
    """What engines said instead of an answer that could be recorded."""
    seen = Counter(str(event.detail.get("seen")) for event in history.of(Observed) if event.name == NOT_RECORDED)
    return (
        f" (asked beforehand: {', '.join(f'{count} x {what}' for what, count in seen.most_common())})" if seen else ""
    )


class GoldenAnswersRight(Checker, frozen=True, kw_only=True):
    """Golden questions are answered right throughout."""

    of_words = True

    window: str
    cls: str = "golden"
    ratio_min: float = 1.0
    requests_min: int = 5

    def __call__(self, history: History) -> Finding:
        asked = history.requests(self.window, classes=[self.cls]).whole
        if len(asked) < self.requests_min:
            return self.cannot_say(f"{len(asked)} golden questions answered, at least {self.requests_min} needed")
        if oracle_of(history) == "recorded":
            references, limits = References.of(history), Limits.of(history)
            wrong = asked.keep(references.problem(r, complete=True, limits=limits) != "" for r in asked)
        else:
            wrong = asked.keep(
                request.texts[0] != golden_answer(int(request.prompt.partition(":")[2]))
                or request.finish_reasons != ["stop"]
                for request in asked
            )
        right = 1 - len(wrong) / len(asked)
        return self.says(
            right >= self.ratio_min,
            f"{right:.1%} of {len(asked)} right",
            threshold=f">= {self.ratio_min:.0%}",
            evidence=wrong,
            failing=(len(wrong), len(asked)),
            right_ratio=right,
        )


class OutputBounded(Checker, frozen=True, kw_only=True):
    """No answer is longer than was asked for, or than the stack's cap where nothing was asked."""

    of_words = True

    window: str
    classes: list[str]
    cap: int | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        cap = limit(self.cap, history, lambda p: p.max_tokens_cap)
        requests = history.requests(self.window, classes=self.classes)
        ended = requests.whole
        if not ended:
            return self.cannot_say("no complete answer of these classes")
        tokens = array("q", (max(len(text.split()) for text in request.texts) for request in ended))
        told = zip(tokens, ended.column("max_tokens"), strict=True)
        long = ended.keep(count > min(cap, max_tokens or cap) for count, max_tokens in told)
        endless = requests.failed_of("deadline", "idle_timeout")
        longest = max(tokens)
        return self.says(
            not long and not endless,
            f"the longest of {len(ended)} answers has {longest} tokens; {len(endless)} never ended",
            threshold=f"<= {cap:g} tokens",
            evidence=chain(long, endless),
            tokens_max=longest,
        )
