"""The director: carries a plan out, step by step, and stops it at once when it has to be stopped.

the director's thread     steps, one after the other; hears at every tick that the day was stopped
the watch                 a thread: stop conditions, the safety lever, keys, alerts; ten times a second
the watchdog              a process: undoes faults as soon as the lever is pulled, whatever hangs here
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from servedrill.checkers.finding import Answer
from servedrill.errors import FaultError, Unwatched, UsageError
from servedrill.gameday import record as r
from servedrill.gameday.breaking import hold_fault
from servedrill.gameday.drills import capabilities
from servedrill.gameday.live import Live, run
from servedrill.gameday.people import GO, People
from servedrill.gameday.plan import all_steps, found_drill
from servedrill.gameday.playbook import Playbook, Step, seconds
from servedrill.gameday.reading import REFERENCE
from servedrill.gameday.scene import Scenes, Stopped, Told, class_of
from servedrill.gameday.view import View
from servedrill.gameday.watch import Watch
from servedrill.judging.words import decisive
from servedrill.session.session import Session, StackLacks

_BREAKS = ("drill", "fault", "parallel", "hook", "traffic")
"""Before the first of these the steady state has to be met."""
Came = tuple[Answer, str, dict[str, Any]]
"""What a step came to, why, and what later steps may use."""


class Director:
    """One day, in one process; ``done``: places of steps that an earlier process has finished, and their outputs."""

    def __init__(
        self,
        playbook: Playbook,
        path: Path,
        session: Session,
        record: r.Record,
        people: People,
        view: View,
        *,
        done: dict[str, dict[str, Any]],
    ) -> None:
        self._playbook, self._path, self._session = playbook, path, session
        self._record, self._people, self._view, self._done = record, people, view, done
        places = dict(all_steps(playbook.method))
        self._outputs = {places[place].name: outputs for place, outputs in done.items() if place in places}
        self._live = Live()
        self._watch = Watch(playbook, self._live, record, view, folder=session.begun().folder)
        self._scenes = Scenes(playbook, path, session, self._live, self._watch, record, view)

    # ---- the day

    def run(self) -> None:
        """To its end, or until it is stopped; everything is healed then, and the record says how it went."""
        with self._watch, self._signals():
            try:
                self._record.add(r.StateChanged(state="prepared"))
                for number, step in enumerate(self._playbook.method, start=1):
                    if str(number) not in self._done:
                        self._step(str(number), step)
                self._scenes.ready(again=True)
                self._scenes.steady("at the end")
            except (Stopped, Unwatched, KeyboardInterrupt, EOFError) as stop:
                self._watch.halt(self._why(stop), by=self._by(stop))
            finally:
                self._revert()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and a terminal that is closed stop the day as anybody does."""
        caught = (signal.SIGTERM, signal.SIGHUP)
        before = {
            one: signal.signal(one, lambda number, _: self._watch.halt_soon(signal.Signals(number).name))
            for one in caught
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _why(self, stop: BaseException) -> str:
        if isinstance(stop, KeyboardInterrupt):
            return "Ctrl-C"
        return "nobody sits at the terminal any more" if isinstance(stop, EOFError) else str(stop)

    def _by(self, stop: BaseException) -> str:
        return self._people.who("") if isinstance(stop, KeyboardInterrupt) else "servedrill"

    def _revert(self) -> None:
        self._record.add(r.StateChanged(state="reverting"))
        if self._watch.halted:
            self._record.add(r.HaltHealed(seconds=self._watch.healed_after_s()))
        self._scenes.end()
        for number, step in enumerate(self._playbook.rollbacks, start=1):
            answer, said, _ = self._hook(f"rollback {number}", step)
            self._record.add(r.Noted(text=f"rollback {number}: {answer.value} {said}", by="servedrill"))
        self._live.close()
        self._record.add(r.StateChanged(state="completed"))
        self._record.add(r.Ended())

    # ---- steps

    def _step(self, place: str, step: Step) -> None:
        self._scenes.tick()
        if step.act in _BREAKS:
            self._scenes.ready()
        step = msgspec.convert(_filled(msgspec.to_builtins(step), self._outputs), Step)
        self._record.add(
            r.StepBegun(step=place, title=step.title, act=step.act, expected=step.expected, runbook=step.runbook)
        )
        self._control(self._playbook.controls.before, place, step)
        began = time.monotonic()
        came: Came = (Answer.INCONCLUSIVE, r.STOPPED, {})
        try:
            came = self._act(place, step)
        except StackLacks as lack:
            came = (Answer.INCONCLUSIVE, f"cannot be done here: {lack}", {})
        except (FaultError, UsageError) as error:
            came = (Answer.INCONCLUSIVE, str(error), {})
        finally:
            answer, said, outputs = came
            took_s = round(time.monotonic() - began, 3)
            outputs = {"seconds": took_s, "status": answer.value, **outputs}
            if step.name:
                self._outputs[step.name] = outputs
            self._record.add(r.StepEnded(step=place, answer=answer, said=said, seconds=took_s, outputs=outputs))
            self._control(self._playbook.controls.after, place, step)

    def _act(self, place: str, step: Step) -> Came:
        match step.act:
            case "drill":
                return self._run_drill(step)
            case "fault":
                parts = {"scenes": self._scenes, "live": self._live, "watch": self._watch, "record": self._record}
                return (*hold_fault(place, step, **parts), {})  # type: ignore[arg-type]
            case "traffic":
                classes = [class_of(one, f"{place}-{number}") for number, one in enumerate(step.traffic or [])]
                self._scenes.on().load(*classes)
                return Answer.PASS, f"{', '.join(one.name for one in classes)} besides", {}
            case "wait":
                return self._wait(step)
            case "ask":
                return self._ask(place, step)
            case "hook":
                return self._hook(place, step)
            case "pause":
                self._scenes.let_pass(seconds(step.pause or 0) or 0.0)
                return Answer.PASS, f"{step.pause} went by", {}
            case _:
                return self._side_by_side(place, step)

    def _ask(self, place: str, step: Step) -> Came:
        question = step.ask or ""
        answer, automatic = self._people.ask(
            question,
            role=step.role,
            answers=step.answers,
            default=step.default,
            screen=self._view,
            check=self._scenes.tick,
        )
        by = "" if automatic else self._people.who(step.role)
        self._record.add(
            r.Answered(step=place, question=question, answer=answer, role=step.role, by=by, automatic=automatic)
        )
        if step.answers == "go" and answer != GO:
            self._watch.halt(f"no-go: {question}", by=by or "servedrill, as nobody could be asked")
            raise Stopped
        return Answer.PASS, answer, {"answer": answer}

    def _hook(self, place: str, step: Step) -> Came:
        ok, said, output = run(step.hook or [], within_s=seconds(step.within) or 30.0, SERVEDRILL_STEP=place)
        answer = Answer.PASS if ok else Answer.INCONCLUSIVE if ok is None else Answer.FAIL
        return answer, said, {"output": output}

    def _wait(self, step: Step) -> Came:
        assert step.wait is not None
        self._scenes.on()
        met, waited_s, said = self._scenes.wait(step.wait, within_s=seconds(step.within) or 30.0)
        if met:
            return Answer.PASS, f"{said} after {waited_s:.1f} s", {}
        answer = Answer.INCONCLUSIVE if met is None else Answer.FAIL
        return answer, f"not within {step.within}: {step.wait}; seen: {said}", {}

    def _run_drill(self, step: Step) -> Came:
        self._scenes.end()
        found = found_drill(step, self._path.parent)
        function = found.load()
        opened = self._session.open(
            found.name,
            hypothesis=" ".join((function.__doc__ or found.name).split("\n\n")[0].split()),
            nodeid=found.nodeid,
            needs=capabilities(function, "drill_needs"),
            uses=capabilities(function, "drill_uses"),
            progress=Told(self._live, self._view),
        )
        try:
            with opened as drill:
                self._scenes.follow(drill, breaks=True)
                function(drill)
        finally:
            self._scenes.follow(None)
        verdict = self._session.verdicts[-1]
        self._scenes.judged(drill, verdict)
        return verdict.answer, decisive(verdict), {"verdict": verdict.answer.value}

    def _side_by_side(self, place: str, step: Step) -> Came:
        """Each branch in a thread of its own; what ends the day in one ends it."""
        self._scenes.on()
        stops: list[BaseException] = []

        def carry_out(branch: int, steps: list[Step]) -> None:
            try:
                for number, one in enumerate(steps, start=1):
                    self._step(f"{place}.{branch}.{number}", one)
            except BaseException as stop:
                stops.append(stop)

        branches = [
            threading.Thread(target=carry_out, args=(number, steps), name=f"branch {place}.{number}")
            for number, steps in enumerate(step.parallel or [], start=1)
        ]
        for branch in branches:
            branch.start()
        with contextlib.suppress(KeyboardInterrupt):
            while any(branch.is_alive() for branch in branches):
                branches[0].join(0.1) if branches[0].is_alive() else time.sleep(0.1)
        for branch in branches:
            branch.join()
        if stops:
            raise stops[0]
        return Answer.PASS, f"{len(branches)} branches came to their end", {}

    def _control(self, command: list[str], place: str, step: Step) -> None:
        if command:
            ok, said, _ = run(command, within_s=30.0, SERVEDRILL_STEP=place, SERVEDRILL_TITLE=step.title)
            if not ok:
                self._record.add(r.Noted(text=f"control: {said}", by="servedrill"))


def _filled(value: Any, outputs: dict[str, dict[str, Any]]) -> Any:
    """With what earlier steps came to in place of ``${name.field}``."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda found: _output(found[1], outputs), value)
    if isinstance(value, dict):
        return {name: _filled(one, outputs) for name, one in value.items()}
    return [_filled(one, outputs) for one in value] if isinstance(value, list) else value


def _output(said: str, outputs: dict[str, dict[str, Any]]) -> str:
    name, _, field = said.partition(".")
    return str(outputs.get(name, {}).get(field, ""))
