"""A drill as a trace: spans of the drill, its windows, faults and requests, and the ids that requests carry.

OTLP over HTTP as JSON (https://opentelemetry.io/docs/specs/otlp/), which every collector takes. An SDK would draw ids
and times of its own; here they follow from names and from the history, so that a request can carry the id of a span
that is made when all is over: ``traceparent`` of https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from servedrill._version import __version__
from servedrill.history.events import (
    AnyEvent,
    DrillEnded,
    DrillStarted,
    FaultHealed,
    FaultInjected,
    RequestRecord,
    WindowClosed,
    WindowOpened,
)

BATCH = 500
_INTERNAL, _CLIENT, _ERROR = 1, 3, 2


def trace_of(run: str, drill: str) -> str:
    """The trace of one drill of one run: 32 hexadecimal digits."""
    return hashlib.sha256(f"{run}/{drill}".encode()).hexdigest()[:32]


def span_of(name: str) -> str:
    """The span of what has this name: 16 hexadecimal digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def traceparent(trace: str, request_id: str) -> str:
    """The header of a request: of its own span, sampled."""
    return f"00-{trace}-{span_of(request_id)}-01"


def spans(events: Iterable[AnyEvent], trace: str, *, offset_ns: int) -> Iterator[dict[str, Any]]:
    """Of a whole history; ``offset_ns`` is what makes its instants times since 1970."""
    root = span_of(trace)
    open_: dict[str, AnyEvent] = {}
    started: DrillStarted | None = None

    def span(
        name: str, begin_ns: int, end_ns: int, key: str, told: dict[str, Any], *, kind: int = _INTERNAL, error: str = ""
    ) -> dict[str, Any]:
        said = {
            "traceId": trace,
            "spanId": span_of(key),
            "parentSpanId": root,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(begin_ns + offset_ns),
            "endTimeUnixNano": str(end_ns + offset_ns),
            "attributes": [_attribute(key, value) for key, value in told.items()],
        }
        return said | ({"status": {"code": _ERROR, "message": error}} if error else {})

    for event in events:
        match event:
            case DrillStarted():
                started = event
            case WindowOpened():
                open_[f"window {event.window}"] = event
            case WindowClosed() if (began := open_.pop(f"window {event.window}", None)) is not None:
                name = f"window {event.window}"
                yield span(name, began.t_ns, event.t_ns, f"{trace} {name}", {})
            case FaultInjected():
                open_[event.lease] = event
            case FaultHealed() if isinstance(fault := open_.pop(event.lease, None), FaultInjected):
                name = f"fault {fault.fault} on {fault.target}"
                key = f"{trace} {event.lease}"
                said = {"fault": fault.fault, "target": fault.target, "healed": event.proven}
                yield span(name, fault.t_ns, event.t_ns, key, said)
            case RequestRecord():
                said = {"class": event.cls, "route": event.route, "status": event.status or 0}
                begin_ns = event.t_send_ns or event.t_int_ns
                failure = event.failure or ""
                yield span(event.cls, begin_ns, event.t_end_ns, event.id, said, kind=_CLIENT, error=failure)
            case DrillEnded() if started is not None:
                root_span = span(f"drill {started.drill}", started.t_ns, event.t_ns, trace, {"stack": started.stack})
                del root_span["parentSpanId"]
                yield root_span


def request_of(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """The body that a collector takes."""
    resource = {"attributes": [_attribute("service.name", "servedrill"), _attribute("service.version", __version__)]}
    scope = {"name": "servedrill", "version": __version__}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": batch}]}]}


def _attribute(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"stringValue": str(value)}}
