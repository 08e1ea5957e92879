"""The observer: reads metrics, health, processes, taps and alerts all the time, and writes them into the history.

It runs in a thread of its own with an event loop of its own. Each target is read by a task of its own, so a frozen
replica makes holes in its own line only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import httpx
import msgspec
from msgspec import structs

from servedrill.checkers.validity import StackNotStarved
from servedrill.control.bounded import UNREAD_ANSWERS, async_client, read
from servedrill.dialect.scrape import Page, PageError, names_on, read_page
from servedrill.dialect.vendor import Vendor
from servedrill.dialect.vendors import vendor_of
from servedrill.drill.listed import ListedAlert, TapPage
from servedrill.errors import ServedrillError
from servedrill.history.events import AlertSeen, CpuWaits, Observed, PartSkipped, ProcessSeen, Sample, SourceSeen
from servedrill.history.journal import Journal
from servedrill.history.measurements import UNREAD
from servedrill.host import processes
from servedrill.host.clock import now_ns, wait_for
from servedrill.host.run_delay import RunDelays, run_delay_untold
from servedrill.secrecy.known import cut
from servedrill.stacks.capabilities import lacking
from servedrill.stacks.protocols import Alerting, Proxied, Replica, Signallable, Stack

EVERY_S = 0.2
_VERSION_MAX, _TOLD_MAX = 100, 20
CPU_EVERY_S = 1.0
TIMEOUT_S = 0.4
"""For anything to come; an answer as a whole may take `TOTAL_S`."""
TOTAL_S = 2.0


class Observer:
    """Started when the stack is up; `stop` reads everything once more, so that the last word is in the history."""

    def __init__(self, stack: Stack, journal: Journal) -> None:
        self._stack, self._journal = stack, journal
        self.latest: dict[str, Sample] = {}
        self.alerts: dict[str, AlertSeen] = {}
        """By fingerprint: those that are active."""
        self._sources: dict[str, SourceSeen] = {}
        self._changes: dict[str, int] = {}
        self._known: dict[str, dict[int, processes.ProcessId]] = {}
        self._pids: dict[str, int] = {}
        self._delays = RunDelays()
        self._told: set[tuple[str, str]] = set()
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._failure: BaseException | None = None
        self._watching = False
        self._thread = threading.Thread(target=self._main, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to read; returns when there is a first sample. Raises `NotInTime`."""
        self._thread.start()
        wait_for(lambda: self._watching or self._failure is not None, what="the first samples", within_s=10)
        self.check()

    def stop(self) -> None:
        """End after one more round."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=10)
        self.check()

    def check(self) -> None:
        """Raise what ended the observer, if anything did."""
        if self._failure is not None:
            raise ServedrillError(f"the observer broke: {self._failure!r}") from self._failure

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            self._failure = error
        finally:
            self._loop.close()

    async def _run(self) -> None:
        async with (
            async_client(timeout_s=TIMEOUT_S, total_s=TOTAL_S) as http,
            asyncio.TaskGroup() as tasks,
        ):
            for replica in (one for one in self._stack.replicas() if one.scraped):
                tasks.create_task(self._every(partial(self._sample, http, replica)))
            if isinstance(self._stack, Proxied):
                for replica in self._stack.replicas():
                    if "tokens" in replica.serves and replica.hop:
                        tasks.create_task(self._every(partial(self._tap, http, replica.hop)))
            if isinstance(self._stack, Alerting) and not lacking(self._stack, "Alerting"):
                tasks.create_task(self._every(partial(self._alerts, http)))
            if isinstance(self._stack, Signallable) and not lacking(self._stack, "Signallable"):
                tasks.create_task(self._every(partial(self._processes, self._stack)))
            if not (why := lacking(self._stack, "OnCores") or run_delay_untold()):
                tasks.create_task(self._every(partial(self._cpu_waits, self._stack), every_s=CPU_EVERY_S))
            else:
                self._journal.append(PartSkipped(t_ns=now_ns(), part=StackNotStarved().claim, reason=why))
            if not any(replica.scraped for replica in self._stack.replicas()):  # bare URLs: there is nothing to see
                tasks.create_task(self._every(_nothing))

    async def _every(self, read: Callable[[], Awaitable[None]], *, every_s: float = EVERY_S) -> None:
        """Call ``read`` every ``every_s``, and once more when stopped."""
        loop = asyncio.get_running_loop()
        while True:
            began, stopping = loop.time(), self._stop.is_set()
            await read()
            self._watching = True
            if stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, began + every_s - loop.time()))

    async def _sample(self, http: httpx.AsyncClient, replica: Replica) -> None:
        health: int | None = None
        values: dict[str, float] = {}
        ok = False
        try:
            health = (await http.get(replica.health_url, headers=replica.headers)).status_code
            page = await http.get(replica.metrics_url, headers=replica.headers)
            values, ok = await self._read(http, replica, page.text), page.status_code == 200
        except (httpx.HTTPError, PageError) as error:
            self._tell(replica.name, error)
        sample = Sample(t_ns=now_ns(), source=replica.name, role=replica.role, ok=ok, values=values, health=health)
        self.latest[replica.name] = sample
        self._journal.append(sample)

    async def _read(self, http: httpx.AsyncClient, replica: Replica, text: str) -> dict[str, float]:
        """The page's values; whose page it is, and what it lacks, is written down whenever that changes."""
        vendor = vendor_of(text, replica.role)
        page = read_page(text, vendor) if vendor else Page()
        before = self._sources.get(replica.name)
        if before is None or (before.vendor, before.missing) != (vendor.name if vendor else "", page.missing):
            version = before.version if before else await self._version(http, replica, vendor)
            seen = SourceSeen(
                t_ns=now_ns(),
                source=replica.name,
                role=replica.role,
                vendor=vendor.name if vendor else "",
                version=version,
                known=vendor is not None and (not vendor.versions[0] or vendor.knows(version)),
                words={term.word: term.sources[0] for term in vendor.terms} if vendor else {},
                missing=page.missing,
                names=[] if vendor else names_on(text),
            )
            self._sources[replica.name] = seen
            self._journal.append(seen)
        return page.values

    def _tell(self, source: str, error: Exception) -> None:
        """Write down, once, what an answer was that came and was not read: silence would look as if none had come."""
        told = (source, str(error))
        if isinstance(error, (*UNREAD_ANSWERS, PageError)) and told not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(told)
            detail = {"source": source, "because": str(error)}
            self._journal.append(Observed(t_ns=now_ns(), name=UNREAD, value=1, detail=detail))

    async def _version(self, http: httpx.AsyncClient, replica: Replica, vendor: Vendor | None) -> str:
        if vendor is None or not vendor.version_path:
            return ""
        try:
            told = read(await http.get(f"{replica.url}{vendor.version_path}"), dict[str, Any])
        except httpx.HTTPError:
            return ""
        return cut(str(told.get(vendor.version_key, "")), _VERSION_MAX)

    async def _tap(self, http: httpx.AsyncClient, hop: str) -> None:
        assert isinstance(self._stack, Proxied)
        try:
            response = await http.get(
                f"http://{self._stack.proxy_api()}/proxies/{hop}/exchanges?since={self._changes.get(hop, 0)}", timeout=5
            )
            if response.status_code != 200:
                return
            page = read(response, TapPage)
            events = page.events(hop)
        except (httpx.HTTPError, msgspec.ValidationError) as error:
            self._tell(f"exchanges at {hop}", error)
            return
        self._changes[hop] = page.next
        if events:
            self._journal.append(*events)

    async def _processes(self, stack: Signallable) -> None:
        try:
            views = await asyncio.to_thread(stack.processes)
        except httpx.HTTPError:
            return
        now = now_ns()
        self._journal.append(*(self._seen(view, now) for view in views))

    def _seen(self, view: dict[str, Any], now: int) -> ProcessSeen:
        pid = view["pid"]
        below = processes.children(pid) if pid else []
        known = self._known.setdefault(view["name"], {})
        for one in [pid, *below] if pid else []:
            if one not in known and (identity := processes.identify(one)) is not None:
                known[one] = identity
        leftover = [one for one, identity in known.items() if one != pid and one not in below and identity.alive]
        statuses = [
            status for one in ([pid, *below] if pid else []) if (status := processes.read_status(one)) is not None
        ]
        return ProcessSeen(
            t_ns=now,
            name=view["name"],
            role=view["role"],
            pid=pid,
            start_ticks=statuses[0].start_ticks if statuses else None,
            child_pids=below,
            leftover_pids=leftover,
            rss_bytes=sum(status.rss_bytes for status in statuses),
            sockets=processes.count_sockets(pid) if pid else 0,
            state=statuses[0].state if statuses else "",
        )

    async def _cpu_waits(self, stack: Any) -> None:
        with contextlib.suppress(
            httpx.HTTPError
        ):  # whoever keeps them may be starved, too: those of before are looked at
            self._pids = await asyncio.to_thread(stack.on_cores)
        delays = await asyncio.to_thread(self._delays.take, self._pids)
        if delays.waited_s:
            cores = len(os.sched_getaffinity(0))
            self._journal.append(CpuWaits(t_ns=now_ns(), cores=cores, **asdict(delays)))

    async def _alerts(self, http: httpx.AsyncClient) -> None:
        assert isinstance(self._stack, Alerting)
        try:
            active = read(await http.get(f"{self._stack.alerts_url()}/api/v2/alerts"), list[ListedAlert])
        except httpx.HTTPError as error:
            self._tell("alerts", error)
            return
        now = {alert.fingerprint: alert.event() for alert in active}
        for key, seen in now.items():
            before = self.alerts.get(key)
            if before is None or (before.state, before.by) != (seen.state, seen.by):
                self._journal.append(seen)
        for key in self.alerts.keys() - now.keys():
            self._journal.append(structs.replace(self.alerts[key], t_ns=now_ns(), state="resolved", by=[]))
        self.alerts = now


async def _nothing() -> None:
    pass
