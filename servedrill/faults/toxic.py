"""One toxic at one hop, and what proves that it did what it says.

With servedrill's own proxy the proof is its account of the effect (`EFFECTS`): streams cut, chunks delayed, requests
answered. A connection that merely passed through proves nothing.

The original toxiproxy-server keeps no account. That a toxic was in place is then all that the server knows, and no
proof. The kernel's count of bytes at the hop is one, for the two toxics whose effect it shows: with `latency` on every
connection, each byte that passed since was late; with a black hole, clients sent and nothing came back. All others stay
unproven there.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import msgspec
from toxiproxy.proxy import Proxy

from servedrill.control.bounded import call, read, told
from servedrill.control.toxiproxies import toxiproxy_at
from servedrill.errors import FaultError, NotInTime, UsageError
from servedrill.faults.fault import Evidence
from servedrill.faults.figures import share
from servedrill.host.addresses import split_host_port
from servedrill.host.clock import wait_for
from servedrill.host.sockets import Carried, carried_at
from servedrill.leases.undo import HttpCall, Undo
from servedrill.stacks.protocols import Proxied

Direction = Literal["downstream", "upstream"]
"""Answers, or requests."""

ORIGINAL = frozenset(
    ["bandwidth", "latency", "limit_data", "noop", "reset_peer", "slicer", "slow_close", "timeout"]
)  # fmt: skip
"""What every Toxiproxy server knows."""

EFFECTS: dict[str, tuple[str, ...]] = {
    "bandwidth": ("chunks_delayed",),
    "corrupt_event": ("events_changed",),
    "cut_stream": ("streams_cut",),
    "delay_first_token": ("events_delayed",),
    "delay_headers": ("heads_delayed",),
    "drop_done": ("events_dropped",),
    "drop_event": ("events_dropped",),
    "error_event": ("events_added",),
    "http_status": ("answers_made",),
    "idle_close": ("connections_closed", "connections_reset"),
    "latency": ("chunks_delayed",),
    "limit_data": ("connections_closed",),
    "repeat_event": ("events_repeated",),
    "reset_peer": ("connections_reset",),
    "silence": ("bytes_dropped",),
    "slicer": ("chunks_cut",),
    "slow_close": ("closes_delayed",),
    "stall_stream": ("streams_stalled",),
    "swap_model": ("events_changed",),
    "timeout": ("connections_closed",),
    "token_rate": ("events_delayed",),
}
"""Counters of the proxy's evidence of which one has to be above 0; `noop` has no effect, so nothing proves it."""

_LOOKS_S = 0.5
"""How long a witness waits for traffic; connections that have ended are not seen any more."""

_numbers = itertools.count(1)


class _Version(msgspec.Struct, frozen=True):
    version: str


@dataclass(frozen=True, slots=True)
class Server:
    """A fault proxy, and what it can do."""

    address: str
    name: str
    toxics: frozenset[str]
    keeps_evidence: bool


def server_at(address: str) -> Server:
    """Ask who answers at ``host:port``. Raises `FaultError` when no fault proxy does."""
    try:
        version = read(ask(address, "/version"), _Version).version
        toxics = ask(address, "/toxics")
        if toxics.status_code == 200:
            known = read(toxics, dict[str, Any])
            return Server(address, f"servedrill's own, API {version}", frozenset(known), keeps_evidence=True)
    except httpx.HTTPError as error:
        raise FaultError(f"no fault proxy answers at {address}: {told(error)}") from error
    return Server(address, f"toxiproxy-server {version}", ORIGINAL, keeps_evidence=False)


def ask(address: str, path: str) -> httpx.Response:
    """GET of a control API. Raises `httpx.HTTPError`."""
    return call("GET", f"http://{address}{path}", timeout_s=5)


@contextlib.contextmanager
def proxy_at(address: str, hop: str) -> Iterator[Proxy]:
    """The proxy at a hop. Raises `FaultError` where there is none, or it refuses."""
    with toxiproxy_at(address) as server:
        proxy = server.get_proxy(hop)
        if proxy is None:
            raise FaultError(f"no proxy {hop!r} at {address}")
        yield proxy


def require_hop(stack: Proxied, hop: str, *, fault: str) -> None:
    """Raise `UsageError` where no proxy stands at ``hop``."""
    hops = stack.hops()
    if hop not in hops:
        raise UsageError(
            f"no proxy at hop {hop!r}",
            where=f"{fault} on {hop}",
            expected=f"one of {', '.join(hops)}" if hops else "a stack with a proxy at some hop",
            hint="the `proxy` table of the stack file says which hops have one",
        )


