"""The pytest plugin as every test run has it: options and markers, and nothing that takes time.

It defines no fixture, and imports nothing that pytest has not. What makes drills of tests is
`servedrill.plugin.drills`, which is loaded for the first drill or for an option that has to be checked before.

PYTEST_DONT_REWRITE: nothing is asserted in here.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from servedrill.drill.context import Drill
    from servedrill.plugin.drills import DrillPlugin

_NAME = "servedrill-drills"
ELSEWHERE = ("stack", "slo", "arrivals", "runs", "baseline", "seed", "quarantine")
"""Options that the environment and the ini file may say too, see `servedrill.plugin.asked`. What changes the meaning of
a verdict (control, defect, production) is typed each time."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own; those of `ELSEWHERE` have an ini value each."""
    group = parser.getgroup("servedrill", "failure drills")
    group.addoption(
        "--drill-stack", type=_given, metavar="FILE", help="stack file (TOML) to drill; default: the embedded stack"
    )
    group.addoption(
        "--drill-seed",
        type=_seed,
        metavar="N",
        help="seed of every schedule and choice; default: a new one, which is printed",
    )
    group.addoption("--drill-control", action="store_true", help="everything but the faults: has to be green")
    group.addoption(
        "--drill-defect",
        type=_given,
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="start the embedded stack with this policy (module:Class or path.py:Class); repeatable",
    )
    group.addoption(
        "--drill-slo",
        type=_given,
        metavar="FILE",
        help="SLO file (OpenSLO) to judge by instead of the built-in objectives",
    )
    group.addoption(
        "--drill-arrivals",
        type=_given,
        metavar="FILE",
        help="recorded trace (CSV of TIMESTAMP,ContextTokens,GeneratedTokens) by which steady traffic comes",
    )
    group.addoption(
        "--drill-runs", type=_given, metavar="DIR", help="where runs are written (default: .servedrill/runs)"
    )
    group.addoption(
        "--drill-baseline",
        type=_given,
        metavar="RUN",
        help="say in the end what got worse since this run, with the noise taken into account",
    )
    group.addoption(
        "--drill-quarantine",
        type=_given,
        metavar="FILE",
        help="drills and claims that run and are shown, and do not gate until a day (TOML)",
    )
    group.addoption(
        "--drill-production",
        action="store_true",
        help="drill a stack although its file says that its environment is production",
    )
    group.addoption("--drill-no-report", action="store_true", help="write no report.html into the run's folder")
    for name in ELSEWHERE:
        parser.addini(
            f"drill_{name}",
            f"as --drill-{name}, which comes first, then SERVEDRILL_{name.upper()}, then this",
            default=None,
        )


def pytest_configure(config: pytest.Config) -> None:
    """The markers; an option that cannot be used is wrong usage before anything is collected."""
    for marker in (
        "drill_needs(*capabilities): names of protocols of servedrill.stacks.protocols that the stack has to have, "
        "else the drill is skipped",
        "drill_uses(*capabilities): the same, for what the drill leaves out where the stack has it not; a memory limit "
        "(MemoryLimited) is set before the stack starts",
        "drill_catches(*incidents): incident ids whose bugs the drill catches",
    ):
        config.addinivalue_line("markers", marker)
    if any(
        config.getoption(f"drill_{name}") for name in ("defect", "stack", "slo", "baseline", "arrivals", "quarantine")
    ):
        drills_of(config).check()


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """A word of its own for a drill that could not be judged, or is in quarantine; here, as another process may have
    run it."""
    if getattr(report, "drill_quarantined", False):
        return "quarantined", "q", ("QUARANTINED", {"yellow": True})
    if getattr(report, "drill_inconclusive", False):
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist's: a worker is about to start."""
    from servedrill.plugin.workers import Listener, tell_worker

    tell_worker(node)
    config: pytest.Config = node.config
    if not config.pluginmanager.has_plugin(Listener.NAME):
        config.pluginmanager.register(Listener(config, partial(drills_of, config)), Listener.NAME)


def _given(text: str) -> str:
    from servedrill.files.arguments import some_text

    return some_text(text)


def _seed(text: str) -> int:
    from servedrill.files.arguments import seed

    return seed(text)


@contextlib.contextmanager
def open_drill(request: pytest.FixtureRequest) -> Iterator[Drill]:
    """A drill on a stack of its own, for a test; the stack is ended and everything healed afterwards."""
    with drills_of(request.config).open(request.node) as drill:
        yield drill


def drills_of(config: pytest.Config) -> DrillPlugin:
    """What the drills of one pytest session share; it takes part in the session from when it is first asked for."""
    _require_linux()
    from servedrill.plugin.drills import DrillPlugin

    known = config.pluginmanager.get_plugin(_NAME)
    if not isinstance(known, DrillPlugin):
        known = DrillPlugin(config)
        config.pluginmanager.register(known, _NAME)
    return known


def files_asked(config: pytest.Config) -> tuple[str | None, str | None]:
    """The stack file that a session would drill, None for the embedded stack, and the SLO file that it would judge by.
    Raises as `servedrill.plugin.asked`."""
    from servedrill.plugin.asked import asked

    return asked(config, "stack"), asked(config, "slo")


def _require_linux() -> None:
    """Elsewhere the modules that make drills of tests cannot even be loaded: one line, and the exit code of usage."""
    if sys.platform != "linux":
        from servedrill.errors import ExitCode, UsageError
        from servedrill.host.machine import require_machine

        try:
            require_machine()
        except UsageError as error:
            pytest.exit(str(error), returncode=ExitCode.USAGE)
