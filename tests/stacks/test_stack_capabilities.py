"""What drills ask a stack for, and what they are told where it has not got it."""

from __future__ import annotations

import dataclasses
import os
from typing import Protocol, runtime_checkable

import pytest

from servedrill.errors import UsageError
from servedrill.history.dialect import Spoken
from servedrill.history.promises import Promises
from servedrill.host import gpu
from servedrill.host.processes import ProcessId, own_identity
from servedrill.stacks import capabilities
from servedrill.stacks.capabilities import Capability, known_to_lack, lacking, register, require_known
from servedrill.stacks.protocols import Entry, Replica
from servedrill.stacks.roles import Service

WHERE = "the `proxy` table of its file says where it has one"


class Stub:
    """Two replicas, and proxies where told."""

    name = "stub"
    promises = Promises(model="stub")
    spoken = Spoken()
    shared = False

    def __init__(self, hops: list[str], *, replicas: bool = True, beside: tuple[str, ...] = ()) -> None:
        self._hops, self._roles = hops, ("gateway", "engine", *beside) if replicas else ()

    def replicas(self) -> list[Replica]:
        return [Replica(name=f"{role}-0", role=role, url="") for role in self._roles]

    def entry(self) -> Entry:
        return Entry(base_url="")

    def proxy_api(self) -> str:
        return ""

    def hops(self) -> list[str]:
        return self._hops


@pytest.mark.parametrize(
    ("hops", "capability", "reason"),
    [
        (["gateway-0", "engine-0"], "Proxied", ""),
        (["gateway-0"], "Proxied", "has no proxy at engine-0"),
        (["gateway-0"], "Proxied:gateways", ""),
        (["gateway-0"], "Proxied:engines", "has no proxy at engine-0"),
        (["db"], "Proxied:db", ""),
        (["db"], "Proxied:cache", "has no proxy at cache"),
        ([], "Signallable", "is not Signallable"),
    ],
)
def test_a_drill_is_told_what_the_stack_lacks(hops: list[str], capability: str, reason: str) -> None:
    """Which hops have no proxy, or that it cannot do that at all."""
    said = lacking(Stub(hops), capability)
    assert said == "" if not reason else said.startswith(f"stack 'stub' {reason}")


def test_a_stack_without_replicas_is_proxied_when_it_has_any_hop() -> None:
    """Bare URLs behind a proxy."""
    assert lacking(Stub(["entry"], replicas=False), "Proxied") == ""
    assert lacking(Stub([], replicas=False), "Proxied").startswith("stack 'stub' has no proxy at any hop")


@pytest.mark.parametrize("name", ["Proxyed", "Signallable:x", "dataclass"])
def test_a_capability_that_does_not_exist_is_a_usage_error(name: str) -> None:
    """Nor does a part that cannot be asked for."""
    with pytest.raises(UsageError, match="no capability"):
        lacking(Stub([]), name)


# ---- GPUs


class OnGpus(Stub):
    """A stack on a machine with so many GPUs, or none."""

    def __init__(self, count: int) -> None:
        super().__init__([])
        self.count = count

    def gpus(self) -> list[gpu.Gpu]:
        if not self.count:
            raise gpu.NoGpu("NVML sees no GPU")
        return [gpu.Gpu(index=n, name="H100", total_bytes=1, used_bytes=0, processes={}) for n in range(self.count)]


def test_a_machine_without_gpu_is_known_before_anything_starts() -> None:
    """With NVML's own words, as a driver may be missing where a GPU is not."""
    assert known_to_lack(OnGpus(0), "Gpu") == lacking(OnGpus(0), "Gpu") == "no GPU: NVML sees no GPU"
    assert lacking(OnGpus(1), "Gpu") == ""


