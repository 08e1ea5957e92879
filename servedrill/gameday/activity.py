"""One activity of a Chaos Toolkit experiment, as a command: exit status 0 where it did what it should.

    python -m servedrill.gameday.activity EXPERIMENT method/0

A probe is held against its tolerance. Substitutions (``${name}``) come from the experiment's ``configuration``, which
may name variables of the environment, as chaoslib/configuration.py of chaostoolkit-lib 1.44 does.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from servedrill.control.bounded import call
from servedrill.files.documents import read_documents
from servedrill.gameday.chaostoolkit import FILES
from servedrill.host.output import run_to_end

_SUBSTITUTE = re.compile(r"\$\{([^}]+)\}")
_HTTP_S, _PROCESS_S = 30.0, 600.0


def main(path: Path, place: str) -> int:
    """0, or 1 and a line that says what was seen."""
    documents, mistakes = read_documents(path, FILES)
    if mistakes:
        print(mistakes[0])
        return 1
    activity: Any = documents[0].value
    for step in place.split("/"):
        activity = activity[int(step) if step.isdigit() else step]
    activity = substituted(activity, configuration(documents[0].value.get("configuration") or {}))
    try:
        came, ok = carried_out(activity["provider"])
    except Exception as error:  # whatever a function of somebody's own raises
        print(f"{activity.get('name', place)}: {type(error).__name__}: {error}")
        return 1
    if "tolerance" in activity:
        ok = tolerated(activity["tolerance"], came)
    print(f"{activity.get('name', place)}: {json.dumps(came, default=str)[:500]}")
    return 0 if ok else 1


def configuration(given: dict[str, Any]) -> dict[str, Any]:
    """Name -> value; ``{type: env, key: NAME, default: ...}`` is a variable of the environment."""
    found = {}
    for name, value in given.items():
        if isinstance(value, dict) and value.get("type") == "env":
            found[name] = os.environ.get(str(value.get("key", "")), value.get("default"))
        else:
            found[name] = value
    return found


def substituted(value: Any, names: dict[str, Any]) -> Any:
    """With values in place of ``${name}``; one that is nothing but a name keeps its type."""
    if isinstance(value, str):
        if (whole := _SUBSTITUTE.fullmatch(value)) and whole[1] in names:
            return names[whole[1]]
        return _SUBSTITUTE.sub(lambda found: str(names.get(found[1], found[0])), value)
    if isinstance(value, dict):
        return {key: substituted(one, names) for key, one in value.items()}
    return [substituted(one, names) for one in value] if isinstance(value, list) else value


def carried_out(provider: dict[str, Any]) -> tuple[Any, bool]:
    """What it came to, in Chaos Toolkit's words, and whether it did what it should."""
    if provider["type"] == "http":
        timeout = provider.get("timeout", _HTTP_S)
        more = {"json": provider["arguments"]} if provider.get("arguments") else {}
        timeout_s = float(timeout[-1] if isinstance(timeout, list) else timeout)
        method, url = provider.get("method", "GET"), provider["url"]
        answer = call(method, url, timeout_s=timeout_s, by_proxy=True, headers=provider.get("headers") or {}, **more)
        came = {"status": answer.status_code, "headers": dict(answer.headers), "body": _json_or_text(answer.text)}
        return came, answer.status_code == provider.get("expected_status", answer.status_code)
    if provider["type"] == "process":
        ran = run_to_end(
            [os.path.expanduser(provider["path"]), *_arguments(provider.get("arguments"))],  # noqa: PTH111
            within_s=float(provider.get("timeout") or _PROCESS_S),
        )
        return {"status": ran.status, "stdout": ran.out, "stderr": ran.err}, ran.status == 0 and not ran.met
    function = getattr(importlib.import_module(provider["module"]), provider["func"])
    return function(**(provider.get("arguments") or {})), True


def tolerated(tolerance: Any, came: Any) -> bool:
    """As chaoslib/hypothesis.py: a value, one of several, or a check by name."""
    if isinstance(tolerance, bool) or tolerance is None:
        return bool(came == tolerance)
    if isinstance(tolerance, int | float | str):
        return bool(came == tolerance or (isinstance(came, dict) and came.get("status") == tolerance))
    if isinstance(tolerance, list):
        value = came.get("status") if isinstance(came, dict) and "status" in came else came
        return value in tolerance
    return _checked(tolerance, came)


def _checked(tolerance: dict[str, Any], came: Any) -> bool:
    target = came.get(tolerance["target"]) if isinstance(came, dict) and tolerance.get("target") else came
    match tolerance.get("type"):
        case "regex":
            said = target.get("stdout", target.get("body", "")) if isinstance(target, dict) else target
            return re.search(tolerance["pattern"], str(said)) is not None
        case "range":
            told: Any = target.get("body", target.get("stdout", "nan")) if isinstance(target, dict) else target
            value = float(told)
            low, high = tolerance["range"]
            return bool(low <= value <= high)
        case "probe":
            provider = dict(tolerance["provider"])
            provider["arguments"] = {**(provider.get("arguments") or {}), "value": came}
            result, ok = carried_out(provider)
            return bool(result) and ok
        case other:
            raise ValueError(f"a tolerance of type {other!r}; expected a value, a list, regex, range or probe")


def _arguments(given: Any) -> list[str]:
    if isinstance(given, dict):
        return [str(part) for name, value in given.items() for part in (name, value) if part not in (None, "")]
    return [str(one) for one in given] if isinstance(given, list) else shlex.split(str(given or ""))


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
