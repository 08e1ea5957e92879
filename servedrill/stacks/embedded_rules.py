"""What the ``[embedded]`` table of a stack file has to be, beyond its shape."""

from __future__ import annotations

from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.stacks.embedded_settings import check_settings
from servedrill.stacks.file import StackFile

_ENGINES_MAX, _GATEWAYS_MAX = 16, 8
_PORTS = ("control_port", "alerts_port", "dns_port", "name_port")


def check_embedded(mistakes: Mistakes, document: Document, file: StackFile) -> dict[str, list[str]] | None:
    """As `servedrill.stacks.kinds.Check`."""
    given = file.embedded
    sizes = {"engines": (1, _ENGINES_MAX), "gateways": (1, _GATEWAYS_MAX)}
    ranges = sizes | dict.fromkeys(_PORTS, (0, 65535))
    beyond = {name for name, (lowest, highest) in ranges.items() if not lowest <= getattr(given, name) <= highest}
    for name in beyond:
        expected = "{} to {}".format(*ranges[name])
        mistakes.wrong(document, ("embedded", name), f"is {getattr(given, name)}", expected=expected)
    if given.settings:
        check_settings(mistakes, document)
    keys: list[Key] = [("embedded",), *(("embedded", name) for name in sizes)]
    if beyond & set(sizes) or any(mistakes.in_doubt(document, key) for key in keys):
        return None
    return given.hop_groups()
