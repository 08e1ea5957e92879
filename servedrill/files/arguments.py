"""Command lines of people: wrong arguments are usage errors like any other, one line and exit status 4."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from servedrill.errors import ExitCode


class Parser(argparse.ArgumentParser):
    """`argparse` exits with 2, which is pytest's status for an interrupted run."""

    def error(self, message: str) -> NoReturn:
        """Say it, in one line, and exit."""
        message = " ".join(message.split())
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")
        raise AssertionError("unreachable")


def some_text(text: str) -> str:
    """Any text. Raises `argparse.ArgumentTypeError` for none: a variable that is not set must not mean something
    else."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; expected a value, or no such option (is a variable not set?)")
    return text


def some_path(text: str) -> Path:
    """A file or a folder. Raises `argparse.ArgumentTypeError` for no name that one can have."""
    if "\0" in some_text(text):
        raise argparse.ArgumentTypeError("has a NUL; expected a name that a file can have")
    return Path(text)


def some_folder(text: str) -> Path:
    """A folder, which need not be there yet. Raises `argparse.ArgumentTypeError` for what is something else."""
    path = some_path(text)
    try:
        if path.stat() and not path.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    except (FileNotFoundError, PermissionError):
        pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} cannot be a folder: {error.strerror}") from None
    return path


def some_url(text: str) -> str:
    """``http://host:port``, or with https. Raises `argparse.ArgumentTypeError`."""
    try:
        parts = urlsplit(some_text(text))
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in text
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError("is no URL; expected http://host:port")
    return text


def port_or_zero(text: str) -> int:
    """A TCP port; 0 stands for any free one. Raises `argparse.ArgumentTypeError`."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r}; expected 0 to 65535")
    return int(text)


def seed(text: str) -> int:
    """A seed: a whole number that every place where one is kept can hold. Raises `argparse.ArgumentTypeError`."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}; expected a whole number from 0 to below 2^63")
    return value
