"""All proxies of one server, and the operations that concern several of them: populate, reset, expiry."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterable

from servedrill.toxiproxy.addresses import ListenError, split_host_port
from servedrill.toxiproxy.decode import ProxyInput
from servedrill.toxiproxy.errors import ApiError
from servedrill.toxiproxy.evidence import Archive
from servedrill.toxiproxy.mirror import LOOK_EVERY_S
from servedrill.toxiproxy.proxy import Proxy


class Collection:
    """Proxies by name. One lock keeps operations that have to wait for a listener apart."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.archive = Archive()
        self.proxies: dict[str, Proxy] = {}
        self.retired: dict[tuple[str, str, str, str], list[int]] = {}
        self._lock = asyncio.Lock()

    def get(self, name: str) -> Proxy:
        """The proxy of this name; raises `ApiError`."""
        proxy = self.proxies.get(name)
        if proxy is None:
            raise ApiError.proxy_not_found()
        return proxy

    async def create(self, given: ProxyInput) -> Proxy:
        """A new proxy with its toxics, or nothing at all; raises `ApiError` or `BadBody`."""
        _require(given)
        async with self._lock:
            if given.name in self.proxies:
                raise ApiError.proxy_exists()
            return await self._make(given)

    async def populate(self, given: Iterable[ProxyInput]) -> tuple[list[Proxy], ApiError | None]:
        """Create what is missing, replace what differs, keep the rest.

        Stops at the first that cannot listen: the result is what was made, and that error. Raises `ApiError` or
        `BadBody` for what cannot be understood, before anything is made.
        """
        items = list(given)
        for number, item in enumerate(items, start=1):
            _require(item, where=f" at proxy {number}")
        for number, item in enumerate(items, start=1):
            try:
                self._new(item).chain.check(item.toxics or ())
            except ApiError as problem:
                raise ApiError(f"{problem.message} at proxy {number}", problem.status) from None
        made: list[Proxy] = []
        async with self._lock:
            for item in items:
                try:
                    made.append(await self._add_or_replace(item))
                except ListenError as problem:
                    return made, ApiError(str(problem), 500)
                except ApiError as problem:
                    return made, problem
        return made, None

    async def update(self, proxy: Proxy, given: ProxyInput) -> None:
        """Change what is given; raises `ApiError`."""
        async with self._lock:
            try:
                await proxy.update(
                    listen=given.listen,
                    upstream=given.upstream,
                    enabled=given.enabled,
                    tap=given.tap,
                    mirror=given.mirror,
                )
            except ListenError as problem:
                raise ApiError(str(problem), 500) from None
        if given.ttl_s is not None:
            proxy.live_for(given.ttl_s, lambda: self._expire(proxy))

    async def follow_upstreams(self) -> None:
        """For ever: proxies that mirror their upstreams listen while these do."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if any(proxy.mirror for proxy in self.proxies.values()):
                async with self._lock:
                    for proxy in list(self.proxies.values()):
                        with contextlib.suppress(ListenError):  # tried again with the next look
                            await proxy.follow()

    async def reset(self) -> None:
        """All proxies up, all toxics gone; raises `ApiError` where one cannot listen."""
        async with self._lock:
            for proxy in list(self.proxies.values()):
                try:
                    await proxy.start()
                except ListenError as problem:
                    raise ApiError(str(problem), 500) from None
                proxy.chain.clear(by="reset")

    def remove(self, proxy: Proxy, *, by: str) -> None:
        """Stop a proxy for good; its byte counts are kept."""
        if self.proxies.get(proxy.name) is proxy:
            del self.proxies[proxy.name]
        proxy.remove(by=by)
        for (direction, listen, upstream), counts in proxy.totals().items():
            total = self.retired.setdefault((direction, proxy.name, listen, upstream), [0, 0])
            total[0] += counts[0]
            total[1] += counts[1]

    def close(self) -> None:
        """Remove all proxies."""
        for proxy in list(self.proxies.values()):
            self.remove(proxy, by="shutdown")

    async def _add_or_replace(self, given: ProxyInput) -> Proxy:
        existing = self.proxies.get(given.name)
        if existing is None:
            return await self._make(given)
        if await existing.differs(given.listen or "", given.upstream or ""):
            self.remove(existing, by="replaced")
            return await self._make(given)
        if given.toxics is not None:
            entries = existing.chain.check(given.toxics)
            existing.chain.clear(by="replaced")
            for entry in entries:
                existing.chain.install(entry)
        if given.ttl_s is not None:
            existing.live_for(given.ttl_s, lambda: self._expire(existing))
        return existing

    async def _make(self, given: ProxyInput) -> Proxy:
        proxy = self._new(given)
        entries = proxy.chain.check(given.toxics or ())
        if given.enabled is not False:
            try:
                await proxy.start()
            except ListenError as problem:
                raise ApiError(str(problem), 500) from None
            _say_if_exposed(proxy)
        for entry in entries:
            proxy.chain.install(entry)
        self.proxies[proxy.name] = proxy
        proxy.live_for(given.ttl_s, lambda: self._expire(proxy))
        return proxy

    def _new(self, given: ProxyInput) -> Proxy:
        return Proxy(
            name=given.name,
            listen=given.listen or "",
            upstream=given.upstream or "",
            tap=bool(given.tap),
            mirror=bool(given.mirror),
            seed=self.seed,
            archive=self.archive,
        )

    def _expire(self, proxy: Proxy) -> None:
        self.remove(proxy, by="ttl")


def _require(given: ProxyInput, where: str = "") -> None:
    for field in ("name", "upstream"):
        if not getattr(given, field):
            raise ApiError.missing(f"{field}{where}")


def _say_if_exposed(proxy: Proxy) -> None:
    host, _ = split_host_port(proxy.listen)
    if not (host.startswith("127.") or host == "::1"):
        print(f"toxiproxy: proxy {proxy.name} listens on {proxy.listen}: other machines can reach it", file=sys.stderr)
