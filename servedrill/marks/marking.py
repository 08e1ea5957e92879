"""Leaves marks while a drill goes on: reads its history as it grows, in a thread of its own.

It is never in the way: what cannot be told is a line in ``marks.log``, and no part of a verdict.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from servedrill.control.bounded import call, read
from servedrill.errors import UsageError
from servedrill.history.events import AnyEvent, DrillEnded, DrillStarted, FaultHealed, FaultInjected
from servedrill.history.journal import iter_events
from servedrill.history.lines import LineDecoder
from servedrill.marks.settings import Marks
from servedrill.marks.traces import BATCH, request_of, spans
from servedrill.secrecy.known import hidden, secret_in

EVERY_S, TIMEOUT_S = 0.25, 3.0
LOG = "marks.log"
TAG = "servedrill"


def require_notifier(marks: Marks) -> None:
    """Raise `UsageError` where somebody is to be notified and there is nothing to do it with."""
    if marks.notify_env is None:
        return
    if not secret_in(marks.notify_env):
        expected = "URLs of Apprise in it, such as slack://... or json://..."
        raise UsageError(f"{marks.notify_env} is not set", where="[marks] notify_env", expected=expected)
    try:
        import apprise  # noqa: F401
    except ImportError:
        raise UsageError(
            "Apprise is not installed", where="[marks] notify_env", expected="pip install 'servedrill[notify]'"
        ) from None


@contextlib.contextmanager
def marking(marks: Marks, history: Path, *, trace: str, answer: Callable[[], str]) -> Iterator[None]:
    """Marks of the drill whose history this is; ``answer`` is asked when the block has ended."""
    if not marks.any:
        yield
        return
    marker = _Marker(marks, history, trace)
    marker.start()
    try:
        yield
    finally:
        marker.finish(answer())


class _Marker:
    def __init__(self, marks: Marks, history: Path, trace: str) -> None:
        self._marks, self._history, self._trace = marks, history, trace
        self._offset, self._cut, self._lines = 0, b"", LineDecoder()
        self._wall_ns = 0
        """What makes an instant of the history a time since 1970."""
        self._drill = ""
        self._notes: dict[str, int] = {}
        """What is open -> the id of its annotation."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="marks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, answer: str) -> None:
        self._over.set()
        self._thread.join(timeout=20)
        with self._in_nobodys_way("the end"):
            self._annotate_end("drill", f"drill {self._drill}: {answer}")
            self._notify(f"Drill {self._drill}: {answer.upper()}", str(self._history.parent))
            self._trace_all()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._over.wait(EVERY_S)
            for event in self._new():
                with self._in_nobodys_way(type(event).__name__):
                    self._tell(event)

    def _new(self) -> Iterator[AnyEvent]:
        try:
            with self._history.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return
        self._offset += len(new)
        *lines, self._cut = (self._cut + new).split(b"\n")
        for line in lines:
            if line.startswith((b'{"type":"fault_', b'{"type":"drill_')):
                yield self._lines.decode(line)

    def _tell(self, event: AnyEvent) -> None:
        match event:
            case DrillStarted():
                self._wall_ns, self._begun_ns, self._drill = (
                    time.time_ns() - time.monotonic_ns(),
                    event.t_ns,
                    event.drill,
                )
                self._annotate("drill", event.t_ns, f"drill {event.drill} on {event.stack}: {event.hypothesis}")
                self._notify(f"Drill {event.drill} begins", f"On {event.stack}. {event.hypothesis}")
            case FaultInjected():
                self._annotate(event.lease, event.t_ns, f"{event.fault} on {event.target}", event.fault)
                self._notify(f"{event.fault} on {event.target}", f"Injected by drill {self._drill}.")
            case FaultHealed():
                self._annotate_end(event.lease, "", at_ns=event.t_ns)
                self._notify("Healed" if event.proven else "NOT PROVEN TO BE HEALED", event.proof)
            case DrillEnded():
                pass

    # ---- Grafana: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/

    def _annotate(self, key: str, at_ns: int, text: str, *tags: str) -> None:
        if self._marks.grafana:
            body = {"time": self._ms(at_ns), "tags": [TAG, self._drill, *tags], "text": text}
            told = read(self._grafana("POST", "", body), dict[str, Any])
            self._notes[key] = int(told.get("id", 0))

    def _annotate_end(self, key: str, text: str, *, at_ns: int | None = None) -> None:
        if self._marks.grafana and (number := self._notes.pop(key, 0)):
            body = {"timeEnd": self._ms(at_ns or time.monotonic_ns())} | ({"text": text} if text else {})
            self._grafana("PATCH", f"/{number}", body)

    def _grafana(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        key = secret_in(self._marks.grafana_key_env)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{self._marks.grafana.rstrip('/')}/api/annotations{path}"
        response = call(method, url, timeout_s=TIMEOUT_S, by_proxy=True, json=body, headers=headers)
        response.raise_for_status()
        return response

    def _ms(self, t_ns: int) -> int:
        return (t_ns + self._wall_ns) // 1_000_000

    # ---- people

    def _notify(self, title: str, body: str) -> None:
        if self._marks.notify_env is None:
            return
        import apprise

        people = apprise.Apprise()
        for url in (secret_in(self._marks.notify_env) or "").split():
            people.add(url)
        if not people.notify(title=hidden(title), body=hidden(body)):
            raise RuntimeError("not everybody could be notified")

    # ---- spans

    def _trace_all(self) -> None:
        if not self._marks.otlp:
            return
        url = f"{self._marks.otlp.rstrip('/')}/v1/traces"
        found = spans(iter_events(self._history), self._trace, offset_ns=self._wall_ns)
        while batch := list(itertools.islice(found, BATCH)):
            call("POST", url, timeout_s=TIMEOUT_S, by_proxy=True, json=request_of(batch)).raise_for_status()

    @contextlib.contextmanager
    def _in_nobodys_way(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            with contextlib.suppress(OSError), (self._history.parent / LOG).open("a") as log:
                log.write(hidden(f"{what}: {type(error).__name__}: {error}\n"))
