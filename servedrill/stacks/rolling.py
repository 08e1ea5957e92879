"""Rolling replacement: one engine after the other gets another version, and all go back when one does not come up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from servedrill.control.bounded import client
from servedrill.errors import StackError
from servedrill.stacks.keeper import Keeper
from servedrill.stacks.supervisor import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaceable:
    """An engine: how it is planned with a version, how it is ready, and how long before the next one's turn.

    ``min_ready_s`` is Kubernetes' minReadySeconds: gateways have to notice first, or they are left without any engine.
    """

    name: str
    planned: Callable[[str], Planned]
    ready_url: str
    within_s: float
    min_ready_s: float


class RollingReplacement:
    """Rollouts over the engines of one keeper, each in a thread of its own, one after the other."""

    def __init__(self, keeper: Keeper, engines: list[Replaceable], *, serves: str) -> None:
        self._keeper, self._engines, self._serves = keeper, engines, serves
        self._rollouts: list[dict[str, Any]] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()

    def start(self, candidate: str) -> int:
        """Begin; the number of the rollout."""
        self._rollouts.append({"candidate": candidate, "state": "running", "reason": "", "steps": []})
        thread = threading.Thread(target=self._roll, args=(self._rollouts[-1], candidate), daemon=True)
        self._threads.append(thread)
        thread.start()
        return len(self._rollouts) - 1

    def view(self, number: int) -> dict[str, Any]:
        """As `servedrill.stacks.protocols.Swappable.rollout`."""
        return dict(self._rollouts[number])

    def stop(self) -> None:
        """No further step."""
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _roll(self, rollout: dict[str, Any], candidate: str) -> None:
        done: list[Replaceable] = []
        try:
            with client(timeout_s=5) as http:
                for engine in self._engines:
                    done.append(engine)
                    problem = self._replace(http, engine, candidate)
                    rollout["steps"].append(f"{engine.name}: {problem or f'serves {candidate}'}")
                    if self._over.is_set():
                        rollout.update(state="broken", reason=problem)
                        return
                    if problem:
                        rollout.update(self._gone_back(http, rollout, done, problem))
                        return
            self._serves = candidate
            rollout.update(state="promoted")
        except (httpx.HTTPError, StackError, OSError) as error:
            rollout.update(state="broken", reason=f"{type(error).__name__}: {error}")

    def _gone_back(
        self, http: httpx.Client, rollout: dict[str, Any], done: list[Replaceable], problem: str
    ) -> dict[str, str]:
        for engine in reversed(done):
            trouble = self._replace(http, engine, self._serves)
            rollout["steps"].append(f"{engine.name}: {trouble or f'serves {self._serves} again'}")
            if trouble:
                return {"state": "broken", "reason": trouble}
        return {"state": "rolled_back", "reason": f"load: {problem}"}

    def _replace(self, http: httpx.Client, engine: Replaceable, version: str) -> str:
        """Start the engine again with another version; what went wrong, empty when it is ready."""
        self._keeper.change(engine.planned(version))
        starts = self._keeper.view(engine.name)["starts"] + 1
        self._keeper.restart(engine.name)
        until = time.monotonic() + engine.within_s
        since: float | None = None
        while not self._over.wait(0.1):
            view = self._keeper.view(engine.name)
            if view["starts"] > starts or (view["starts"] == starts and view["pid"] is None):
                return f"it ended ({view['last_exit']})"
            if view["starts"] == starts and _answers(http, engine.ready_url):
                since = since or time.monotonic()
                if time.monotonic() - since >= engine.min_ready_s:
                    return ""
                continue
            since = None
            if time.monotonic() > until:
                return f"not ready after {engine.within_s:g} s"
        return "the stack was ended"


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx.HTTPError:
        return False
