"""Rollouts that a stack carries out itself, behind the API that the embedded stack's control plane answers.

POST {base}/rollouts  {"candidate": version}     -> {"id": number, ...}
GET  {base}/rollouts                             -> [{"id": number, "state": state, "reason": text, "steps": [text]}]

A state is running, promoted, rolled_back or broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from servedrill.control.bounded import read
from servedrill.errors import StackError


class _Begun(msgspec.Struct, frozen=True):
    id: int


class _Rollout(_Begun, frozen=True):
    state: str
    reason: str = ""
    steps: list[str] = []


class RolloutApi:
    """Begins rollouts there and shows how far they are."""

    def __init__(self, http: httpx.Client, base: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._http, self._url, self._headers = http, f"{base}/rollouts", headers

    def start(self, candidate: str) -> int:
        """Begin; the number of the rollout. Raises `httpx.HTTPError`."""
        response = self._http.post(self._url, json={"candidate": candidate}, headers=self._headers)
        response.raise_for_status()
        return read(response, _Begun).id

    def view(self, number: int) -> dict[str, Any]:
        """As `servedrill.stacks.protocols.Swappable.rollout`. Raises `httpx.HTTPError`, `StackError`."""
        for one in read(self._http.get(self._url), list[_Rollout]):
            if one.id == number:
                return {"state": one.state, "reason": one.reason, "steps": one.steps}
        raise StackError(f"knows no rollout {number}, which it began", where=self._url)
