"""The tests side by side, a file in one of several processes: most of their time is waiting for others.

Only where several files are asked for, pytest-xdist is there and nothing on the command line speaks against it: one
file, `-n`, `--dist`, `--pdb` and `-s` are as everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from servedrill.plugin import ELSEWHERE
from servedrill.secrecy.known import KNOWN

_HERE = Path(__file__).parent
_PER_CORE = 2
"""Processes for each core, as one that waits needs none."""
_PROCESSES_MAX = 8
_FILES_EACH = 2
"""Fewer are not worth another process, which takes a second to start."""
_LONGEST = (
    "session/test_session_killed.py",
    "stacks/test_stack_external.py",
    "plugin/test_plugin_runs.py",
    "plugin/test_plugin_session.py",
    "reporting/test_report_session.py",
    "reporting/test_report_browser.py",
    "slo/test_slo_prometheus.py",
    "toxiproxy/test_toxi_cli.py",
    "stacks/test_stack_process.py",
    "slo/test_slo_rules.py",
)
"""They begin first: one that began last would be waited for alone."""

settings.register_profile("side by side", deadline=None)
settings.load_profile("side by side")
"""How long one example takes is a matter of who else runs; what has to be fast has a test that says so."""


def pytest_configure(config: pytest.Config) -> None:
    """A warning is an error here, and not in a user's first run of the drills; nobody's drills are asked for."""
    config.addinivalue_line("filterwarnings", "error")
    for name in ELSEWHERE:
        os.environ.pop(f"SERVEDRILL_{name.upper()}", None)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Says to pytest-xdist, which looks next, what the user has not said."""
    given = config.option
    if getattr(given, "numprocesses", 0) is not None or hasattr(config, "workerinput"):
        return
    if given.dist != "no" or given.distload or given.tx:
        return
    if given.usepdb or given.trace or given.collectonly or given.capture == "no":
        return
    files = _files_asked_for(config)
    processes = min(_PER_CORE * len(os.sched_getaffinity(0)), _PROCESSES_MAX, files // _FILES_EACH)
    if processes > 1:
        given.numprocesses, given.dist, given.loadscopereorder = processes, "loadfile", False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests are shared out, the files that take longest come first; each keeps the order of its own tests."""
    if hasattr(config, "workerinput"):
        first = {_HERE / path: place for place, path in enumerate(_LONGEST)}
        items.sort(key=lambda item: first.get(item.path, len(first)))


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """What one test has to hide stands in no text of the next."""
    yield
    KNOWN.__init__()


def _files_asked_for(config: pytest.Config) -> int:
    """How many files of tests; none where others than these are asked for, too."""
    paths = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    if not all(path.resolve().is_relative_to(_HERE) for path in paths):
        return 0
    return len({file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))})
