"""``servedrill files``: drills, stack files and SLOs that come with servedrill, to look at and to copy."""

from __future__ import annotations

import argparse
from typing import Any

from servedrill.errors import ExitCode
from servedrill.files.arguments import some_text


def register(commands: Any) -> None:
    """Add ``files`` to the commands."""
    files = commands.add_parser(
        "files",
        help="list the drills, stack files and SLOs that come with servedrill",
        description="List the files that come with servedrill, or say where one of them is: "
        'cp "$(servedrill files drills/test_5_cancel_storm.py)" .',
    )
    files.add_argument(
        "file", type=some_text, nargs="?", metavar="FILE", help="one of those that are listed: where it is"
    )
    files.set_defaults(run=_files)


def _files(given: argparse.Namespace) -> int:
    from servedrill.errors import UsageError
    from servedrill.files.shipped import shipped_files

    files = shipped_files()
    if given.file is not None and given.file not in files:
        raise UsageError(
            "does not come with servedrill", where=given.file, expected="one that `servedrill files` lists"
        )
    print(*([files[given.file]] if given.file is not None else files), sep="\n")
    return ExitCode.PASSED
