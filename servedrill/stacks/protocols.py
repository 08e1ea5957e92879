"""What a stack can do, in small protocols: a drill asks for what it needs, and a stack that lacks it skips that drill.

`Stack` is the least that every stack has. The others are powers beyond that; whether a stack has one is
``isinstance(stack, Signallable)``, and what `servedrill.stacks.capabilities.lacking` says:

    Proxied                              a proxy at every gateway and engine
    Proxied:engines, Proxied:gateways    at all of these; Proxied:NAME at that hop
    Scrapable:engines, :gateways         that there are any whose metrics can be read
    Signallable:core                     that engines have a core apart from their server
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from servedrill.dialect.openai import HEALTH, METRICS, bearer
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host import gpu
from servedrill.host.processes import family
from servedrill.secrecy.known import secret_in
from servedrill.stacks.capabilities import Capability, register
from servedrill.stacks.roles import ENGINE, GATEWAY, Service, grouped, served_by

Part = Literal["server", "core"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One engine, gateway or other; ``url`` reaches it directly, ``hop`` names the proxy in front of it."""

    name: str
    role: str
    url: str
    hop: str = ""
    """Empty: it has no proxy."""
    metrics: str = ""
    """Its metrics page, where that is not ``url`` + /metrics; ``none``: it has none, nor a /health of its own, and is
    not looked at."""
    health: str = ""
    """The path, below ``url``, that answers 200 while it is well, where that is not /health."""
    api_key_env: str | None = None
    """The environment variable with the key that its metrics and its health ask for."""
    serves: frozenset[Service] = frozenset()
    """What it does for an answer; where nothing is said, what its role usually does."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "serves", served_by(self.role, self.serves))

    @property
    def scraped(self) -> bool:
        """Whether it is looked at."""
        return self.metrics != "none"

    @property
    def health_url(self) -> str:
        """Where it says how it is: one place for proofs of faults, the name in front of it, and whoever looks."""
        return f"{self.url}{self.health or HEALTH}"

    @property
    def headers(self) -> dict[str, str]:
        """What its metrics and its health are asked with."""
        return bearer(secret_in(self.api_key_env))

    @property
    def metrics_url(self) -> str:
        """Where its metrics page is."""
        return self.metrics or f"{self.url}{METRICS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where users come in; ``resolver`` is the ``ip:port`` of the DNS server for the name, None for the system's."""

    base_url: str
    resolver: str | None = None
    api_key_env: str | None = None
    """The environment variable that holds the bearer token, if one is asked for."""


@runtime_checkable
class Stack(Protocol):
    """Something that answers OpenAI's routes."""

    name: str
    promises: Promises
    spoken: Spoken
    """How it talks, known when it is up."""
    shared: bool
    """Whether others than the drill may be served by it at any time."""

    def replicas(self) -> list[Replica]:
        """Everything that can be scraped or broken; empty for bare URLs."""

    def entry(self) -> Entry:
        """Where load is sent."""


class Identity(Protocol):
    """One life of a replica: `servedrill.host.processes.ProcessId`, or what stands for it."""

    @property
    def pid(self) -> int:
        """Of the process, or a number that stands for it."""

    @property
    def start_ticks(self) -> int:
        """When it started, in clock ticks since boot; 0 where that is not known."""

    @property
    def alive(self) -> bool:
        """Whether this very life goes on."""


@runtime_checkable
class Scrapable(Protocol):
    """Its replicas have metrics that can be read."""

    def replicas(self) -> list[Replica]:
        """As `Stack.replicas`; not empty."""


@runtime_checkable
class Signallable(Protocol):
    """Its replicas are processes that can be signalled."""

    def process(self, replica: str, part: Part = "server") -> Identity | None:
        """The running process; None while there is none. ``core`` is the child that computes."""

    def processes(self) -> list[dict[str, Any]]:
        """``name``, ``role``, ``pid`` (None while there is none), ``starts``, ``last_exit`` of everything that runs."""

    def signal(self, replica: str, number: int, part: Part = "server") -> None:
        """Send a signal. Raises `LookupError` when the process is not there."""


@runtime_checkable
class OnCores(Protocol):
    """Its processes run on cores of this machine, where others may be in their way."""

    def on_cores(self) -> dict[str, int]:
        """Process -> its pid, whoever starts it: engines, gateways, the fault proxy. What is below belongs to it."""


@runtime_checkable
class Supervised(Protocol):
    """Something restarts what died, and can be asked to restart gracefully."""

    def restart(self, replica: str) -> None:
        """SIGTERM, drain, start again."""

    def starts(self, replica: str) -> int:
        """How often the replica was started."""


@runtime_checkable
class Proxied(Protocol):
    """Hops have a proxy that speaks Toxiproxy's API; which ones is up to its file, see `lacking`."""

    def proxy_api(self) -> str:
        """``host:port`` of the control API."""

    def hops(self) -> list[str]:
        """Names of the proxies."""


