"""What a stack file says of marks.

[marks]
grafana = "https://grafana.example"     # annotations of drills and faults
grafana_key_env = "GRAFANA_TOKEN"
notify_env = "DRILL_NOTIFY"             # URLs of Apprise, such as slack://... or json://..., separated by spaces
otlp = "http://127.0.0.1:4318"          # spans by OTLP over HTTP, and a traceparent on every request
"""

from __future__ import annotations

import msgspec


class Marks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where marks are left; nothing by default."""

    grafana: str = ""
    """Base URL of a Grafana."""
    grafana_key_env: str | None = None
    """Environment variable with a service account's token, which may write annotations."""
    notify_env: str | None = None
    """Environment variable with the URLs that Apprise notifies, separated by white space: they hold secrets."""
    otlp: str = ""
    """Base URL of a collector that takes OTLP over HTTP, before ``/v1/traces``."""

    @property
    def any(self) -> bool:
        """Whether any mark is left anywhere."""
        return bool(self.grafana or self.notify_env or self.otlp)
