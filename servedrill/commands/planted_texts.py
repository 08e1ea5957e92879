"""What ``servedrill init`` writes into somebody's repository."""

from __future__ import annotations

import ast
import json
from datetime import date

from servedrill._version import __version__
from servedrill.files.shipped import shipped_drill, shipped_files
from servedrill.stacks.file import StackFile
from servedrill.stacks.promising import MARK

IGNORED = ".servedrill/"
SLO_TTFT_S, SLO_TPOT_S = 0.8, 0.05
"""What users are promised until somebody has measured: as the objectives that are built in."""

CONFTEST = '''"""Drills run when they are asked for, `pytest drills`: a plain `pytest` leaves them alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from servedrill.fixtures.drill import drill

__all__ = ["drill"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked_for = config.inipath is not None and config.inipath.parent == Path(__file__).parent
    return None if asked_for or config.getoption("drill_stack") else True
'''

INI = """# Read by `pytest drills`; paths are relative to this file.
[pytest]
drill_stack = ../stack.toml
drill_slo = ../slo.toml
"""

OWN = '''"""A drill of your own: change it. `servedrill files` lists others, docs/drills.md says what may be claimed."""

from __future__ import annotations

from servedrill import Drill, NoFailures, SloMet, StreamsStream, burst, chat


def test_a_busy_minute(drill: Drill) -> None:
    """While twice the usual number of people come at once, whoever was there before is served as promised."""
    drill.load(chat(rate=6))
    drill.baseline(3.0)
    drill.send(burst(drill.promises.slots // 2, over_s=1.0, name="more", output_tokens=32), window="busy")
    drill.recover(3.0)

    drill.expect(
        NoFailures(window="baseline", requests_min=5),
        StreamsStream(window="baseline"),
        NoFailures(window="busy", classes=["chat", "more"], requests_min=3),
        SloMet(window="recover", classes=["chat"], requests_min=5),
    )
'''

GITHUB = """# Failure drills against the stack of stack.toml, which has to be reachable from here.
name: drills
on:
  workflow_dispatch:
  schedule:
    - cron: "17 3 * * 2"
jobs:
  drills:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "servedrill=={version}"
      - run: pytest drills{env}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: drills
          path: .servedrill/runs
          include-hidden-files: true
"""

GITLAB = """# Failure drills against the stack of stack.toml, which has to be reachable from here.
# In .gitlab-ci.yml:   include: { local: .gitlab/drills.yml }
drills:
  image: python:3.12
  timeout: 30 minutes
  rules:
    - if: $CI_PIPELINE_SOURCE == "schedule"
    - when: manual
      allow_failure: true
  script:
    - pip install "servedrill=={version}"
    - pytest drills
  artifacts:
    when: always
    paths: [.servedrill/runs]
"""


def texts(file: StackFile, *, software: str, ci: str, gitignore: str | None) -> dict[str, str]:
    """Path -> text. ``ci``: github, gitlab or empty; ``gitignore``: what stands there, None where it is not wanted."""
    found = {
        "stack.toml": stack_text(file, software=software),
        "slo.toml": slo_text(),
        "drills/conftest.py": CONFTEST,
        "drills/pytest.ini": INI,
        "drills/test_shipped.py": shipped_text(),
        "drills/test_own.py": OWN,
    }
    if ci == "github":
        key = file.api_key_env
        env = f"\n        env:\n          {key}: ${{{{ secrets.{key} }}}}" if key else ""
        found[".github/workflows/drills.yml"] = GITHUB.replace("{version}", __version__).replace("{env}", env)
    if ci == "gitlab":
        found[".gitlab/drills.yml"] = GITLAB.replace("{version}", __version__)
    if gitignore is not None and IGNORED not in gitignore.split():
        lines = [*gitignore.splitlines(), "# runs of servedrill", IGNORED]
        found[".gitignore"] = "\n".join(lines) + "\n"
    return found


