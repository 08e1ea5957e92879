"""Whose settings to name first, and of which findings: remedies as reports show them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from servedrill.checkers.finding import Answer, Finding
from servedrill.errors import UsageError
from servedrill.judging.verdict import Verdict
from servedrill.remedies.remedy import Remedy, remedy_for
from servedrill.runs.layout import STACK
from servedrill.runs.written import read_written

_PROGRAMS = {
    "envoy": "Envoy", "haproxy": "HAProxy", "kubectl": "Kubernetes", "litellm": "LiteLLM", "llama-server": "llama.cpp",
    "nginx": "nginx", "sglang-router": "SGLang router", "vllm": "vLLM", "vllm-router": "vllm-router",
}  # fmt: skip
"""Program -> its software. What has a metrics page says so itself; most gateways have none."""


def remedy_of(finding: Finding) -> Remedy | None:
    """What to do about a finding; None where nothing is refuted, or nobody knows."""
    remedy = remedy_for(finding.checker)
    if remedy is None or finding.declared:
        return None
    helps = finding.answer is Answer.FAIL or (finding.answer is Answer.INCONCLUSIVE and remedy.of_doubt)
    return remedy if helps else None


def software_of(verdict: Verdict, stack: dict[str, Any]) -> frozenset[str]:
    """What the stack is made of: by its metrics, and by the programs that it says it starts."""
    return frozenset(verdict.software) | {_PROGRAMS[name] for name in map(_program, _words(stack)) if name in _PROGRAMS}


def described(folder: Path, drill: str) -> dict[str, Any]:
    """The stack of a drill as it described itself, below a run's folder or in the drill's own; empty where it did
    not."""
    for path in (folder / drill / STACK, folder / STACK):
        try:
            return read_written(path, dict[str, Any], expected="a mapping", hint="")
        except (OSError, ValueError, UsageError):  # ValueError: a drill whose name no file can have
            continue
    return {}


def _program(word: str) -> str:
    return PurePath(word.partition(":")[0]).name.lower()


def _words(stack: dict[str, Any]) -> Iterator[str]:
    """First words of commands and hooks, and images, wherever the file has them."""
    for key, value in stack.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _words(one)
        if key == "command" and isinstance(value, list):
            yield from (word for word in value if isinstance(word, str))
        elif key == "image" and isinstance(value, str):
            yield value
        elif key == "hooks" and isinstance(value, dict):
            yield from (str(command).split(" ", 1)[0] for command in value.values())
