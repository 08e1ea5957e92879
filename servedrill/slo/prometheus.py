"""Prometheus over its HTTP API: instant queries, and the alerts that are firing.

A token, where one is needed, is read from the environment and goes nowhere but into the request's header.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import httpx
import msgspec

from servedrill.control.bounded import call, read, told
from servedrill.errors import UsageError
from servedrill.secrecy.known import secret_in, text

T = TypeVar("T")
TOKEN = "SERVEDRILL_PROMETHEUS_TOKEN"
TIMEOUT_S = 30.0


class _Page(msgspec.Struct, frozen=True):
    status: str = ""
    error: str = ""
    data: Any = None


class _Result(msgspec.Struct, frozen=True, rename={"kind": "resultType"}):
    result: list[Any] = []
    kind: str = ""


class _Alert(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    state: str


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[_Alert] = []


class Prometheus:
    """One server, by its base URL."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url!r} is no URL", where="Prometheus", expected="http://host:port")
        if "@" in url.split("/")[2]:
            raise UsageError("a password in the URL", where="Prometheus", expected=f"a token in the variable {TOKEN}")
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def value(self, query: str) -> float:
        """The one number that a query comes to; NaN where it has no result. Raises `UsageError`."""
        data = self._get("query", _Result, query=query)
        if data.kind != "scalar" and len(data.result) > 1:
            series = len(data.result)
            raise UsageError(f"{series} series", where=query, expected="one", hint="aggregate it with sum(...)")
        try:
            if data.kind == "scalar":
                return float(data.result[1])
            return float(data.result[0]["value"][1]) if data.result else math.nan
        except (ValueError, LookupError, TypeError) as error:
            raise UsageError("a result that is no number", where=query) from error

    def firing(self) -> list[dict[str, str]]:
        """Labels of every alert that fires now."""
        return [alert.labels for alert in self._get("alerts", _Alerts).alerts if alert.state == "firing"]

    def _get(self, what: str, type_: type[T], **parameters: str) -> T:
        token = secret_in(TOKEN)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hint = f"is the URL right? A token is taken from {TOKEN}"
        try:
            url = f"{self.url}/api/v1/{what}"
            answer = call("GET", url, timeout_s=self._timeout_s, by_proxy=True, params=parameters, headers=headers)
            page = read(answer, _Page)
        except httpx.HTTPError as error:
            raise UsageError(f"no answer: {told(error)}", where=self.url, hint=hint) from error
        if page.status != "success":
            raise UsageError(f"HTTP {answer.status_code} {text(page.error)}".strip(), where=self.url, hint=hint)
        try:
            return msgspec.convert(page.data, type_)
        except msgspec.ValidationError as error:
            raise UsageError(f"an answer that is none: {error}", where=self.url, hint=hint) from error
