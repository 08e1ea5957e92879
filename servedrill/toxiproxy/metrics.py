"""The two byte counters of the original server, in Prometheus' text format."""

from __future__ import annotations

from servedrill.toxiproxy.collection import Collection

_LABELS = ("direction", "proxy", "listener", "upstream")
_NAMES = (
    ("toxiproxy_proxy_received_bytes_total", "Bytes that a proxy took in, by direction."),
    ("toxiproxy_proxy_sent_bytes_total", "Bytes that a proxy passed on, by direction."),
)


def render(collection: Collection) -> str:
    """All counters, those of removed proxies included: a counter never goes backwards."""
    totals = {key: list(counts) for key, counts in collection.retired.items()}
    for proxy in collection.proxies.values():
        for (direction, listen, upstream), counts in proxy.totals().items():
            total = totals.setdefault((direction, proxy.name, listen, upstream), [0, 0])
            total[0] += counts[0]
            total[1] += counts[1]
    lines = []
    for index, (name, about) in enumerate(_NAMES):
        lines += [f"# HELP {name} {about}", f"# TYPE {name} counter"]
        for key, counts in sorted(totals.items()):
            labels = ",".join(f'{label}="{_escape(value)}"' for label, value in zip(_LABELS, key, strict=True))
            lines.append(f"{name}{{{labels}}} {counts[index]}")
    return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
