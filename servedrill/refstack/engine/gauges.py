"""When the core tells its gauges: after every step, and after every change that happens while it is idle."""

from __future__ import annotations


class RefreshAlways:
    """A gauge that is told only by steps stays where the last step left it, for ever when the last thing was a cancel."""

    policy = "gauges"

    def due(self, *, stepped: bool, changed: bool) -> bool:
        """Whether to tell the gauges now: ``stepped`` after a step, ``changed`` after a submit, an abort or a control message (pings are none)."""
        return stepped or changed
