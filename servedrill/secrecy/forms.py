"""The forms in which a secret is repeated, and which values can be told from ordinary words at all."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 6
"""Characters; shorter ones stand in ordinary text by chance."""
_LINE = 16
"""Of a secret of several lines, as a certificate's key, lines as long as this are secrets of their own."""
_ORDINARY = re.compile(r"[A-Za-z]{0,15}|[a-z_]{0,23}|[a-z_]{1,20}[-_]?[0-9]{1,3}|[0-9.:-]{0,11}")
"""A word, a name of words, a numbered name (engine-0, http_503), a short number: histories are written in such."""
_ESCAPED = re.compile(r"[\"'\\/]")
STAND_INS = frozenset(
    ("empty", "none", "null", "dummy", "fake", "test", "local", "unused", "ollama", "vllm", "key", "token", "secret")
)
"""What is given as a key where a server asks for any, and for none in particular: no secret."""


def can_be_hidden(value: str) -> bool:
    """Whether replacing it wherever it stands harms nothing else."""
    return len(value) >= SHORTEST and not _ORDINARY.fullmatch(value)


def forms_of(value: str) -> set[str]:
    """As it is; in URLs, JSON and HTML; base64 at every alignment, which is how Basic carries it after any user's name.
    Its lines, where it has several. For texts within texts, see `escaped`."""
    forms = {value}
    for safe in ("", "/"):
        quoted = quote(value, safe=safe)
        forms |= {quoted, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)}
    forms |= {quote_plus(value), html.escape(value)}
    forms |= {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    raw = value.encode(errors="surrogateescape")
    forms |= {raw.decode("latin-1"), *_in_base64(raw)}
    for line in value.splitlines() if "\n" in value else ():
        if len(line) >= _LINE and can_be_hidden(line):
            forms |= forms_of(line)
    return {form for form in forms if len(form) >= SHORTEST}


def escaped(value: str) -> str | None:
    """A pattern of it with any number of backslashes where there may be some: JSON in JSON, and what Python makes of
    that; None where it has nothing that is escaped."""
    if not _ESCAPED.search(value):
        return None
    parts = (match[0] for match in re.finditer(r"\\+|[^\\]", value))
    return "".join(
        r"\\++" if part[0] == "\\" else rf"\\*+{part}" if _ESCAPED.match(part) else re.escape(part) for part in parts
    )


def _in_base64(raw: bytes) -> Iterator[str]:
    """The characters that depend on nothing but these bytes, wherever they begin among groups of three."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[before] : len(encoded) - (1 if (before + len(raw)) % 3 else 0)]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def secrets_of_url(url: str) -> Iterator[str]:
    """The user's part and the query of a URL, whole and by their parts; nothing of what is no URL."""
    match = re.match(r"\w[\w+.-]*://([^/?#]*@)?[^?#]*(?:\?([^#]*))?", url)
    if match is None:
        return
    user, query = (match[1] or "")[:-1], match[2] or ""
    if user:
        name, _, password = user.partition(":")
        yield from (user, unquote(user), password or name, unquote(password or name))
    if query:
        yield query
        for pair in query.split("&"):
            value = pair.partition("=")[2]
            yield from (value, unquote(value))
