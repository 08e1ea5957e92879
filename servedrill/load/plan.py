"""What a load run sends, to whom and when: plain data that goes to the worker processes as JSON."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from servedrill.errors import UsageError
from servedrill.history.dialect import Dialect
from servedrill.history.events import CancelPlan
from servedrill.host.addresses import split_host_port
from servedrill.load.arrivals import Arrivals
from servedrill.load.lengths import Length, check_length

_NAME = re.compile(r"[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)*")


class CancelPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way of hanging up, and how often it is chosen against the others.

    The delay of ``queued`` (0 to 5 ms after the request was written) and ``prefill`` (5 to 50 ms) is drawn for each
    request; both happen only while no token has come.
    """

    plan: CancelPlan
    weight: float = 1.0


class CancelMix(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which share of a class hangs up on purpose, and at which points."""

    points: list[CancelPoint]
    probability: float = 1.0


class RequestClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of user: when requests come, what they ask for and how patient their client is."""

    name: str
    arrivals: Arrivals
    route: Literal["chat", "completions"] = "chat"
    model: str
    stream: float = 1.0
    """Share of the requests that ask for a stream."""
    n: int | list[int] = 1
    """Choices asked for; one of the list each time."""
    prompt_words: Length = 64
    """Words of a prompt's own part, after the shared prefix."""
    output_tokens: Length | None = None
    """``max_tokens``; not sent when None."""
    prefix_words: int = 0
    prefixes: int = 1
    """How many different shared prefixes there are."""
    prompts: list[str] = []
    """Prompts in short form, used in turn instead of random ones."""
    params: dict[str, Any] = {}
    """Sampling parameters merged into the body; temperature is 0 unless given here, one that is None is not sent."""
    retries: int = 0
    """Tries after the first, as the usual SDKs make them: only before any content has come."""
    backoff_s: float = 0.25
    deadline_s: float = 30.0
    """For the whole request, retries included."""
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float | None = None
    """From the write of a streamed request to its first content."""
    idle_timeout_s: float | None = None
    """Between any two reads of an answer that has begun."""
    cancel: CancelMix | None = None
    slow_reader_bytes_per_s: float | None = None
    api_key: str | None = None
    """A key made up for a drill; a real one belongs in `Target.api_key_env`."""
    idempotency: bool = False
    keep_alive: bool = True

    def check(self) -> None:
        """Raise `UsageError` for what cannot be sent."""
        where = f"class {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "a name that cannot be part of an id", where=where, expected="letters, digits, _ . and single -"
            )
        self.arrivals.check()
        for choices in [self.n] if isinstance(self.n, int) else self.n or [0]:
            _need(1 <= choices <= 128, where, f"n of {choices}", "1 to 128 choices")
        check_length(self.prompt_words, where=f"{where}: prompt_words", at_least=0 if self.prefix_words else 1)
        if self.output_tokens is not None:
            check_length(self.output_tokens, where=f"{where}: output_tokens", at_least=1)
        _need(self.prefix_words >= 0, where, f"prefix_words of {self.prefix_words}", "0 or more")
        _need(self.prefixes >= 1, where, f"prefixes of {self.prefixes}", "1 or more")
        _need(0 <= self.stream <= 1, where, f"stream of {self.stream}", "a share from 0 to 1")
        _need(self.retries >= 0, where, f"retries of {self.retries}", "0 or more")
        _need(bool(self.model), where, "no model", "the name of a served model")
        for name in ("backoff_s", "deadline_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s"):
            value = getattr(self, name)
            _need(value is None or 0 < value < 1e6, where, f"{name} of {value}", "more than 0 seconds")
        pace = self.slow_reader_bytes_per_s
        _need(pace is None or pace > 0, where, f"slow_reader_bytes_per_s of {pace}", "more than 0")
        reserved = sorted(
            {"model", "messages", "prompt", "stream", "n", "max_tokens", "max_completion_tokens"} & set(self.params)
        )
        _need(
            not reserved,
            where,
            f"params with {', '.join(reserved)}",
            "sampling parameters; the rest has fields of its own",
        )
        _need(
            self.api_key is None or self.api_key.isprintable(), where, "an api_key with control characters", "one line"
        )
        if self.cancel is not None:
            _check_cancel(self.cancel, where)


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where requests go, and how its name becomes an address."""

    base_url: str
    """``http://name:port`` or ``https://...``; a path in it comes before ``/v1/...``."""
    resolver: str | None = None
    """``ip:port`` of the DNS server that is asked for the name's A records; the system's resolver when None."""
    ca_file: str | None = None
    api_key_env: str | None = None
    """Environment variable that holds the bearer token: read by the worker, never written down."""
    trace: str = ""
    """Of a drill that leaves spans: every request says in ``traceparent`` which of it is its own."""

    def check(self) -> None:
        """Raise `UsageError` for what cannot be connected to."""
        url = urlsplit(self.base_url)
        try:
            usable = (
                url.scheme in ("http", "https")
                and bool(url.hostname)
                and not (url.query or url.fragment or url.username)
            )
            url.port  # noqa: B018  # raises ValueError when out of range
        except ValueError:
            usable = False
        _need(usable, "target", f"base_url {self.base_url!r}", "http://name:port or https://name:port")
        if self.resolver is not None:
            try:
                host, port = split_host_port(self.resolver)
                ipaddress.ip_address(host)
                usable = 0 < port < 65536
            except ValueError:
                usable = False
            _need(usable, "target", f"resolver {self.resolver!r}", "ip:port of a DNS server")
        _need(
            self.ca_file is None or Path(self.ca_file).is_file(), "target", f"no file {self.ca_file}", "CA certificates"
        )
        env = self.api_key_env
        _need(env is None or bool(os.environ.get(env)), "target", f"{env} is not set", "the API key in that variable")


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole run; with the seed it says every request that will be sent."""

    classes: list[RequestClass]
    seed: int
    target: Target
    duration_s: float | None = None
    """No request is scheduled at or after this offset; None leaves the end to the arrivals or to a stop."""
    dialect: Dialect = Dialect()
    """How the target talks; bodies are written and ends of streams read accordingly."""
    nonce: str = ""
    """Put before every ``x-request-id`` so that ids of two runs never meet; drawn at the start when empty."""

    def check(self) -> LoadPlan:
        """Raise `UsageError` for the first thing that cannot be run; return the plan."""
        _need(bool(self.classes), "plan", "no classes", "one or more")
        names = [cls.name for cls in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        _need(not twice, "plan", f"two classes named {', '.join(twice)}", "a name of its own for each class")
        _need(
            self.duration_s is None or self.duration_s > 0,
            "plan",
            f"duration_s of {self.duration_s}",
            "more than 0 seconds",
        )
        self.target.check()
        for cls in self.classes:
            cls.check()
        return self

    @property
    def bounded(self) -> bool:
        """Whether the plan comes to its end without being stopped."""
        return self.duration_s is not None or all(cls.arrivals.bounded for cls in self.classes)


def _check_cancel(mix: CancelMix, where: str) -> None:
    _need(0 < mix.probability <= 1, where, f"cancel probability of {mix.probability}", "more than 0, at most 1")
    _need(bool(mix.points), where, "a cancel mix without points", "one or more")
    for point in mix.points:
        _need(point.weight > 0, where, f"cancel weight of {point.weight}", "more than 0")
        plan = point.plan
        _need(plan.at != "tokens" or plan.tokens >= 1, where, f"cancel after {plan.tokens} tokens", "1 or more")
        _need(plan.at != "after_s" or plan.after_s > 0, where, f"cancel after {plan.after_s} s", "more than 0")


def _need(right: bool, where: str, what: str, expected: str) -> None:
    if not right:
        raise UsageError(what, where=where, expected=expected)
