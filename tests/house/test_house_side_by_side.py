"""Which command lines run the tests side by side, and that those which take longest still exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]
TESTS = Path(__file__).parents[1]


@pytest.fixture
def conftest(request: pytest.FixtureRequest) -> Any:
    """The module that is looked at."""
    return request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))


def shared_out(conftest: Any, pytester: pytest.Pytester, *arguments: str) -> tuple[int | None, str]:
    """How many processes, and how the tests are shared out among them."""
    config = pytester.parseconfig("-p", "xdist", *arguments)
    conftest.pytest_cmdline_main(config)
    return config.option.numprocesses, config.option.dist


def test_several_files_are_shared_out_among_processes(
    conftest: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two for each core, up to eight, and one for two files at most; each file stays in one process."""
    monkeypatch.setattr(conftest.os, "sched_getaffinity", lambda _: {0, 1})
    assert shared_out(conftest, pytester, str(TESTS)) == (4, "loadfile")
    assert shared_out(conftest, pytester, *map(str, sorted(TESTS.glob("slo/test_*.py"))[:4])) == (2, "loadfile")
    monkeypatch.setattr(conftest.os, "sched_getaffinity", lambda _: set(range(64)))
    assert shared_out(conftest, pytester, str(TESTS)) == (8, "loadfile")


@pytest.mark.parametrize(
    "given", [["-n0"], ["-n3"], ["-d", "--tx", "popen"], ["--pdb"], ["-s"], ["--collect-only"]], ids=str
)
def test_whoever_says_how_has_it_so(conftest: Any, pytester: pytest.Pytester, given: list[str]) -> None:
    """Workers of one's own choice, a debugger, or output as it comes."""
    config = pytester.parseconfig("-p", "xdist", *given)
    assert shared_out(conftest, pytester, str(TESTS), *given) == (config.option.numprocesses, config.option.dist)


def test_one_file_and_drills_are_run_as_everywhere(conftest: Any, pytester: pytest.Pytester) -> None:
    """Drills measure time: nothing is to run beside them."""
    drills = TESTS.parent / "drills"
    for asked in ([str(Path(__file__))], [f"{__file__}::test_it"], [str(drills)], [str(TESTS), str(drills)], []):
        assert shared_out(conftest, pytester, *asked) == (None, "no")


def test_the_files_that_take_longest_are_there(conftest: Any) -> None:
    """One that was renamed would begin last, and be waited for alone."""
    assert [path for path in conftest._LONGEST if not (TESTS / path).is_file()] == []
