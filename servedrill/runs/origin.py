"""What was drilled, and with which drills: the commit of the folder that a run was started in, the stack's images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def commit_of(folder: Path) -> str:
    """What SERVEDRILL_COMMIT says, else what GitHub and GitLab say of their job, else where the Git repository around
    the folder stands; empty where nobody knows."""
    told = os.environ.get("SERVEDRILL_COMMIT") or os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA") or ""
    return told if told else _head(folder)


def images_of(images: Sequence[str]) -> list[str]:
    """Those that the stack's file names, and what SERVEDRILL_IMAGE says: an image, a version, whatever names what
    somebody else has rolled out."""
    told = os.environ.get("SERVEDRILL_IMAGE", "")
    return list(dict.fromkeys([*images, *([told] if told else [])]))


def _head(folder: Path) -> str:
    try:
        git = next((path for above in (folder, *folder.parents) if (path := above / ".git").exists()), None)
        if git is None:
            return ""
        if git.is_file():  # a worktree: ``gitdir: ...``
            git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head if _COMMIT.fullmatch(head) else ""
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
        return _ref(common, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError, ValueError):
        return ""


def _ref(git: Path, ref: str) -> str:
    if (git / ref).is_file():
        found = (git / ref).read_text().strip()
        return found if _COMMIT.fullmatch(found) else ""
    packed = (git / "packed-refs").read_text().splitlines() if (git / "packed-refs").is_file() else []
    return next((line.split(" ")[0] for line in packed if line.endswith(f" {ref}")), "")
