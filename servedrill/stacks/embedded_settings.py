"""What ``[embedded.settings]`` of a stack file may say: the configuration of the embedded stack, without what
servedrill chooses itself."""

from __future__ import annotations

from typing import Any

import msgspec

from servedrill.files.documents import Document
from servedrill.files.mistakes import Mistakes
from servedrill.files.places import Key
from servedrill.refstack.config import ModelVersion, Stack

_ENGINE_BYTES_MAX = 4 << 30
"""What one engine takes at most: it really allocates what its configuration says."""
_WORD_BYTES = 8
_KEY: Key = ("embedded", "settings")
_CHOSEN = {
    "engines": "embedded.engines",
    "gateways": "embedded.gateways",
    "control_port": "embedded.control_port",
    "alerts_port": "embedded.alerts_port",
    "dns_port": "embedded.dns_port",
    "name_port": "embedded.name_port",
    "defects": "--drill-defect",
    "control_host": "",
    "name": "",
    "memory_groups": "",
    "log_dir": "",
}
"""What servedrill chooses -> where it is asked for instead; empty: nowhere."""
MODELS: list[dict[str, Any]] = [
    {"version": "v1"},
    {"version": "v2"},
    {"version": "v2-slow", "slowdown": 2.2},
    {"version": "v2-params", "temperature": 0.2, "max_model_len": 1024},
    {"version": "v2-worse", "accuracy": 0.6},
    {"version": "v2-damaged", "loads": False},
]
"""The registry: the model served, a good successor, and bad ones of every sort that a rollout has to refuse."""


def _settings_type() -> type[msgspec.Struct]:
    fields = [
        (one.name, one.type, msgspec.field(default=one.default))
        for one in msgspec.structs.fields(Stack)
        if one.name not in _CHOSEN and one.name != "models"
    ]
    return msgspec.defstruct(
        "Settings",
        [*fields, ("models", list[ModelVersion], msgspec.field(default_factory=list))],
        kw_only=True,
        forbid_unknown_fields=True,
    )


def check_settings(mistakes: Mistakes, document: Document) -> None:
    """Note everything in the table that the processes of the stack could not work with."""
    given = document.value["embedded"]["settings"]
    free = document.below(_KEY)
    free.value = {name: value for name, value in given.items() if name not in _CHOSEN}
    for name in given.keys() & _CHOSEN.keys():
        expected = _CHOSEN[name] or "no such key: servedrill chooses it"
        mistakes.wrong(document, (*_KEY, name), "is not set here", expected=expected)
    before = len(mistakes.found)
    settings: Any
    settings, _ = mistakes.read(free, _settings_type())
    for number in range(before, len(mistakes.found)):
        found = mistakes.found[number]
        path = f"embedded.settings.{found.path}".rstrip(".")
        mistakes.found[number] = type(found)(found.file, found.position, path, found.what, found.expected, found.hint)
    if before == len(mistakes.found):
        _check_memory(mistakes, document, settings)
    versions = [model.version for model in settings.models] or [str(model["version"]) for model in MODELS]
    if before == len(mistakes.found) and settings.serves not in versions:
        expected = f"one of {', '.join(versions)}"
        mistakes.wrong(document, (*_KEY, "serves"), f"is {settings.serves!r}", expected=expected)


def _check_memory(mistakes: Mistakes, document: Document, settings: Any) -> None:
    """A block holds a word for each of its tokens; all blocks, the largest weights and a step fit into an engine."""
    limits = settings.engine_limits
    least = _WORD_BYTES * limits.block_tokens
    if limits.block_bytes < least:
        key = (*_KEY, "engine_limits", "block_bytes")
        expected = f"{least} at least, for {limits.block_tokens} tokens a block"
        mistakes.wrong(document, key, f"is {limits.block_bytes}", expected=expected)
    weights = max((model.weights_bytes for model in settings.models), default=0)
    step = limits.max_num_batched_tokens * limits.activation_bytes_per_token
    needed = limits.blocks * limits.block_bytes + weights + step
    if needed > _ENGINE_BYTES_MAX:
        expected = f"{_ENGINE_BYTES_MAX >> 30} GiB at most: blocks times block_bytes, the weights, and a step"
        what = f"an engine takes {needed / (1 << 30):.1f} GiB"
        mistakes.wrong(document, (*_KEY, "engine_limits"), what, expected=expected)
