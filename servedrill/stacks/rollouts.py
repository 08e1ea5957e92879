"""Rollouts that a stack carries out itself, behind the API that the embedded stack's control plane answers.

POST {base}/rollouts  {"candidate": version}     -> {"id": number, ...}
GET  {base}/rollouts                             -> [{"id": number, "state": state, "reason": text, "steps": [text]}]

A state is running, promoted, rolled_back or broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class RolloutApi:
    """Begins rollouts there and shows how far they are."""

    def __init__(self, http: httpx.Client, base: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._http, self._url, self._headers = http, f"{base}/rollouts", headers

    def start(self, candidate: str) -> int:
        """Begin; the number of the rollout."""
        response = self._http.post(self._url, json={"candidate": candidate}, headers=self._headers)
        response.raise_for_status()
        return int(response.json()["id"])

    def view(self, number: int) -> dict[str, Any]:
        """As `servedrill.stacks.protocols.Swappable.rollout`."""
        return next(dict(one) for one in self._http.get(self._url).json() if one["id"] == number)
