"""Nights in this process: what is told of a session is the same, and hundreds of modules are loaded once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import httpcore  # noqa: F401  # httpx loads it late: in a run, after which pytester would forget it, but httpx not
import pytest
from ci_world import DRILLS, PLUGINS, Ended

import servedrill.plugin.drills
import servedrill.plugin.recorder  # noqa: F401
from servedrill.ci.running import Sessions
from servedrill.commands.main import main
from tests.worlds import nights  # noqa: F401


@pytest.fixture
def night(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """One, in pytester's folder, whose drills come to what the plan says: as `ci_world.night`, but that pytest is no
    process of its own."""

    def in_this_process(self: Sessions, arguments: list[str]) -> int:
        ours = ("-p", "servedrill.plugin", "-p", "no:cacheprovider")
        return int(pytester.runpytest_inprocess(*ours, *arguments, no_reraise_ctrlc=True).ret)

    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(Sessions, "run", in_this_process)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(pytester.path / "locks"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    folder = pytester.mkdir("drills")
    (folder / "test_all.py").write_text("".join(f"def test_{name}(drill): pass\n\n\n" for name in DRILLS))

    def run(plan: dict[str, list[str]], *arguments: str) -> Ended:
        Path("night.json").write_text(json.dumps(plan))
        try:
            status = main(["ci", "drills", *PLUGINS, *arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        said = capsys.readouterr()
        return Ended(pytester.path, status, said.out + said.err)

    return run
