"""What Python says of an error that nobody caught, without secrets: a process that breaks writes into a log."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

from servedrill.secrecy.known import KNOWN


def hide_crashes() -> None:
    """From now on, in every thread of this process."""
    sys.excepthook = _say
    threading.excepthook = lambda ended: _say(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _say(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, SystemExit):  # how a thread ends itself
        return
    sys.stderr.write(KNOWN.hidden("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()
