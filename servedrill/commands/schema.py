"""``servedrill schema``: JSON Schemas of what a run writes, and of playbooks."""

from __future__ import annotations

import argparse
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_path


def register(commands: Any) -> None:
    """Add ``schema`` to the commands."""
    schema = commands.add_parser("schema", help="write JSON Schemas of a run's files, and of playbooks for your editor")
    schema.add_argument("folder", type=some_path, metavar="DIR", help="where to")
    schema.set_defaults(run=_schema)


def _schema(given: argparse.Namespace) -> int:
    from servedrill.gameday.playbook import FILES
    from servedrill.reporting.schema import write_schemas

    for path in write_schemas(given.folder, FILES):
        print(path)
    return ExitCode.PASSED
