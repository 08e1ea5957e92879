"""Prometheus over its HTTP API: instant queries, and the alerts that are firing.

A token, where one is needed, is read from the environment and goes nowhere but into the request's header.
"""

from __future__ import annotations

import math
import os
from typing import Any

import httpx

from servedrill.errors import UsageError

TOKEN = "SERVEDRILL_PROMETHEUS_TOKEN"
TIMEOUT_S = 30.0


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
        data = self._get("query", query=query)
        result = data.get("result", [])
        if data.get("resultType") == "scalar":
            return float(result[1])
        if not result:
            return math.nan
        if len(result) > 1:
            raise UsageError(f"{len(result)} series", where=query, expected="one", hint="aggregate it with sum(...)")
        return float(result[0]["value"][1])

    def firing(self) -> list[dict[str, str]]:
        """Labels of every alert that fires now."""
        alerts = self._get("alerts").get("alerts", [])
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        token = os.environ.get(TOKEN)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        hint = f"is the URL right? A token is taken from {TOKEN}"
        try:
            answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, headers=headers, timeout=self._timeout_s)
            page = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UsageError(f"no answer: {error or type(error).__name__}", where=self.url, hint=hint) from error
        if not isinstance(page, dict) or page.get("status") != "success":
            said = page.get("error", "") if isinstance(page, dict) else ""
            raise UsageError(f"HTTP {answer.status_code} {said}".strip(), where=self.url, hint=hint)
        data: dict[str, Any] = page["data"]
        return data
