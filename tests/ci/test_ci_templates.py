"""The GitHub action and the GitLab component: their shells run, and no run is cancelled in mid-fault."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ci_world import DRILLS, PLUGINS, ROOT, environment

pytest_plugins = ["pytester"]

CI = ROOT / "fixtures/data/ci"
ACTION: Any = yaml.safe_load((CI / "github/action.yml").read_text())
WORKFLOW: Any = yaml.safe_load((CI / "github/workflow.yml").read_text())
SPEC, COMPONENT = yaml.safe_load_all((CI / "gitlab/template.yml").read_text())
(JOB,) = COMPONENT.values()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with drills, and a pip on the PATH that notes what it is asked for."""
    (tmp_path / "drills").mkdir()
    (tmp_path / "drills/test_all.py").write_text("".join(f"def test_{name}(drill): pass\n\n\n" for name in DRILLS))
    (tmp_path / "night.json").write_text(json.dumps({"storm": ["inconclusive", "pass"], "swap": ["fail"]}))
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    python.write_text('#!/bin/sh\necho "$*" >> "$PIPS"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def shell(folder: Path, script: str, **variables: str) -> int:
    """As both systems run it: a shell that ends with the first command that fails."""
    found = environment(folder, **variables, PIPS=str(folder / "pips"))
    found["PATH"] = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=found, timeout=300, check=False, capture_output=True).returncode


def test_the_steps_of_the_action_run(job: Path) -> None:
    """Inputs come as variables; the verdict is an output; the page of all runs is there; earlier runs are kept."""
    given = {"drills": f"drills {' '.join(PLUGINS)} -p no:cacheprovider", "quarantine": "q.toml", "requirement": "x==1"}
    (job / "q.toml").write_text("# nothing\n")
    inputs = {name: given.get(name, one["default"]) for name, one in ACTION["inputs"].items()}
    statuses = {}
    for step in ACTION["runs"]["steps"]:
        if "run" in step:
            variables = {
                name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: inputs[match[1]], value)
                for name, value in step.get("env", {}).items()
            }
            assert "${{" not in step["run"], "what people give is no part of a shell's text"
            outputs = str(job / f"outputs-{step.get('id', 'none')}")
            statuses[step["name"]] = shell(
                job, step["run"], **variables, GITHUB_OUTPUT=outputs, GITHUB_ACTIONS="true"
            )  # fmt: skip
    assert list(statuses.values()) == [0, 1, 0]
    assert (job / "pips").read_text() == "-m pip install --quiet x==1\n"
    said = dict(line.split("=", 1) for line in (job / "outputs-drills").read_text().splitlines())
    assert (said["verdict"], said["budget_left"]) == ("red", "")
    told = {re.findall(r"steps\.drills\.outputs\.(\w+)", one["value"])[0] for one in ACTION["outputs"].values()}
    assert told == set(said)
    assert (job / ".servedrill/ci/trend.html").is_file()
    assert json.loads((job / ".servedrill/runs/latest/run.json").read_text())["options"]["quarantine"] == "q.toml"


def test_the_job_of_the_component_runs(job: Path) -> None:
    """The same for GitLab, whose inputs are put in before anything runs."""
    given = {"drills": f"drills {' '.join(PLUGINS)} -p no:cacheprovider", "requirement": "x==1"}
    inputs = {name: given.get(name, one.get("default", "")) for name, one in SPEC["spec"]["inputs"].items()}
    variables = {
        name: re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda match: inputs[match[1]], value)
        for name, value in JOB["variables"].items()
    }
    assert shell(job, "\n".join([*JOB["before_script"], *JOB["script"]]), **variables) == 1
    assert shell(job, "\n".join(JOB["after_script"]), **variables) == 0
    for path in (JOB["artifacts"]["reports"]["junit"], JOB["artifacts"]["reports"]["dotenv"]):
        assert (job / path).is_file()
    outputs = (job / JOB["artifacts"]["reports"]["dotenv"]).read_text()
    said = set(re.findall(r"^(\w+)=", outputs, flags=re.MULTILINE))
    assert said == set(re.findall(r"DRILLS_\w+", (CI / "gitlab/pipeline.yml").read_text()))


def test_no_run_is_cancelled_in_mid_fault_and_one_has_a_stack() -> None:
    """A second one waits; a job that is cancelled by hand signals servedrill itself."""
    for name, one in WORKFLOW["jobs"].items():
        assert one["concurrency"]["cancel-in-progress"] is False, name
        assert one["timeout-minutes"] >= 30
    assert (JOB["interruptible"], JOB["resource_group"]) == (False, "servedrill-$[[ inputs.resource ]]")
    drills = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "drills")
    for script in (drills["run"], "\n".join(JOB["script"])):
        assert script.splitlines()[-1].startswith("exec servedrill ci ")


def test_whatever_is_left_is_kept_however_it_ended() -> None:
    """Artifacts and runs, also of a job that was cancelled; their folder is a hidden one."""
    after = [step for step in ACTION["runs"]["steps"] if "save" in step.get("uses", "") or "upload" in str(step)]
    assert len(after) == 2 and all(step["if"] == "always()" for step in after)
    assert after[1]["with"]["include-hidden-files"] is True
    assert JOB["artifacts"]["when"] == JOB["cache"]["when"] == "always"


def test_what_is_used_is_pinned() -> None:
    """By the hash of a commit, with its version beside it."""
    for path in sorted(CI.glob("github/*.yml")):
        for line in path.read_text().splitlines():
            if "uses: " in line and "uses: ./" not in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line