class Toxic:
    """One toxic on one hop; a kind that the server in use does not know is a `UsageError` before anything is broken.

    ``stream`` is ``downstream`` (answers) or ``upstream`` (requests); ``toxicity`` the share of connections, 0 to 1.
    ``effects`` are the counters of which one has to move, where they are not those of `EFFECTS`.
    """

    def __init__(
        self,
        stack: Proxied,
        hop: str,
        kind: str,
        *,
        stream: Direction = "downstream",
        toxicity: float = 1.0,
        effects: tuple[str, ...] | None = None,
        **attributes: Any,
    ) -> None:
        share(toxicity=toxicity)
        require_hop(stack, hop, fault=kind)
        self.name, self.target = kind, hop
        self.attributes = {**attributes, "stream": stream, "toxicity": toxicity}
        self._server = server_at(stack.proxy_api())
        if kind not in self._server.toxics:
            raise UsageError(
                f"the fault proxy at {self._server.address} ({self._server.name}) has no toxic {kind!r}",
                where=f"{kind} on {hop}",
                expected=f"one of {', '.join(sorted(self._server.toxics))}",
                hint='server = "embedded" in the `proxy` table of the stack file has those that know event streams',
            )
        self._given = attributes
        self._stream, self._toxicity = stream, toxicity
        self._effects = EFFECTS.get(kind, ()) if effects is None else effects
        self._toxic = f"drill_{kind}_{next(_numbers)}"
        self._path = f"/proxies/{hop}/toxics/{self._toxic}"
        self._before: dict[int, Carried] | None = None

    def undo(self) -> list[Undo]:
        """Delete the toxic."""
        return [HttpCall(address=self._server.address, method="DELETE", path=self._path)]

    def inject(self) -> None:
        """Add the toxic. Raises `FaultError` where the proxy has no such hop, or refuses."""
        with proxy_at(self._server.address, self.target) as proxy:
            toxic = {"name": self._toxic, "type": self.name, "stream": self._stream, "toxicity": self._toxicity}
            try:
                proxy.add_toxic(**toxic, attributes=self._given)
            except FaultError as error:
                raise FaultError(f"the proxy refused {self.name} on {self.target}: {error}") from error
        if ask(self._server.address, self._path).status_code != 200:
            raise FaultError(f"{self.name} is not on {self.target} although the proxy took it")
        if not self._server.keeps_evidence:
            self._before = self._carried()

    # ---- what it did

    def evidence(self) -> Evidence:
        """The proxy's own account of the effect, or what the kernel saw where it keeps none."""
        return self._own_account() if self._server.keeps_evidence else self._witnessed()

    def _own_account(self) -> Evidence:
        response = ask(self._server.address, f"{self._path}/evidence")
        if response.status_code != 200:
            return Evidence(proven=False, observed=f"the proxy knows nothing of {self._toxic} on {self.target}")
        account = read(response, dict[str, Any])
        figures = {key: float(v) for key, v in account.items() if isinstance(v, int | float) and key != "active"}
        done = {counter: figures.get(counter, 0.0) for counter in self._effects}
        seen = ", ".join(f"{counter.replace('_', ' ')}: {count:.0f}" for counter, count in done.items())
        early = "" if account["active"] else f"; it was taken away early, by {account['removed_by']}"
        return self._evidence(
            f"{seen or 'no effect to be proven'}; connections hit: {figures.get('links_hit', 0):.0f}{early}",
            proven=any(done.values()),
            figures=figures,
        )

    def _witnessed(self) -> Evidence:
        """For a server without an account of its own: what the kernel saw at the hop."""
        if ask(self._server.address, self._path).status_code != 200:
            return self._evidence("the toxic is not there any more")
        known = f"the toxic was in place; {self._server.name} keeps no evidence"
        swallows = self.name == "timeout" and not self._given.get("timeout")
        if self._toxicity < 1:
            return self._evidence(f"{known}, and which connections a toxicity of {self._toxicity:g} chose is not seen")
        if self.name != "latency" and not swallows:
            return self._evidence(f"{known}, and its effect is not seen from outside")
        hit: list[int] = []

        def shown() -> bool:
            hit[:] = self._bytes_hit(swallows=swallows)
            return bool(hit)

        with contextlib.suppress(NotInTime):
            wait_for(shown, what="traffic at the hop", within_s=_LOOKS_S if self._before is not None else 0)
        if not hit:
            return self._evidence(f"{known}, and the kernel shows no open connection that was hit")
        told = "clients sent {} bytes and nothing came back" if swallows else "{} bytes passed, each of them late"
        return self._evidence(
            f"{known}; by the kernel's count, on {len(hit)} open connections {told.format(sum(hit))}",
            proven=True,
            figures={"bytes_hit": float(sum(hit)), "links_hit": float(len(hit))},
        )

    def _evidence(self, seen: str, *, proven: bool = False, figures: dict[str, float] | None = None) -> Evidence:
        """What is not proven is told with fault and hop by whoever tells it."""
        return Evidence(
            proven=proven, observed=f"{self.name} on {self.target}: {seen}" if proven else seen, figures=figures or {}
        )

    def _bytes_hit(self, *, swallows: bool) -> list[int]:
        """Bytes since the toxic came that it must have acted on, for each open connection with any."""
        now = self._carried()
        if self._before is None or now is None:
            return []
        moved = [_since(self._before.get(number), carried) for number, carried in now.items()]
        up = self._stream == "upstream"
        if swallows:
            return [m.received for m in moved if m.received and (up or not m.sent)]
        return [late for m in moved if (late := m.received if up else m.sent)]

    def _carried(self) -> dict[int, Carried] | None:
        """None where the hop is not on this machine, or the kernel does not say."""
        try:
            with proxy_at(self._server.address, self.target) as proxy:
                return carried_at(*split_host_port(proxy.listen))
        except (OSError, ValueError, FaultError):
            return None

    def heal(self) -> Evidence:
        """Delete the toxic; the proxy no longer knows it."""
        for undo in self.undo():
            undo.carry_out()
        status = ask(self._server.address, self._path).status_code
        return Evidence(proven=status == 404, observed=f"{self._toxic} is {'gone' if status == 404 else 'still there'}")


def _since(before: Carried | None, now: Carried) -> Carried:
    """What a connection has carried since; all of it where it was not there before."""
    return now if before is None else Carried(now.received - before.received, now.sent - before.sent)
