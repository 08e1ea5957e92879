"""``servedrill schema``: JSON Schemas of what a run writes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from servedrill.errors import ExitCode


def register(commands: Any) -> None:
    """Add ``schema`` to the commands."""
    schema = commands.add_parser("schema", help="write JSON Schemas of run.json, verdicts.json and a history's lines")
    schema.add_argument("folder", type=Path, metavar="DIR", help="where to")
    schema.set_defaults(run=_schema)


def _schema(given: argparse.Namespace) -> int:
    from servedrill.reporting.schema import write_schemas

    for path in write_schemas(given.folder):
        print(path)
    return ExitCode.PASSED