@runtime_checkable
class MemoryLimited(Protocol):
    """Replicas have a memory limit that can be reached: their cgroup's, or one that servedrill keeps itself."""

    def memory_group(self, replica: str) -> str:
        """The directory of the cgroup that it is in now; empty where the system allows none."""

    def no_memory_group(self) -> str:
        """Why the system allows none."""

    def oom_kills(self, replica: str) -> int:
        """How often the kernel has killed in it for want of memory, as whoever looks after it says."""


@runtime_checkable
class Containerised(Protocol):
    """Its replicas are containers of a Docker Engine on this machine."""

    def docker_socket(self) -> str:
        """The path of the engine's socket."""

    def container(self, replica: str) -> str:
        """The id of the container that runs it now. Raises `LookupError` where none does."""

    def network(self, replica: str) -> str:
        """The name of the network that it is reached on."""


@runtime_checkable
class Named(Protocol):
    """A DNS name in front of the gateways whose records can be changed."""

    def records_api(self) -> str:
        """``host:port`` that answers GET and PUT /records."""

    def addresses(self) -> dict[str, str]:
        """Gateway -> the address that the name has for it."""


@runtime_checkable
class Alerting(Protocol):
    """An alert endpoint that speaks Alertmanager's v2 API."""

    def alerts_url(self) -> str:
        """Base URL."""


@runtime_checkable
class Swappable(Protocol):
    """Models are replaced by rollouts that check the candidate."""

    def start_rollout(self, candidate: str) -> int:
        """Begin; the number of the rollout."""

    def rollout(self, number: int) -> dict[str, Any]:
        """``state`` (running, promoted, rolled_back, broken), ``reason``, ``steps``."""


@runtime_checkable
class Sleepable(Protocol):
    """Its engines sleep and wake up: vLLM's development routes."""

    def sleep_routes(self) -> bool:
        """Whether the engines have /sleep, /wake_up, /is_sleeping."""


@runtime_checkable
class Adaptable(Protocol):
    """Its engines load adapters while they run."""

    def adapter_routes(self) -> bool:
        """Whether the engines have /v1/load_lora_adapter, /v1/unload_lora_adapter."""


@runtime_checkable
class Tenanted(Protocol):
    """It tells its users apart by their API keys, shares what it has between them, and has keys made for drills."""

    def tenants(self) -> tuple[str, str]:
        """Keys of two tenants with equal rights."""

    def metered(self) -> tuple[str, int]:
        """A key with few tokens, and how many it has a minute, at all gateways together."""


@runtime_checkable
class Gpu(Protocol):
    """Its engines compute on GPUs of this machine, whose memory NVML tells."""

    def gpus(self) -> list[gpu.Gpu]:
        """All of them now, at least one. Raises `NoGpu`."""


# ---- what more it takes than the methods


def _no_gpu(stack: Gpu) -> str:
    try:
        stack.gpus()
    except gpu.NoGpu as error:
        return f"no GPU: {error}"
    return ""


def _unused_gpu(stack: Gpu, part: str) -> str:
    """Whether a machine has GPUs says nothing of a stack that computes on its cores."""
    if not isinstance(stack, Signallable) or not isinstance(stack, Stack):
        return ""
    lives = [stack.process(replica.name) for replica in stack.replicas() if replica.role == ENGINE]
    pids = [pid for life in lives if life is not None for pid in family(life.pid)]
    if any(one.held_by(pids) for one in stack.gpus()):
        return ""
    return f"no engine of stack {stack.name!r} holds memory of a GPU that NVML tells of"


def _unscraped(stack: Stack, part: str) -> str:
    if part and not any(r.scraped for r in stack.replicas() if f"{r.role}s" == part):
        return f"no metrics of the {part} of stack {stack.name!r} can be read"
    return ""


def _no_part(stack: Any, part: str) -> str:
    engines = [r.name for r in stack.replicas() if r.role == ENGINE]
    if part and any(stack.process(engine, part) is None for engine in engines):
        return f"engines of stack {stack.name!r} have no {part} apart from their server"
    return ""


def _unproxied(stack: Any, part: str) -> str:
    groups = grouped(stack.replicas())
    hops = stack.hops()
    wanted = groups.get(part, [part]) if part else [*groups[f"{GATEWAY}s"], *groups[f"{ENGINE}s"]]
    without = [name for name in wanted if name not in hops]
    if hops and not without and (wanted or not part):
        return ""
    where = ", ".join(without) or part or "any hop"
    return f"stack {stack.name!r} has no proxy at {where}; the `proxy` table of its file says where it has one"


for _plain in (
    OnCores,
    Supervised,
    MemoryLimited,
    Containerised,
    Named,
    Alerting,
    Swappable,
    Sleepable,
    Adaptable,
    Tenanted,
    Stack,
):
    register(Capability(protocol=_plain))
register(Capability(protocol=Gpu, missing=_no_gpu, missing_part=_unused_gpu))
register(Capability(protocol=Scrapable, parts=("engines", "gateways"), missing_part=_unscraped))
register(Capability(protocol=Signallable, parts=("core",), missing_part=_no_part))
register(Capability(protocol=Proxied, parts=None, missing_part=_unproxied))
