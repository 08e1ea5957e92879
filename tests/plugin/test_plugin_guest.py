"""servedrill as a guest in everybody's pytest, and in every process that imports it: it brings nothing with it that
nobody asked for.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from servedrill import plugin
from servedrill.runs.layout import RUNS


def brought(statement: str, *, before: str) -> set[str]:
    """Modules that a statement loads in a fresh interpreter that has run another one before."""
    code = f"import sys\n{before}\nhad = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - had))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_plugin_brings_options_and_nothing_else() -> None:
    """Beside pytest itself: no other room of servedrill, and not a module of anybody else."""
    plugin = {"servedrill", "servedrill.plugin"}
    assert brought("import servedrill.plugin", before="import pytest") == plugin


def test_what_workers_are_told_takes_little_more() -> None:
    """In a run with pytest-xdist the controller gives its workers seed and folder, whether they have drills or not."""
    more = brought("import servedrill.plugin.workers", before="import pytest, xdist.plugin, servedrill.plugin")
    told = {"secrecy", "secrecy.forms", "secrecy.known"}  # errors lose their secrets where they are made
    rooms = {"plugin.workers", "plugin.asked", "errors", "runs", "runs.layout", *told}
    assert more - {f"servedrill.{name}" for name in rooms} <= {"secrets", "hmac", "_hmac", "datetime", "_datetime"}


def test_the_help_names_the_folder_of_runs() -> None:
    """In words of its own, as the room that has the name is not loaded for it."""
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    (runs,) = (option for option in parser.getgroup("servedrill").options if "--drill-runs" in option.names())
    assert f"(default: {RUNS})" in runs.attrs()["help"]


@pytest.mark.parametrize("before", ["", "import pytest"])
def test_the_package_itself_is_empty(before: str) -> None:
    """Every helper process imports it."""
    assert brought("import servedrill", before=before) - {"__future__"} == {"servedrill"}


@pytest.mark.parametrize(("doubtful", "word"), [(True, "inconclusive"), (False, None)])
def test_a_doubt_keeps_its_word_where_another_process_ran_the_drill(doubtful: bool, word: str | None) -> None:
    """As with pytest-xdist, whose controller sees reports and no drill."""
    report = pytest.TestReport("it", ("it.py", 1, "it"), {}, "skipped", None, "call")
    if doubtful:
        report.drill_inconclusive = True
    sent = pytest.TestReport._from_json(report._to_json())
    status = plugin.pytest_report_teststatus(sent)
    assert (status and status[0]) == word
