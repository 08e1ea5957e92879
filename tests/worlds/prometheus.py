"""The SLO files that ship, and what of Prometheus is installed here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SLOS = Path(__file__).parents[2] / "fixtures" / "data" / "slos"
SHIPPED = sorted(SLOS.iterdir())
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
needs_servers = pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="prometheus and prometheus-alertmanager are not installed (Debian: prometheus, prometheus-alertmanager)",
)
