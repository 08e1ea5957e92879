"""Things that operators do to a serving engine under traffic: put it to sleep, load an adapter."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

import httpx

from servedrill.control.bounded import call, read
from servedrill.dialect.openai import METRICS
from servedrill.dialect.scrape import read_page
from servedrill.dialect.vendors import vendor_of
from servedrill.dialect.vllm import IS_SLEEPING, LOAD_ADAPTER, SLEEP, WAKE_UP
from servedrill.errors import FaultError, NotInTime
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import whole
from servedrill.faults.process import SignallableStack
from servedrill.host.clock import wait_for
from servedrill.host.processes import read_status
from servedrill.leases.undo import HttpCall, Undo
from servedrill.secrecy.known import cut


class EngineSleep:
    """/sleep: weights and KV cache leave memory; healed by /wake_up.

    ``freed_bytes`` is measured, the status is not trusted.
    """

    name = "engine_sleep"

    def __init__(self, stack: SignallableStack, replica: str, *, level: int = 2) -> None:
        whole(1, 2, level=level)
        self.target, self.attributes = replica, {"level": level}
        self._stack, self._level = stack, level
        self._replica = next(r for r in stack.replicas() if r.name == replica)
        self._url = self._replica.url
        self.held_bytes = 0
        """What the engine said that weights and KV cache hold, before."""
        self.freed_bytes = 0

    @property
    def freed_ratio(self) -> float:
        """Of what was held; NaN where nothing was put to sleep."""
        return self.freed_bytes / self.held_bytes if self.held_bytes else math.nan

    def undo(self) -> list[Undo]:
        """/wake_up."""
        return [HttpCall(address=urlsplit(self._url).netloc, method="POST", path=WAKE_UP)]

    def inject(self) -> None:
        """Put it to sleep and measure what that freed. Raises `FaultError` where it refuses."""
        before = self._resident_bytes()
        text = call("GET", f"{self._url}{METRICS}", timeout_s=5).text
        vendor = vendor_of(text, "engine")
        self.held_bytes = int(read_page(text, vendor).values.get("memory_bytes", 0)) if vendor else 0
        response = call("POST", f"{self._url}{SLEEP}?level={self._level}", timeout_s=15)
        if response.status_code != 200:
            raise FaultError(f"{self.target} did not go to sleep: {response.status_code} {cut(response.text, 200)}")
        self.freed_bytes = before - self._resident_bytes()
        self.attributes["freed_bytes"] = self.freed_bytes

    def evidence(self) -> Evidence:
        """It says that it sleeps."""
        told = read(call("GET", f"{self._url}{IS_SLEEPING}", timeout_s=5), dict[str, Any])
        sleeping = told.get("is_sleeping")
        return Evidence(
            proven=bool(sleeping),
            observed=f"{self.target} is {'asleep' if sleeping else 'awake'}, {self.freed_bytes / 2**20:.0f} MiB freed",
        )

    def heal(self) -> Evidence:
        """Wake it; its health is good."""
        call("POST", f"{self._url}{WAKE_UP}", timeout_s=15)

        def awake() -> bool:
            try:
                return call("GET", self._replica.health_url, timeout_s=1).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            wait_for(awake, what=f"{self.target} to be awake", within_s=5)
        except NotInTime as error:
            return Evidence(proven=False, observed=str(error))
        return Evidence(proven=True, observed=f"{self.target} is awake")

    def _resident_bytes(self) -> int:
        core = self._stack.process(self.target, "core")
        status = read_status(core.pid) if core is not None else None
        return status.rss_bytes if status is not None else 0


def load_adapter(urls: list[str], *, name: str, path: str) -> list[int]:
    """Load an adapter on every engine; their statuses."""
    body: dict[str, Any] = {"lora_name": name, "lora_path": path, "load_inplace": True}
    return [call("POST", f"{url}{LOAD_ADAPTER}", timeout_s=15, json=body).status_code for url in urls]
