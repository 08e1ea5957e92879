"""The one place where secrets are known, and where texts from outside lose them: before anything is cut, as half a key
would be found by nobody.

Whoever reads a key reads it by `secret_in`, and so makes it known; load workers and supervisors are told by the pipe by
which they are told everything. What comes in goes through `name`, `text` or `cut`; what goes out (histories, our own
errors, reports of tests, logs) through `hidden` once more, so that a place that was forgotten writes nothing either.

It takes time by the length of a text, for each secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from servedrill.secrecy.forms import can_be_hidden, escaped, forms_of, secrets_of_url

MASK = "•••"
NAME_MAX, TEXT_MAX, NAMES_MAX = 256, 4096, 16
_PART = 6
"""Characters of a secret beside a cut that somebody else made, from which on they are taken for a part of it."""
_CUT = re.compile(r"\.\.\.|…")


class Known:
    """Secrets of one process."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._plain: tuple[str, ...] = ()
        """The same without backslashes."""
        self._bytes: tuple[bytes, ...] = ()
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._byte_patterns: tuple[re.Pattern[bytes], ...] = ()

    def learn(self, *values: str | None) -> None:
        """Hide these from now on; those that cannot be told from ordinary words are left alone, see `can_be_hidden`."""
        new = {value.strip() for value in values if value} - self._secrets
        new = {value for value in new if can_be_hidden(value)}
        if new:
            self._secrets |= new
            forms = {form for secret in self._secrets for form in forms_of(secret)}
            self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
            self._plain = tuple({form.replace("\\", "") for form in self._forms})
            self._bytes = tuple(form.encode(errors="surrogateescape") for form in self._forms)
            patterns = [pattern for secret in self.secrets if (pattern := escaped(secret)) is not None]
            self._patterns = tuple(map(re.compile, patterns))
            self._byte_patterns = tuple(re.compile(one.encode(errors="surrogateescape")) for one in patterns)

    @property
    def secrets(self) -> list[str]:
        """For a process that is started from here: by a pipe, never by a file or an argument."""
        return sorted(self._secrets)

    @property
    def longest(self) -> int:
        """Bytes of the longest form; 0 without any."""
        return max(map(len, self._bytes), default=0)

    def stands_in(self, content: bytes) -> bool:
        """Whether any of them does, in any form."""
        return any(form in content for form in self._bytes) or any(one.search(content) for one in self._byte_patterns)

    def hidden(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text

    def hidden_bytes(self, content: bytes) -> bytes:
        """The same, of bytes."""
        for form in self._bytes:
            if form in content:
                content = content.replace(form, MASK.encode())
        for pattern in self._byte_patterns:
            content = pattern.sub(MASK.encode(), content)
        return content

    def hidden_parts(self, text: str) -> str:
        """As `hidden`, of a text that somebody else has cut: parts beside ``...`` and at its ends go, too."""
        text, pieces, begun = self.hidden(text), [], 0
        cuts = [(0, 0), *(match.span() for match in _CUT.finditer(text)), (len(text), len(text))]
        for start, end in cuts if self._forms else ():
            before = self._part(text[max(begun, start - 2 * self.longest) : start], beginning=True)
            after = self._part(text[end : end + 2 * self.longest], beginning=False)
            pieces += [text[begun : start - before], MASK * bool(before), text[start:end], MASK * bool(after)]
            begun = end + after
        return "".join([*pieces, text[begun:]])

    def _part(self, text: str, *, beginning: bool) -> int:
        """How long a beginning of a secret is that the text ends with, or an end of one that it begins with; whatever
        was escaped in it."""
        for length in range(len(text), _PART - 1, -1):
            part = (text[-length:] if beginning else text[:length]).replace("\\", "")
            if len(part) >= _PART and any(
                form.startswith(part) if beginning else form.endswith(part) for form in self._plain
            ):
                return length
        return 0


KNOWN = Known()


def secret_in(variable: str | None) -> str | None:
    """The value of an environment variable that holds a secret, which is known from then on; None where it is not
    set or nobody named one."""
    value = os.environ.get(variable) if variable else None
    KNOWN.learn(value)
    return value


def learn_url(url: str) -> str:
    """The same URL; what is secret in it is known from then on."""
    KNOWN.learn(*secrets_of_url(url))
    return url


def hidden(text: str) -> str:
    """The text without any secret, of whatever length."""
    return KNOWN.hidden(text)


def name(text: str) -> str:
    """A model, an id, a header from outside: `NAME_MAX` characters at most."""
    return cut(text, NAME_MAX)


def text(text: str) -> str:
    """A message from outside: `TEXT_MAX` characters at most."""
    return cut(text, TEXT_MAX)


def names(texts: Iterable[str]) -> list[str]:
    """Each as `name`, and `NAMES_MAX` of them at most."""
    found = [name(one) for one in texts]
    return found if len(found) <= NAMES_MAX else [*found[:NAMES_MAX], f"… ({len(found)} names)"]


def cut(text: str, most: int) -> str:
    """The beginning of a text from outside; the only way to shorten one."""
    whole = hidden(text)
    return whole if len(whole) <= most else f"{whole[:most]}… ({len(whole)} characters)"


def ending(text: str, most: int) -> str:
    """The end of a text from outside."""
    whole = hidden(text)
    return whole if len(whole) <= most else f"…{whole[-most:]}"


def hidden_within(value: Any) -> Any:
    """The same value, of JSON's types, every text and every key in it `hidden`; figures are left alone."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, dict):
        return {hidden_within(key): hidden_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden_within(item) for item in value]
    return value
