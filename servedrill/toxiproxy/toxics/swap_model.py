"""Swap model: the `model` field of every event names another model, as when a canary or a swap mixes up who answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import ClassVar

from servedrill.toxiproxy.http_toxic import HttpToxic
from servedrill.toxiproxy.toxic import HttpStub, toxic
from servedrill.toxiproxy.view import View

_MODEL = re.compile(rb'("model"\s*:\s*)"(?:[^"\\]|\\.)*"')


@toxic("swap_model")
@dataclass(frozen=True, slots=True)
class SwapModel(HttpToxic):
    """`model` is the name that events get."""

    rewrites: ClassVar[bool] = True

    model: str = "swapped"

    def feed(self, stub: HttpStub, data: bytes, stamp: float) -> None:
        view: View = stub.state
        for unit in view.read(data):
            if unit.nth:
                changed = _MODEL.sub(lambda found: found[1] + json.dumps(self.model).encode(), unit.data, count=1)
                if changed != unit.data:
                    stub.hit()
                    stub.evidence.events_changed += 1
                stub.forward(view.event(changed), stamp)
            else:
                stub.forward(view.wire(unit), stamp)
