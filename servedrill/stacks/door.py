"""Where users come in, for questions that are asked before there is any traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from servedrill.dialect.openai import PATHS, Route, bearer, question
from servedrill.secrecy.known import cut, secret_in
from servedrill.stacks.commands import environment_variable

MISSING = frozenset({404, 405, 501})
"""Statuses that say that a route, or the model on it, is not there."""
PROMPT = "hello"
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A base URL without ``/v1``, and whom to ask for there; ``where`` is the stack file, for messages."""

    http: httpx.Client
    url: str
    model: str
    api_key_env: str | None
    where: str

    def __post_init__(self) -> None:
        secret_in(self.api_key_env)  # known before anybody can repeat it

    @property
    def headers(self) -> dict[str, str]:
        """With the key. Raises `UsageError` where its variable is not set."""
        if self.api_key_env:
            environment_variable(self.api_key_env, where=self.where)
        return bearer(secret_in(self.api_key_env))

    def ways(self) -> Iterator[tuple[Route, str]]:
        """Routes, each with a name that the bound of an answer's length may have there, the likeliest first."""
        yield from (("completions", "max_tokens"), ("chat", "max_tokens"), ("chat", "max_completion_tokens"))

    def body(self, route: Route, more: dict[str, Any]) -> dict[str, Any]:
        """The least question, and more."""
        return question(route, self.model, PROMPT) | more

    def ask(self, route: Route, more: dict[str, Any]) -> httpx.Response:
        """The answer to one question, whole. Raises `httpx.HTTPError` where there is none."""
        return self.http.post(
            f"{self.url}{PATHS[route]}", json=self.body(route, more), headers=self.headers, timeout=TIMEOUT_S
        )

    def shown(self, response: httpx.Response) -> str:
        """Status and the beginning of a body. Some servers repeat the key that they refuse."""
        return f"{response.status_code} {cut(response.text, 300)}"
