"""The one file that describes a stack to its processes: addresses, limits, costs, models, policies.

Written as JSON by whoever starts the stack; every process reads the same file and finds itself in it by name.
Times are in seconds, memory in bytes, lengths in tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Span = Annotated[float, msgspec.Meta(gt=0, le=1e7)]
"""Seconds."""
NotBelow0 = Annotated[float, msgspec.Meta(ge=0, le=1e7)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Factor = Annotated[float, msgspec.Meta(gt=0, le=1e7)]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds that a step of the engine takes.

    ``overhead_s + prefill tokens * prefill_s_per_token + running sequences * decode_s_per_sequence``, the form of the
    step-time models fitted to real engines (Splitwise, ISCA 2024; SLOs-Serve, arXiv 2504.08784), and ``request_s`` for
    each sequence that begins. docs/fidelity.md fits it to vLLM.
    """

    overhead_s: NotBelow0 = 0.018
    prefill_s_per_token: NotBelow0 = 0.00002
    decode_s_per_sequence: NotBelow0 = 0.0002
    request_s: NotBelow0 = 0.0
    """For each sequence that begins in the step: parsing, tokenizing, the way between two processes."""
    cold_factor: Factor = 13.0
    """How much slower a step is before the engine has warmed up (graph capture, kernel selection)."""
    warmup_steps: Amount = 3


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the served model, as its registry entry states it."""

    version: str
    load_s: NotBelow0 = 0.25
    weights_bytes: Count = 24 << 20
    loads: bool = True
    """False: loading fails half-way, as a damaged checkpoint does."""
    accuracy: Share = 1.0
    """Share of the golden questions that it answers right."""
    slowdown: Factor = 1.0
    temperature: NotBelow0 = 1.0
    """Sampling default where a request names none (the generation config)."""
    max_model_len: Count = 2048
    dtype: str = "bfloat16"


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine accepts and how much it can hold."""

    max_num_seqs: Count = 16
    max_num_batched_tokens: Count = 512
    max_num_queued_reqs: Amount = 24
    max_n: Count = 8
    default_max_tokens: Count = 96
    max_tokens_cap: Count = 1024
    block_tokens: Count = 16
    blocks: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 512
    block_bytes: Count = 96 << 10
    activation_bytes_per_token: Count = 16 << 10


