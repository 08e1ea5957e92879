"""One token through the front door before a drill begins.

What is wrong with the model's name or the key is said now, and not by every request.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import httpx

from servedrill.dialect.openai import MODELS, PATHS, bearer, models_in, question
from servedrill.errors import NotInTime, StackError
from servedrill.host.clock import wait_for
from servedrill.stacks.commands import environment_variable

_WITHIN_S = 30.0


def require_answer(
    http: httpx.Client, door: str, *, model: str, api_key_env: str | None, where: str, hint: Callable[[], str]
) -> None:
    """Wait for a first answer. Raises `StackError` with what was answered instead, and ``hint()``."""
    headers = bearer(environment_variable(api_key_env, where=where) if api_key_env else None)
    body = question("completions", model, "hello") | {"max_tokens": 1, "temperature": 0}
    seen = "no answer"

    def served() -> bool:
        nonlocal seen
        try:
            response = http.post(f"{door}{PATHS['completions']}", json=body, headers=headers, timeout=20)
        except httpx.HTTPError as error:
            seen = type(error).__name__
            return False
        seen = f"{response.status_code} {_without_secret(response.text[:300], api_key_env)}"
        if response.status_code in (401, 403):
            raise StackError(
                f"the key was refused: {seen}",
                where=where,
                expected="a key that the stack takes",
                hint=f"it comes from {api_key_env}"
                if api_key_env
                else 'name its environment variable: api_key_env = "..."',
            )
        if response.status_code == 404:
            raise StackError(
                f"no model {model!r}: {seen}",
                where=f"{where}: promises.model",
                expected=f"one of {_models(http, door, headers)}",
            )
        return response.status_code == 200

    try:
        wait_for(served, what="a first answer", within_s=_WITHIN_S, every_s=0.2)
    except NotInTime as error:
        raise StackError(
            f"no answer through {door} within {error.waited_s:.0f} s: {seen}", where=where, hint=hint()
        ) from error


def _models(http: httpx.Client, door: str, headers: dict[str, str]) -> str:
    try:
        return ", ".join(models_in(http.get(f"{door}{MODELS}", headers=headers).json()))
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return f"those that {MODELS} lists"


def _without_secret(text: str, api_key_env: str | None) -> str:
    """Some servers repeat the key that they refuse."""
    key = os.environ.get(api_key_env, "") if api_key_env else ""
    return text.replace(key, "***") if key else text
