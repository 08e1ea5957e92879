"""URLs, addresses and patterns of a stack file that can be seen to lead nowhere; to add a rule:
`servedrill.files.mistakes`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.commands import Command
from servedrill.stacks.file import StackFile

HOST_PORT = "host:port"
URL = "http://host:port or https://host"
_HOST = re.compile(r"[^\s/@\[\]\x00-\x20\x7f]+")
_BLANK = re.compile(r"[\s\x00-\x20\x7f]")


def is_url(text: str) -> bool:
    """Whether it is an HTTP URL with a host, and with a port that there is where it has one."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and port != 0 and bool(_HOST.fullmatch(host)) and not _BLANK.search(text)


def is_address(text: str) -> bool:
    """Whether it is ``host:port``, with a port that there is."""
    host, _, port = text.rpartition(":")
    return bool(host) and not _BLANK.search(text) and bool(re.fullmatch(r"[0-9]{1,5}", port)) and 0 < int(port) < 65536


def check_urls(mistakes: Mistakes, document: Document, file: StackFile) -> None:
    """Note URLs that are none, of what stands beside the replicas."""
    for field in ("alerts", "rollouts"):
        _check_url(mistakes, document, (field,), getattr(file, field))
    for number, replica in enumerate(file.replica):
        if replica.metrics != "none":
            _check_url(mistakes, document, ("replica", number, "metrics"), replica.metrics)
        check_path(mistakes, document, ("replica", number, "health"), replica.health)


def check_command_addresses(mistakes: Mistakes, document: Document, commands: Mapping[Key, Command]) -> None:
    """Note paths, addresses and patterns by which nothing of a command would ever be found."""
    for key, command in commands.items():
        if command.metrics != "none":
            _check_url(mistakes, document, (*key, "metrics"), command.metrics)
        check_path(mistakes, document, (*key, "health"), command.health)
        _check_pattern(mistakes, document, (*key, "core"), command.core)
        if command.ready is not None:
            check_path(mistakes, document, (*key, "ready", "path"), command.ready.path)
            _check_pattern(mistakes, document, (*key, "ready", "log"), command.ready.log)
        if command.published and "{" not in command.published and not _is_loopback(command.published):
            at, what = (*key, "published"), f"is {command.published!r}"
            mistakes.wrong(document, at, what, expected="an address of this machine's loopback, 127.0.0.x")


def check_path(mistakes: Mistakes, document: Document, key: Key, path: str) -> None:
    """Note a path of a URL that is none; empty is none that was given."""
    if path and (not path.startswith("/") or _BLANK.search(path)):
        mistakes.wrong(document, key, f"is {path!r}", expected="a path that begins with /")


def _check_url(mistakes: Mistakes, document: Document, key: Key, url: str) -> None:
    if url and "{" not in url and not is_url(url):
        mistakes.wrong(document, key, f"is {url!r}", expected=URL)


def _check_pattern(mistakes: Mistakes, document: Document, key: Key, pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        what, expected = f"{pattern!r} is no pattern: {error}", "a regular expression of Python"
        mistakes.wrong(document, key, what, expected=expected, hint="a backslash before a sign takes it as it is")


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_loopback
    except ValueError:
        return False
