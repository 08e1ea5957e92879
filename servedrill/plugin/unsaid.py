"""Reports of tests without secrets: tracebacks with their locals, what was captured and logged, properties.

pytest cuts long values in the middle, so parts of a secret beside such a cut go, too.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

from servedrill.secrecy.known import KNOWN


def without_secrets(report: Any) -> None:
    """A test's report; every plugin that is told of it is told this."""
    for name in ("longrepr", "sections", "user_properties"):
        setattr(report, name, hidden_in_repr(getattr(report, name)))


def hide_warning(warning: warnings.WarningMessage) -> None:
    """A warning, which pytest lists in the end: of an error in a thread it has the whole traceback."""
    said = str(warning.message)
    if (shown := KNOWN.hidden_parts(said)) != said:
        warning.message = Warning(shown)


def hide_logs(config: pytest.Config) -> None:
    """Whatever pytest shows or files of what is logged (``log_cli``, ``--log-file``, reports) has no secret."""
    logging_ = config.pluginmanager.get_plugin("logging-plugin")
    for name in ("log_cli_handler", "log_file_handler", "caplog_handler", "report_handler"):
        handler = getattr(logging_, name, None)
        if isinstance(handler, logging.Handler):
            handler.addFilter(_without_secrets)


def _without_secrets(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    if (shown := KNOWN.hidden(said)) != said:
        record.msg, record.args = shown, ()
    if record.exc_info:
        record.exc_text = KNOWN.hidden(logging.Formatter().formatException(record.exc_info))
    return True


@contextlib.contextmanager
def saying_no_secret() -> Iterator[None]:
    """What is printed inside the block goes to the terminal without secrets."""
    with contextlib.redirect_stdout(_Unsaid(sys.stdout)), contextlib.redirect_stderr(_Unsaid(sys.stderr)):
        yield


class _Unsaid:
    """Another stream, written to without secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(KNOWN.hidden(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def hidden_in_repr(shown: Any) -> Any:
    """A text, or what pytest draws a traceback from, which is changed where it stands."""
    if isinstance(shown, str):
        return KNOWN.hidden_parts(shown)
    if isinstance(shown, dict):
        return {hidden_in_repr(key): hidden_in_repr(value) for key, value in shown.items()}
    if isinstance(shown, list | tuple):
        found = [hidden_in_repr(one) for one in shown]
        return found if isinstance(shown, list) else tuple(found)
    if type(shown).__module__.startswith("_pytest."):
        for name, value in vars(shown).items():
            setattr(shown, name, hidden_in_repr(value))
    return shown
