"""``servedrill alerts``: Prometheus rules and a Grafana dashboard from SLO files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path
from servedrill.files.whole import write_whole


def register(commands: Any) -> None:
    """Add ``alerts`` to the commands."""
    alerts = commands.add_parser("alerts", help="Prometheus rules and a Grafana dashboard from SLO files")
    actions = alerts.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, says in (
        ("rules", _rules, "recording and alert rules for Prometheus (YAML)"),
        ("dashboard", _dashboard, "a dashboard for Grafana to import (JSON)"),
    ):
        action = actions.add_parser(name, help=says)
        action.add_argument("files", type=some_path, nargs="+", metavar="SLO-FILE")
        action.add_argument("-o", "--output", type=some_path, metavar="FILE", help="default: standard output")
        action.set_defaults(run=run)


def _rules(given: argparse.Namespace) -> int:
    from servedrill.slo.openslo import read_slos
    from servedrill.slo.rules import rules_of

    file = rules_of(read_slos(*given.files).slos)
    _write(given.output, file.text())
    for note in file.notes:
        print(f"note: {note}", file=sys.stderr)
    return ExitCode.PASSED


def _dashboard(given: argparse.Namespace) -> int:
    import json

    from servedrill.slo.dashboard import dashboard_of
    from servedrill.slo.openslo import read_slos

    _write(given.output, json.dumps(dashboard_of(read_slos(*given.files).slos), indent=1) + "\n")
    return ExitCode.PASSED


def _write(path: Path | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    write_whole(path, text.encode())
