"""Which version a request gets that asks for an alias: weights, so that a canary sees a share of the traffic."""

from __future__ import annotations

import random


class Aliases:
    """Alias -> version -> weight; anything else is a name of its own."""

    policy = "aliases"

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.weights: dict[str, dict[str, float]] = {}

    def set(self, weights: dict[str, dict[str, float]]) -> None:
        """Take over the table, whole; what is not in it is gone."""
        self.weights = {alias: {v: w for v, w in versions.items() if w > 0} for alias, versions in weights.items()}

    def versions(self, model: str) -> list[str]:
        """The names that may answer for ``model``: the one drawn by weight first, then the others of the alias."""
        versions = self.weights.get(model)
        if not versions:
            return [model]
        names = list(versions)
        drawn = self.chance.choices(names, weights=[versions[name] for name in names])[0]
        return [drawn, *(name for name in names if name != drawn)]