class Computing(OnGpus):
    """Its engine is this very process, which holds memory of the first GPU, or none."""

    def __init__(self, *, held_bytes: int) -> None:
        super().__init__(2)
        self.held_bytes = held_bytes

    def gpus(self) -> list[gpu.Gpu]:
        first, second = super().gpus()
        return [second, dataclasses.replace(first, processes={os.getpid(): self.held_bytes})]

    def process(self, replica: str, part: str = "server") -> ProcessId | None:
        return own_identity() if replica == "engine-0" else None

    def processes(self) -> list[dict[str, object]]:
        return []

    def signal(self, replica: str, number: int, part: str = "server") -> None: ...


def test_a_stack_that_computes_on_cores_has_no_gpu() -> None:
    """Though its machine may have one: what its engines hold there counts, once they are up."""
    assert lacking(Computing(held_bytes=1 << 30), "Gpu") == ""
    idle = Computing(held_bytes=0)
    assert known_to_lack(idle, "Gpu") == ""
    assert lacking(idle, "Gpu") == "no engine of stack 'stub' holds memory of a GPU that NVML tells of"


def test_a_stack_elsewhere_has_no_gpu_to_be_seen() -> None:
    """What this machine has says nothing of engines that run on another."""
    assert lacking(Stub([]), "Gpu") == "stack 'stub' is not Gpu"


# ---- what a stack says of itself


class Mute(Stub):
    """Has every method, and says that one of them is of no use."""

    lacks = {"Alerting": "no endpoint is named"}  # noqa: RUF012

    def alerts_url(self) -> str:
        return ""


def test_the_reason_of_the_stack_itself_comes_first() -> None:
    """What its file leaves out is known better than what its class can do."""
    assert lacking(Mute([]), "Alerting") == "no endpoint is named"


# ---- capabilities of others


@runtime_checkable
class Scalable(Protocol):
    """Replicas come and go by a number."""

    def scale(self, count: int) -> None: ...


class Elastic(Stub):
    def scale(self, count: int) -> None: ...


def test_a_package_may_bring_a_capability_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is registered, drills ask for it by its name, and a stack has it or has not."""
    monkeypatch.setattr(capabilities, "_known", dict(capabilities._known))
    with pytest.raises(UsageError, match="no capability 'Scalable'"):
        require_known("Scalable")
    register(Capability(protocol=Scalable))
    register(Capability(protocol=Scalable))  # imported twice
    assert lacking(Elastic([]), "Scalable") == ""
    assert lacking(Stub([]), "Scalable") == "stack 'stub' is not Scalable"


def test_no_capability_takes_the_place_of_another() -> None:
    """Two packages that mean different things by one word are told so."""
    imposter = runtime_checkable(type("Proxied", (Protocol,), {"__doc__": "Something else.", "_is_protocol": True}))
    with pytest.raises(ValueError, match="there is a capability 'Proxied' already"):
        register(Capability(protocol=imposter))


def test_a_capability_that_is_nearly_one_is_told_which() -> None:
    """A typing mistake must not look like a stack that lacks something."""
    with pytest.raises(UsageError, match="did you mean 'Signallable:core'"):
        require_known("Signallable:cor")


# ---- roles


@pytest.mark.parametrize(
    ("role", "said", "serves"),
    [
        ("engine", (), {"tokens", "prefill", "decode"}),
        ("engine", ("prefill",), {"prefill"}),
        ("gateway", (), {"routing"}),
        ("cache", (), set()),
        ("edge", ("routing", "tokens"), {"routing", "tokens"}),
    ],
)
def test_a_replica_serves_what_is_said_of_it_or_what_its_role_does(
    role: str, said: tuple[Service, ...], serves: set[str]
) -> None:
    """A role is any word; nothing is guessed of one that nobody knows."""
    assert Replica(name="x", role=role, url="", serves=frozenset(said)).serves == serves


def test_a_replica_of_another_role_is_in_nobodys_way() -> None:
    """Gateways and engines have their proxies although a cache beside them has none; the cache is asked for by its
    own name."""
    stub = Stub(["gateway-0", "engine-0"], beside=("cache",))
    assert lacking(stub, "Proxied") == ""
    assert lacking(stub, "Proxied:caches") == "stack 'stub' has no proxy at cache-0; " + WHERE
    assert lacking(stub, "Scrapable:engines") == ""
