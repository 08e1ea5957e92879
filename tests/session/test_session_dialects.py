"""A healthy service is no failure however it talks; the same one broken on purpose is found out, for the right reason.

Whole drills on small servers that talk as well-known services do: the sources say which.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from servedrill.checkers.answered import NoFailures
from servedrill.checkers.finding import Answer
from servedrill.checkers.streaming import StreamsStream
from servedrill.drill.traffic import chat, code
from servedrill.errors import StackError
from servedrill.judging.verdict import Verdict
from servedrill.load.lengths import Uniform
from servedrill.reporting.console import print_summary
from servedrill.reporting.markdown import summary
from servedrill.reporting.page import drill_page, render
from servedrill.runs.about import Options
from servedrill.runs.stored import read_run
from servedrill.session.session import Session
from tests.worlds.speakers import HEALTHY, Speaks, speaking


@pytest.fixture(autouse=True)
def _not_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is a thread of this process, which the tests beside it keep waiting: not looked at here."""
    monkeypatch.setattr("servedrill.stacks.external._on_loopback", lambda file: False)


BROKEN = {
    "streams lose their end": ("no end", "cut"),
    "streams are cut in half": ("half", "cut"),
    "no [DONE] any more": ("no [DONE]", "cut"),
    "two terminal frames": ("done twice", "bad_frame"),
    "two models in one answer": ("two names", "names 2 models"),
    "a stream begins twice": ("role again", "preambles"),
}
"""What is planted, and a word of the reason."""


@contextlib.contextmanager
def session(folder: Path, url: str, more: str = "") -> Iterator[Session]:
    stack = folder / "stack.toml"
    stack.write_text(
        f'kind = "external"\nname = "theirs"\n[external]\nurl = "{url}"\n'
        f'[promises]\nmodel = "m"\noracle = "frames"\nmax_n = 4\n{more}'
    )
    with contextlib.closing(Session(Options(seed=3, stack_file=str(stack), runs=str(folder / "runs")))) as opened:
        yield opened


def drilled(folder: Path, url: str, more: str = "", *, n: Sequence[int] = (1, 2)) -> Verdict:
    """The verdict of a drill that breaks nothing, with answers so long that it shows whether they stream."""
    with session(folder, url, more) as opened:
        with opened.open("talk", hypothesis="It answers.", nodeid="here") as drill:
            few = {"output_tokens": Uniform(4, 24)}
            drill.load(chat(rate=20, n=list(n), **few), code(rate=20, **few))
            drill.baseline(0.8)
            drill.expect(NoFailures(window="baseline"), StreamsStream(window="baseline"))
        return opened.verdicts[0]


@pytest.mark.parametrize("how", [how for how, _ in HEALTHY.values()], ids=HEALTHY)
def test_however_it_talks(how: Speaks, tmp_path: Path) -> None:
    """PASS: nothing of it hurts a client that was told."""
    with speaking(how) as url:
        verdict = drilled(tmp_path, url)
    assert verdict.answer is Answer.PASS, [(f.checker, f.observed) for f in verdict.findings]


def test_a_base_url_as_sdks_take_it(tmp_path: Path) -> None:
    """With /v1 at its end."""
    with speaking(Speaks()) as url:
        assert drilled(tmp_path, f"{url}/v1/").answer is Answer.PASS


@pytest.mark.parametrize(("broken", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_is_found_out(broken: str, reason: str, tmp_path: Path) -> None:
    """It talked well when it was asked, and does so no longer."""
    with speaking(Speaks(broken=broken, after=20)) as url:
        verdict = drilled(tmp_path, url)
    told = [finding.observed for finding in verdict.of(Answer.FAIL)]
    assert any(reason in observed for observed in told), told


def test_streams_in_one_piece_are_found_out(tmp_path: Path) -> None:
    """A hop that collects them (BerriAI/litellm#26102): all else is as it should be."""
    with speaking(Speaks(broken="in one piece", after=0, token_s=0.02)) as url:
        verdict = drilled(tmp_path, url, n=[1])
    told = [(finding.checker, finding.observed) for finding in verdict.of(Answer.FAIL)]
    assert [checker for checker, _ in told] == ["StreamsStream"], told
    assert "streams do not stream: " in told[0][1]


@pytest.mark.parametrize("dialect", ["role in every delta (ollama/ollama#7626)", "no [DONE]", "knows no n"])
def test_what_breaks_in_another_dialect(dialect: str, tmp_path: Path) -> None:
    """What a dialect excuses is no more than the dialect."""
    with speaking(replace(HEALTHY[dialect][0], broken="half", after=20)) as url:
        verdict = drilled(tmp_path, url)
    assert any("cut" in finding.observed for finding in verdict.of(Answer.FAIL))


def test_a_pinned_dialect_is_held_to(tmp_path: Path) -> None:
    """Whoever states it wants to know of a difference."""
    with speaking(Speaks(role="never")) as url:
        verdict = drilled(tmp_path, url, "[dialect]\n")
    assert any("0 preambles, 1 expected" in finding.observed for finding in verdict.of(Answer.FAIL))
    with speaking(Speaks(role="never")) as url:
        assert drilled(tmp_path, url, '[dialect]\nrole = "never"\n').answer is Answer.PASS


def test_streams_that_never_work_are_no_stack_to_drill(tmp_path: Path) -> None:
    """Said before the drill, with what was answered."""
    with speaking(Speaks(refuses=("stream",))) as url:
        with pytest.raises(StackError, match=r"streams do not work, whole answers do: 400 .*stream"):
            drilled(tmp_path, url)


def test_how_it_talks_is_told_everywhere(tmp_path: Path) -> None:
    """In the verdict, on the console, in Markdown and on the page: with whom it trips up."""
    with speaking(Speaks(done=False, role="never")) as url:
        verdict = drilled(tmp_path, url)
    assert [one.what for one in verdict.conformance] == ["delta.role", "[DONE]"]
    run = read_run(tmp_path / "runs" / "latest")
    console = io.StringIO()
    print_summary(Console(file=console, width=200), [verdict], "here")
    page = render(run, [drill_page(drill) for drill in run.drills])
    for told in (console.getvalue(), summary(run).replace("\\", ""), page):
        assert "delta.role" in told
        assert "[DONE]" in told
    assert "A client that reads until" in summary(run)
    assert "A client that reads until" in page
