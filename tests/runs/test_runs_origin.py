"""Which commit and which images a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from servedrill.runs.origin import commit_of, images_of


@pytest.fixture(autouse=True)
def _nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVEDRILL_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA", "SERVEDRILL_IMAGE"):
        monkeypatch.delenv(name, raising=False)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@e", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def test_the_commit_of_the_repository_around_the_folder(tmp_path: Path) -> None:
    """Loose, packed, detached, in a worktree; as `git rev-parse` has it."""
    repository, below = tmp_path / "repository", tmp_path / "repository/drills"
    below.mkdir(parents=True)
    git(repository, "init", "-q")
    assert commit_of(below) == ""
    git(repository, "commit", "-q", "--allow-empty", "-m", "one")
    head = git(repository, "rev-parse", "HEAD")
    assert commit_of(below) == head
    git(repository, "pack-refs", "--all")
    assert commit_of(below) == head
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert commit_of(tmp_path / "tree") == head
    git(repository, "checkout", "-q", "--detach")
    assert commit_of(repository) == head


def test_a_job_says_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody sets comes before what a CI system sets."""
    assert commit_of(tmp_path) == ""
    monkeypatch.setenv("CI_COMMIT_SHA", "c")
    monkeypatch.setenv("GITHUB_SHA", "b")
    assert commit_of(tmp_path) == "b"
    monkeypatch.setenv("SERVEDRILL_COMMIT", "a")
    assert commit_of(tmp_path) == "a"


@pytest.mark.parametrize("content", ["", "gitdir: /nowhere\n", "\x00"])
def test_what_is_no_repository_is_unknown(tmp_path: Path, content: str) -> None:
    """And ends nothing."""
    (tmp_path / ".git").write_text(content)
    assert commit_of(tmp_path) == ""


def test_images_of_the_file_and_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once."""
    assert images_of(["a:1", "a:1"]) == ["a:1"]
    monkeypatch.setenv("SERVEDRILL_IMAGE", "b:2")
    assert images_of(["a:1"]) == ["a:1", "b:2"]
