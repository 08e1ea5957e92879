"""The first look at a stack, through its front door, before a drill begins.

What is wrong with the model's name or the key is said now, and not by every request.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx

from servedrill.control.bounded import read, told
from servedrill.dialect.openai import MODELS, Models
from servedrill.errors import NotInTime, StackError
from servedrill.history.dialect import Spoken
from servedrill.host.clock import wait_for
from servedrill.stacks.asking import ask_dialect
from servedrill.stacks.door import MISSING, Door
from servedrill.stacks.file import StackFile

_WITHIN_S = 30.0
_MODELS_SHOWN = 20


def first_look(file: StackFile, http: httpx.Client, url: str, *, hint: Callable[[], str]) -> Spoken:
    """Wait until the stack answers, and ask how it talks where its file does not say.

    Raises `StackError` with what was answered instead, and ``hint()``.
    """
    assert file.promises is not None
    door = Door(http=http, url=url, model=file.promises.model, api_key_env=file.api_key_env, where=file.path)
    require_answer(door, hint=hint)
    return Spoken(dialect=file.dialect) if file.dialect is not None else ask_dialect(door)


def require_answer(door: Door, *, hint: Callable[[], str]) -> None:
    """Wait for a first answer, by whichever route and bound of its length there is.

    Raises `StackError` with what was answered instead, and ``hint()``.
    """
    seen = "no answer"

    def served() -> bool:
        nonlocal seen
        statuses: list[int] = []
        for route, bound in door.ways():
            try:
                response = door.ask(route, {bound: 1})
            except httpx.HTTPError as error:
                seen = told(error)
                return False
            if response.status_code < 400:
                return True
            statuses.append(response.status_code)
            seen = door.shown(response)
            if response.status_code in (401, 403):
                raise StackError(
                    f"the key was refused: {seen}",
                    where=door.where,
                    expected="a key that the stack takes",
                    hint=f"it comes from {door.api_key_env}"
                    if door.api_key_env
                    else 'name its environment variable: api_key_env = "..."',
                )
        if MISSING.issuperset(statuses):
            raise StackError(
                f"no model {door.model!r}: {seen}",
                where=f"{door.where}: promises.model",
                expected=f"one of {_models(door)}",
            )
        return False

    try:
        wait_for(served, what="a first answer", within_s=_WITHIN_S, every_s=0.2)
    except NotInTime as error:
        raise StackError(
            f"no answer through {door.url} within {error.waited_s:.0f} s: {seen}", where=door.where, hint=hint()
        ) from error


def _models(door: Door) -> str:
    try:
        models = read(door.http.get(f"{door.url}{MODELS}", headers=door.headers), Models).data
    except httpx.HTTPError:
        return f"those that {MODELS} lists"
    return ", ".join(model.id for model in models[:_MODELS_SHOWN])
