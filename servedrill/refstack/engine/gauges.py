"""When the core tells its gauges: after every step, and after every change that happens while it is idle."""

from __future__ import annotations


class RefreshAlways:
    """Gauges set by steps alone would stay where the last step left them after a cancel."""

    policy = "gauges"

    def due(self, *, stepped: bool, changed: bool) -> bool:
        """Whether to tell the gauges now.

        ``stepped``: after a step. ``changed``: after a submit, an abort or a control message (pings are none).
        """
        return stepped or changed
