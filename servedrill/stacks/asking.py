"""How a stack talks, found out before anything is broken: about ten short questions through the front door.

What cannot be found out (the stack is busy, or asks for more patience) stays as OpenAI has it, with a note.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal

import httpx

from servedrill.control.bounded import TooMuch, read, told
from servedrill.dialect.frames import NAME_MAX, ErrorSeen, read_error
from servedrill.dialect.habits import Habits
from servedrill.dialect.openai import PATHS, REQUEST_ID, Route
from servedrill.errors import NotInTime, StackError
from servedrill.history.dialect import Dialect, Spoken
from servedrill.host.clock import wait_for
from servedrill.stacks.door import MISSING, TIMEOUT_S, Door

TOKENS = 8
PARAMETERS: dict[str, Any] = {"temperature": 0, "seed": 7, "ignore_eos": True}
"""What requests of drills carry beside the question, and a stack may refuse."""
_SEVERAL: dict[str, Any] = {"n": 2, "temperature": 0.7, "seed": 7}
_INVALID: dict[str, Any] = {"temperature": -1.0}
_BOUNDS = ("max_tokens", "max_completion_tokens", "")
_WITHIN_S = 10.0
"""How long a question is asked again that met a stack that was busy or broken."""
_ALL_WITHIN_S = 180.0
"""All of them. A stack that takes that long for ten short answers cannot be drilled."""


def ask_dialect(door: Door) -> Spoken:
    """Ask, one question after the other.

    Raises `StackError` where no route gives a whole answer, or where whole answers come and streams never do: there is
    nothing to drill then.
    """
    return _Asking(door).spoken()


class _Asking:
    """The questions, and what was learnt by the ones before."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._notes: dict[str, str] = {}
        self._names: set[str] = set()
        self._without: list[str] = []
        self._bound: dict[str, int] = {}
        self._usage: dict[str, bool] = {}
        self._until = time.monotonic() + _ALL_WITHIN_S
        self._trouble = "no answer"
        """Why the last question that had no answer had none."""

    def spoken(self) -> Spoken:
        routes, bound = self._routes()
        self._bound = {bound: TOKENS} if bound else {}
        self._without += self._refused(routes[0])
        heard = {route: self._streamed(route, {}) for route in routes}
        return Spoken(dialect=self._dialect(routes, bound, heard), pinned=False, notes=self._notes)

    def _dialect(self, routes: list[Route], bound: str, heard: dict[Route, Habits]) -> Dialect:
        choices, wrong = self._choices(routes[0]), self._wrong(routes[0])
        names = self._names.union(*(one.models for one in heard.values())) - {self._door.model}
        return Dialect(
            routes=routes,
            without=sorted(self._without),
            max_tokens="max_completion_tokens" if bound == "max_completion_tokens" else "max_tokens",
            n=choices,
            names=sorted(names),
            role=_habit(heard["chat"], choices=1) if "chat" in heard else "once",
            done=all(one.done for one in heard.values()),
            usage=self._accounted(heard),
            **wrong,
        )

    # ---- the questions

    def _routes(self) -> tuple[list[Route], str]:
        """Those that answer, and what the bound of an answer's length is called; empty where none is taken."""
        routes: list[Route] = []
        bounds = list(_BOUNDS)
        for route in PATHS:
            for bound in bounds:
                if self._whole(route, {bound: TOKENS} if bound else {}, note=f"routes {route}") is not None:
                    routes.append(route)
                    bounds = [bound]
                    break
        for route in routes:
            self._notes.pop(f"routes {route}", None)
        if not routes:
            raise StackError(
                f"no whole answer by {' or '.join(PATHS.values())}: {'; '.join(self._notes.values())}",
                where=self._door.where,
                expected="an answer to a question of eight tokens",
            )
        return routes, bounds[0]

    def _refused(self, route: Route) -> list[str]:
        """Parameters that are refused."""
        if self._whole(route, self._bound | PARAMETERS, note="") is not None:
            return []
        return [
            name
            for name, value in PARAMETERS.items()
            if self._whole(route, self._bound | {name: value}, note=f"without {name}") is None
        ]

    def _streamed(self, route: Route, more: dict[str, Any]) -> Habits:
        """One stream, with its usage asked for where that is taken."""
        usage = {} if "stream_options" in self._without else {"stream_options": {"include_usage": True}}
        for options in (usage, {}) if usage else ({},):
            status, heard, said = self._listen(route, self._bound | options | more)
            if status == 200 and not heard.error:
                if usage and not options:
                    self._without.append("stream_options")
                return heard
        raise StackError(
            f"streams do not work, whole answers do: {status} {heard.error or said}",
            where=self._door.where,
            expected=f"a stream from {PATHS[route]}",
            hint="drills are about streams: ask for one by hand (curl -N), and read the gateway's log",
        )

    def _choices(self, route: Route) -> Literal["all", "whole", "one"]:
        """Where as many choices come as were asked for."""
        several = {name: value for name, value in _SEVERAL.items() if name not in self._without}
        said = self._whole(route, self._bound | several, note="n")
        if said is None or len(said.get("choices") or []) < 2:
            return "one"
        status, heard, _ = self._listen(route, self._bound | several)
        return "all" if status == 200 and heard.ended >= {0, 1} else "whole"

    def _wrong(self, route: Route) -> dict[str, Any]:
        """How a request is refused that is wrong in itself."""
        try:
            response = self._door.ask(route, self._bound | _INVALID)
        except httpx.HTTPError:
            return {}
        if response.status_code == 200:
            return {"invalid": 200}
        error = read_error(response.content)
        if not error.schema_ok:
            self._notes["error_object"] = self._door.shown(response)
        return {
            "invalid": response.status_code,
            "error_object": error.schema_ok,
            "error_id": _where_id_is(response, error),
        }

    # ---- one question

    def _whole(self, route: Route, more: dict[str, Any], *, note: str) -> dict[str, Any] | None:
        """The body of an answer that is whole; None, and a note under that name, where there was none."""
        response = self._answered(lambda: self._door.ask(route, more))
        if response is not None and response.status_code == 200:
            body = _object(response)
            self._usage[route] = isinstance(body.get("usage"), dict)
            if isinstance(name := body.get("model"), str) and 0 < len(name) <= NAME_MAX:
                self._names.add(name)
            if isinstance(choices := body.get("choices"), list) and choices:
                return body
        if note:
            self._notes[note] = self._door.shown(response) if response is not None else self._trouble
        return None

    def _listen(self, route: Route, more: dict[str, Any]) -> tuple[int, Habits, str]:
        """Status, what was heard, and the body of an error."""
        door, said, heard = self._door, "", Habits()

        def once() -> httpx.Response:
            nonlocal said, heard
            body = door.body(route, more | {"stream": True})
            with door.http.stream(
                "POST", f"{door.url}{PATHS[route]}", json=body, headers=door.headers, timeout=TIMEOUT_S
            ) as response:
                if response.status_code == 200:
                    heard, said = Habits(), ""
                    with contextlib.suppress(httpx.ReadTimeout, TooMuch):  # drills say what becomes of such streams
                        for piece in response.iter_bytes():
                            heard.feed(piece)
                else:
                    response.read()
                    said = door.shown(response)
            return response

        response = self._answered(once)
        return (response.status_code if response is not None else 0), heard, said or self._trouble

    def _answered(self, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        """An answer, asked for again while the stack is busy or broken; the last one where it stays so.

        Raises `StackError` when all questions together have taken too long.
        """
        if time.monotonic() > self._until:
            raise StackError(
                f"ten short questions were not answered within {_ALL_WITHIN_S:.0f} s: {self._trouble}",
                where=self._door.where,
                expected="answers of eight tokens in seconds",
                hint="ask one by hand (curl -N), and read the gateway's log; a [dialect] table spares the questions",
            )
        last: httpx.Response | None = None

        def done() -> bool:
            nonlocal last
            try:
                last = ask()
            except httpx.HTTPError as error:
                self._trouble = told(error)
                return False
            return last.status_code != 429 and (last.status_code < 500 or last.status_code in MISSING)

        with contextlib.suppress(NotInTime):
            wait_for(done, what="an answer", within_s=_WITHIN_S, every_s=0.3)
        return last

    def _accounted(self, heard: dict[Route, Habits]) -> Literal["all", "whole", "none"]:
        if not any(self._usage.values()):
            return "none"
        return "all" if all(one.usage for one in heard.values()) else "whole"


def _habit(heard: Habits, *, choices: int) -> Literal["once", "never", "often"]:
    if not heard.begun:
        return "never"
    return "once" if heard.begun == choices else "often"


def _where_id_is(response: httpx.Response, error: ErrorSeen) -> Literal["header", "body", "both", "none"]:
    header, body = bool(response.headers.get(REQUEST_ID)), bool(error.request_id)
    return "both" if header and body else "header" if header else "body" if body else "none"


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        return read(response, dict[str, Any])
    except httpx.HTTPError:
        return {}
