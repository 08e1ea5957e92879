"""The range of a query: what stands for it, and where it belongs in a query that has none.

OpenSLO leaves open where the range goes. Here ``$window`` says it, or Sloth's ``{{.window}}``. A file that has neither
and says ``counter: true`` of a plain series means how much it grew in the period.
"""

from __future__ import annotations

import re

from servedrill.slo.slo import WINDOW

_TEMPLATE = re.compile(r"\{\{-?\s*\.[Ww]indow\s*-?\}\}")
_STRING = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|`[^`]*`"
_MATCHERS = rf"\{{(?:[^{{}}\"'`]|{_STRING})*\}}"
_NAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
_SERIES = rf"(?:{_NAME}\s*(?:{_MATCHERS})?|{_MATCHERS})"
_PLAIN = re.compile(rf"\s*(?:sum\s*\(\s*(?P<summed>{_SERIES})\s*\)|(?P<series>{_SERIES}))\s*")
_PIECE = re.compile(
    rf"(?P<other>{_STRING}|[0-9][A-Za-z0-9_.]*|(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
    rf"|(?:and|or|unless|bool|offset|by|without|inf|nan)\b|{_NAME}\s*(?=\(|(?:by|without)\b))"
    rf"|(?P<series>{_SERIES})\s*(?P<range>\[[^\]]*\])?",
    re.IGNORECASE,
)
_SHIFTED = re.compile(r"\boffset\b|@")
_FIXED = re.compile(r"\[\s*[0-9][0-9a-z]*\s*\]")


def with_window(query: str) -> str:
    """The query with ``$window`` for what other tools write for it."""
    return _TEMPLATE.sub(WINDOW, query)


def grown(query: str) -> str:
    """How much a counter grew in the range, all of its series together; empty unless the query is a plain series.

    ``requests_total{code="200"}`` or the ``sum(...)`` of one.
    """
    match = _PLAIN.fullmatch(query)
    return f"sum(increase({(match['summed'] or match['series']).strip()}[{WINDOW}]))" if match else ""


def proposed(query: str, *, counter: bool) -> str:
    """What a query without a range was probably meant to be; empty where that cannot be told.

    Fixed ranges give way to ``$window``; of counters, series without a range are replaced by what they grew.
    """

    def over(piece: re.Match[str]) -> str:
        if piece["other"] is not None:
            return piece[0]
        if piece["range"] is not None:
            return f"{piece['series'].strip()}[{WINDOW}]" if _FIXED.fullmatch(piece["range"]) else piece[0]
        series = piece["series"].strip()
        return f"increase({series}[{WINDOW}])" + piece[0][len(piece[0].rstrip()) :] if counter else piece[0]

    if _SHIFTED.search(query):
        return ""
    found = _PIECE.sub(over, query)
    return found if WINDOW in found else ""