def stack_text(file: StackFile, *, software: str) -> str:
    """A stack file with a comment for whatever is not plain."""
    assert file.external is not None and file.promises is not None
    lines = [
        f"# What servedrill drills here: {software or 'a service'} that somebody runs. Yours to change.",
        f"# Made by `servedrill init` {__version__} on {date.today().isoformat()}.",
        "# `servedrill doctor` says what it allows and what not; what every key means: docs/real-stacks.md.",
        "",
        'kind = "external"            # it is running already, and is left as it is',
        f"name = {json.dumps(file.name)}",
        f"environment = {json.dumps(file.environment)}        # local, staging or production",
    ]
    if file.blast_radius:
        lines.append(f"blast_radius = {json.dumps(file.blast_radius)}")
    if file.api_key_env:
        lines.append(f"api_key_env = {json.dumps(file.api_key_env)}      # the variable; the key is written nowhere")
    lines += ["", "[external]", f"url = {json.dumps(file.external.url)}  # where users come in, before /v1"]
    for replica in file.replica:
        lines += ["", "[[replica]]                  # whose metrics are read", f"name = {json.dumps(replica.name)}"]
        lines += [f"role = {json.dumps(replica.role)}", f"url = {json.dumps(replica.url)}"]
        for key in ("metrics", "health", "api_key_env"):
            if value := getattr(replica, key):
                lines.append(f"{key} = {json.dumps(value)}")
        lines += [
            '# listen = "HOST:PORT"       # a fault proxy before it: the gateway has been told to find it there',
            "# [replica.hooks]            # commands with which a drill may break it",
            '# kill = "..."',
            '# restart = "..."',
            '# identity = "..."           # prints another text for each of its lives',
        ]
    if not file.replica:
        lines += ["", "# [[replica]]                # one for each engine and gateway whose metrics can be read"]
        lines += ['# name = "engine-0"', '# role = "engine"', '# url = "http://HOST:PORT"']
    model = json.dumps(file.promises.model)
    lines += [
        "",
        "[promises]                   # what drills hold it to; `servedrill doctor --measure` finds the rest",
        f"model = {model}",
        f"engine_model = {model}",
        'oracle = "frames"            # "recorded", where the same greedy request always has the same answer',
    ]
    return "\n".join(lines) + "\n"


def slo_text() -> str:
    """What users are promised, as OpenSLO has it."""
    parts = [
        "# What users are promised: OpenSLO's objects. `servedrill doctor --measure` fits the values to what it sees;",
        "# without the mark at the end of a line they stay as they are.",
    ]
    for name, title, measure, cls, value in (
        ("chat-ttft", "Chat, time to first token", "ttft_s", "chat", SLO_TTFT_S),
        ("code-tpot", "Code, time per output token", "tpot_s", "code", SLO_TPOT_S),
    ):
        parts.append(
            f"""
[[objects]]
apiVersion = "openslo/v1"
kind = "SLO"
metadata = {{ name = "{name}", displayName = "{title}" }}

[objects.spec]
service = "{cls}"
timeWindow = [{{ duration = "30d", isRolling = true }}]
budgetingMethod = "Occurrences"
objectives = [{{ op = "lte", value = {value}, target = 0.95 }}]  {MARK}: {measure}, not yet

[objects.spec.indicator]
metadata = {{ name = "{name}" }}

[objects.spec.indicator.spec.thresholdMetric]
metricSource = {{ type = "servedrill", spec = {{ measure = "{measure}", class = "{cls}" }} }}"""
        )
    return "\n".join(parts) + "\n"


def shipped_text() -> str:
    """Imports of all drills that come with servedrill: they get better with each upgrade."""
    lines = [
        '"""Drills that come with servedrill; those for which this stack lacks something are skipped, and say why."""',
        "",
    ]
    for path in shipped_files().values():
        if path.match("drills/test_*.py"):
            names = [one.name for one in ast.parse(path.read_text()).body if isinstance(one, ast.FunctionDef)]
            tests = [f"{name} as {name}" for name in names if name.startswith("test_")]
            lines.append(f"from {shipped_drill(path)} import {', '.join(tests)}")
    return "\n".join(lines) + "\n"
