"""What to do when a checker's claim does not hold: what it means for users, what the cause may be, what can be set.

One table a checker, in a file named as the checker's module. A setting stands there only if it was seen at work or read
in its software's own source or documentation; ``source`` says where. Words of a stack are in no text here, so all of
them may be shown as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.resources import files

import msgspec


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A setting of a software, as it is written there."""

    software: str
    """As `dialect.vendors` names it, where it is a vendor of metrics."""
    setting: str
    does: str
    """Goes on after the setting: ``passes tokens on as they come``."""
    source: str
    """https URL."""
    version: str
    """Of the software that it was seen or read in."""

    @property
    def told(self) -> str:
        """One line: software, setting, what that does."""
        return f"{self.software}: `{self.setting}` {self.does}"


class Cause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be behind it."""

    what: str
    incident: str = ""
    """Where the public could see it: ``vllm#18826``."""


class Remedy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do about one claim."""

    users: str
    """What it means for users."""
    do: str
    """What helps whatever the software is."""
    causes: list[Cause]
    settings: list[Setting] = []
    of_doubt: bool = False
    """Helps also where the claim could not be judged: it is about the drill and its machine."""

    def for_software(self, software: Collection[str]) -> list[Setting]:
        """All settings; those of this software come first."""
        return sorted(self.settings, key=lambda setting: setting.software not in software)

    def short(self, software: Collection[str]) -> str:
        """One line: the first setting of this software, or else what helps anywhere."""
        fitting = (setting.told for setting in self.settings if setting.software in software)
        return next(fitting, self.do)


def remedy_for(checker: str) -> Remedy | None:
    """The remedy of a checker's id; None for one of another package."""
    return all_remedies().get(checker)


@cache
def all_remedies() -> dict[str, Remedy]:
    """Checker's id -> its remedy; read when the first one is asked for."""
    found: dict[str, Remedy] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            found |= msgspec.toml.decode(file.read_bytes(), type=dict[str, Remedy])
    return found
