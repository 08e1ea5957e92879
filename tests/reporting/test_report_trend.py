"""All runs on one page: what it says, that it is safe and readable, and that its index is enough."""

from __future__ import annotations

import random
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from chromium_page import CHROMIUM, Page, axe_script
from report_world import EVIL, run_folder, verdict
from test_report_browser import seen

from servedrill.checkers.finding import Answer
from servedrill.commands.main import main
from servedrill.history import events as e
from servedrill.reporting.trend import write_trend
from servedrill.runs.index import Wanted
from servedrill.slo.spending import Spending

ALL = Wanted(limit=1000)


def nights(runs: Path, count: int, *, name: str = "paper", commit: str = "c", image: str = "i") -> None:
    """Runs of which every tenth fails; from the 20th on recovery takes two seconds longer."""
    chance = random.Random(1)
    for night in range(count):
        day = (date(2026, 1, 1) + timedelta(days=night)).isoformat()
        answer = Answer.FAIL if night % 10 == 9 else Answer.PASS
        told = verdict(answer, drill=name, detect_s=chance.gauss(1, 0.1), recover_s=chance.gauss(1, 0.1))
        told = type(told)(
            **{field: getattr(told, field) for field in told.__struct_fields__}
            | {
                "recover_s": (told.recover_s or 0) + (2.0 if night >= 20 else 0.0),
                "spending": [Spending(slo="chat", target=0.99, period_s=2592000, total=9, bad_ratio=0.1, seconds=9)],
            }
        )
        started = e.DrillStarted(
            t_ns=0, drill=name, hypothesis="", seed=1, wall_time=f"{day}T02:00:00+00:00", stack=f"staging{commit[1:]}",
            promises={},
        )  # fmt: skip
        run_folder(
            runs / f"{day.replace('-', '')}T020000-{night}",
            drills={"drill": [started]},
            verdicts={"drill": told},
            about={
                "began": f"{day}T02:00:00+00:00", "commit": f"{commit}{night // 20}" if night < 20 else commit,
                "images": [image if night < 20 else f"{image}2"],
            },
        )  # fmt: skip


def words(page: Path) -> str:
    """What a reader reads, markup left out."""
    text = re.sub(r"<(style|svg)\b.*?</\1>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_change_is_named_with_what_came_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run, the commit, the image, from what to what; steady times have none; the command says where the page is."""
    runs = tmp_path / "runs"
    nights(runs, 40)
    assert main(["runs", "--runs", str(runs), "--html"]) == 0
    assert capsys.readouterr().out == f"runs over time: {runs}/trend.html\n"
    text = words(runs / "trend.html")
    assert "2026-01-21 with commit c0 to c; image i to i2 (run 20260121T020000-20 )" in text
    assert "drill: recover 1.0 s to 3.0 s worse" in text
    assert "detect 1.0 s to" not in text
    assert "36 of 40 held" in text
    assert text.count("(run ") == 1
    assert "spent in the 30d before the last run" in text


def test_a_page_of_some_runs(tmp_path: Path) -> None:
    """What chooses rows of the list chooses runs of the page; without a limit all."""
    runs = tmp_path / "runs"
    nights(runs, 60)
    command = ["runs", "--runs", str(runs), "--html"]
    for more, count in (([], 60), (["--limit", "3"], 3), (["--until", "2026-01-11"], 10), (["--stack", "none"], 0)):
        assert main([*command, *more]) == 0
        assert f" {count} runs " in words(runs / "trend.html")


def test_controls_and_defects_are_left_out_and_counted(tmp_path: Path) -> None:
    """They say nothing of the stack."""
    runs = tmp_path / "runs"
    nights(runs, 2)
    for name, options in (("a", {"control": True}), ("b", {"defects": ["m:C"]})):
        run_folder(runs / name, about={"options": options})
    write_trend(runs, runs / "trend.html", wanted=ALL)
    text = words(runs / "trend.html")
    assert "2 runs 2 left out" in text


def test_runs_that_did_not_hold_lead_to_their_reports(tmp_path: Path) -> None:
    """From wherever the page is."""
    runs = tmp_path / "runs"
    nights(runs, 10)
    (runs / "20260110T020000-9/report.html").write_text("x")
    (tmp_path / "site").mkdir()
    write_trend(runs, tmp_path / "site/trend.html", wanted=ALL)
    (link,) = re.findall(r'<a href="(\.\.[^"]+)"', (tmp_path / "site/trend.html").read_text())
    assert (tmp_path / "site" / link).read_text() == "x"


def test_a_folder_without_runs_is_a_page_that_says_so(tmp_path: Path) -> None:
    """As on the first day."""
    write_trend(tmp_path, tmp_path / "trend.html", wanted=ALL)
    assert "No run to show yet." in words(tmp_path / "trend.html")


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4."""
    assert main(["runs", "--runs", str(tmp_path), "--html", str(tmp_path / "none/trend.html")]) == 4
    assert "cannot be written" in capsys.readouterr().err


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@needs_browser
def test_markup_in_every_name_does_no_harm_and_a_phone_is_wide_enough(tmp_path: Path) -> None:
    """Nothing runs, nothing is asked for, no script is in it; 390 px hold it."""
    nights(tmp_path / "runs", 30, name=f"paper{EVIL}", commit=f"c{EVIL}", image=f"i{EVIL}")
    write_trend(tmp_path / "runs", tmp_path / "trend.html", wanted=ALL)
    url = (tmp_path / "trend.html").as_uri()

    async def look(page: Page) -> None:
        await page.do("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
        await page.open(url)
        await page.ask("document.querySelectorAll('details').forEach(one => { one.open = true }); 1")
        assert await page.ask("document.querySelectorAll('script, img, iframe, b').length") == 0
        assert await page.ask("document.documentElement.scrollWidth") <= 390
        assert await page.ask("document.querySelectorAll('svg path').length") > 4
        assert (page.dialogs, page.complaints) == ([], [])
        assert [one for one in page.requests if not one.startswith("data:")] == [url]

    seen(look)


@needs_browser
@pytest.mark.skipif(axe_script() is None, reason="no axe-core: npm install axe-core, or AXE_CORE=.../axe.min.js")
def test_axe_finds_nothing(tmp_path: Path) -> None:
    """Light and wide, dark and narrow, everything opened."""
    script = axe_script()
    assert script is not None
    nights(tmp_path / "runs", 40)
    write_trend(tmp_path / "runs", tmp_path / "trend.html", wanted=ALL)

    async def look(page: Page) -> None:
        await page.do("Page.setBypassCSP", enabled=True)
        for scheme, width in (("light", 1280), ("dark", 390)):
            await page.do(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
            )
            await page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            await page.open((tmp_path / "trend.html").as_uri())
            await page.ask("document.querySelectorAll('details').forEach(one => { one.open = true }); 1")
            await page.ask(script.read_text() + "; 1")
            found = await page.ask(
                "axe.run({resultTypes: ['violations']}).then(found => found.violations"
                ".map(one => one.id + ' ' + one.nodes[0].html))"
            )
            assert found == [], (scheme, width)

    seen(look)