class Replica(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process that serves, and where it listens."""

    name: str
    host: str = "127.0.0.1"
    port: int
    control_at: str = ""
    """``host:port`` for the control plane, past any proxy; empty: its own.

    For containers, which listen on every address of theirs.
    """

    @property
    def control_url(self) -> str:
        """Base URL for the control plane."""
        return f"http://{self.control_at or f'{self.host}:{self.port}'}"


class Engine(Replica, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine, and the address under which gateways reach it (a proxy's, in a drill)."""

    reached_at: str = ""
    """``host:port``; empty: its own."""


class Gateway(Replica, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One gateway. Those of a stack share a port on different loopback addresses, as replicas behind a name do."""

    health_path: str = "/health"
    """What the DNS name asks it for."""
    published_at: str = ""
    """The address that the DNS name answers (a proxy's, in a drill); empty: its own. The port is the name's."""


class GatewayLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Timeouts, budgets and bounds of the gateways, in seconds unless a name says otherwise."""

    connect_timeout_s: Span = 0.5
    first_token_timeout_s: Span = 1.5
    idle_timeout_s: Span = 1.0
    try_timeout_s: Span = 20.0
    request_timeout_s: Span = 30.0
    max_tries: Count = 3
    retry_budget_ratio: NotBelow0 = 0.2
    retry_budget_min_per_s: NotBelow0 = 1.0
    backoff_base_s: NotBelow0 = 0.05
    backoff_max_s: NotBelow0 = 1.0
    breaker_failures: Count = 3
    breaker_open_s: NotBelow0 = 1.0
    outlier_ratio: Factor = 4.0
    outlier_gap_s: NotBelow0 = 0.1
    health_interval_s: Span = 0.25
    health_timeout_s: Span = 0.4
    health_failures: Count = 2
    health_successes: Count = 1
    max_in_flight: Count = 40
    max_queue: Amount = 24
    queue_timeout_s: NotBelow0 = 1.5
    retry_after_s: NotBelow0 = 1.0
    tokens_per_minute_per_key: Count = 6_000_000
    metered_keys: dict[str, Count] = msgspec.field(default_factory=lambda: {"key-that-is-metered": 1500})
    """API key -> tokens a minute, where it has fewer."""
    keep_alive_s: NotBelow0 = 1.0
    """How long an idle connection to an engine is kept; has to be below the engine's own."""
    server_keep_alive_s: NotBelow0 = 12.0
    drain_grace_s: NotBelow0 = 5.0
    max_body_bytes: Count = 4 << 20


class Stack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole stack."""

    engines: list[Engine]
    gateways: list[Gateway]
    control_port: int
    control_host: str = "127.0.0.1"
    """Where the control API listens and is reached; for containers, this machine's address on their network. Never
    every address: whoever reaches it may read."""
    alerts_port: int
    dns_port: int
    name: str = "gateway.stack.test"
    name_port: int = 0
    dns_ttl_s: Amount = 1
    dns_check_interval_s: Span = 0.2
    dns_check_timeout_s: Span = 0.3
    dns_check_failures: Count = 2
    alias: str = "chat-model"
    serves: str = "v1"
    models: list[ModelVersion]
    costs: Costs = Costs()
    engine_limits: EngineLimits = EngineLimits()
    gateway_limits: GatewayLimits = GatewayLimits()
    engine_keep_alive_s: NotBelow0 = 2.0
    drain_grace_s: NotBelow0 = 8.0
    health_stall_s: Span = 1.0
    """An engine whose core has said nothing for so long, not even to a ping, reports itself unhealthy."""
    restart_backoff_s: NotBelow0 = 0.2
    restart_backoff_max_s: NotBelow0 = 2.0
    canary_weight: Share = 0.33
    canary_requests: Count = 10
    canary_observe_s: Span = 2.0
    canary_slowdown_max: Factor = 1.5
    memory_groups: dict[str, str] = {}
    """Engine name -> cgroup directory that its processes are placed in."""
    defects: list[str] = []
    """``package.module:Class`` or ``path/file.py:Class``: policies that stand in for the healthy ones."""
    log_dir: str
    """Each process logs to ``<log_dir>/<name>.log``."""

    def engine(self, name: str) -> Engine:
        """The engine of this name. Raises `StopIteration` where there is none."""
        return next(engine for engine in self.engines if engine.name == name)

    def gateway(self, name: str) -> Gateway:
        """The gateway of this name. Raises `StopIteration` where there is none."""
        return next(gateway for gateway in self.gateways if gateway.name == name)

    def model(self, version: str) -> ModelVersion | None:
        """The registry's entry of a version; None where there is none."""
        return next((model for model in self.models if model.version == version), None)

    def engine_url(self, name: str) -> str:
        """Base URL under which gateways reach an engine. Raises `StopIteration` where there is none of this name."""
        engine = self.engine(name)
        return f"http://{engine.reached_at or f'{engine.host}:{engine.port}'}"

    @property
    def control_url(self) -> str:
        """Base URL of the control API."""
        return f"http://{self.control_host}:{self.control_port}"


def read_stack(path: Path) -> Stack:
    """Parse a stack file; raises `msgspec.ValidationError` that names the field."""
    stack = msgspec.json.decode(path.read_bytes(), type=Stack)
    if stack.control_host in ("", "0.0.0.0", "::"):
        raise msgspec.ValidationError(
            f"{stack.control_host!r} is every address of this machine; expected one of them - at `$.control_host`"
        )
    if stack.model(stack.serves) is None:
        raise msgspec.ValidationError(
            f"no version {stack.serves!r} among the models {', '.join(m.version for m in stack.models)} - at `$.serves`"
        )
    return stack
