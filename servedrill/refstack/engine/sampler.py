"""From a state to the next token, with the sampling parameters that the request or the model's defaults give."""

from __future__ import annotations

from servedrill.refstack.config import ModelVersion
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.engine.tokens import draw, ends, hash64


class Sampler:
    """Greedy at temperature 0; else noise that is a function of temperature, seed, choice and position."""

    policy = "sampler"

    def temperature(self, sequence: Sequence, model: ModelVersion) -> float:
        """The request's own, or the default of the model version."""
        asked = sequence.request.temperature
        return model.temperature if asked is None else asked

    def next_token(self, sequence: Sequence, state: int, model: ModelVersion) -> str | None:
        """The next token, or None where the model ends its answer."""
        if sequence.script is not None:
            return sequence.script[sequence.generated] if sequence.generated < len(sequence.script) else None
        if not sequence.request.ignore_eos and sequence.generated > 0 and ends(state):
            return None
        temperature = self.temperature(sequence, model)
        if temperature == 0:
            return draw(state, 0)
        return draw(state, hash64(f"{temperature:g}/{sequence.request.seed}/{sequence.choice}/{len(sequence.tokens)}"))
