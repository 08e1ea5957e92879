"""The page in a real browser: nothing that a stack says runs, everybody can use everything, the plots are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chromium_page import CHROMIUM, Page, axe_script, chromium
from report_world import EVIL, history, hostile, hostile_verdict, stored, verdict

from servedrill.checkers.finding import Answer
from servedrill.history.history import History
from servedrill.judging.verdict import judge
from servedrill.reporting.page import drill_page, write_page
from servedrill.reporting.pictures import write_pictures

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


def report(folder: Path, **more: Any) -> str:
    run = stored(folder / "run", **more)
    page = folder / "report.html"
    write_page(run, page, [drill_page(drill) for drill in run.drills])
    return page.as_uri()


def seen(look: Callable[[Page], Awaitable[None]]) -> None:
    async def with_a_browser() -> None:
        async with asyncio.timeout(300):
            async with chromium() as page:
                await look(page)

    asyncio.run(with_a_browser())


INK = """(() => [...document.querySelectorAll('canvas')].map(canvas => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    for (let at = 0; at < pixels.length; at += 4) {
        if (pixels[at + 3]) colours.add(pixels[at] << 16 | pixels[at + 1] << 8 | pixels[at + 2]);
    }
    return colours.size;
}))()"""
"""How many colours each canvas has."""


def test_markup_in_every_string_does_no_harm(tmp_path: Path) -> None:
    """No dialog, no console error, no request, no element of its own, and the plots are drawn all the same."""
    url = report(
        tmp_path, drills={"paper": hostile(history())}, verdicts={"paper": hostile_verdict()},
        about={"system": EVIL, "replay": {"paper": EVIL}, "options": {"defects": [EVIL]}},
    )  # fmt: skip

    async def look(page: Page) -> None:
        await page.open(url)
        await page.ask(
            "document.querySelectorAll('details').forEach(one => { one.open = true });"
            "document.querySelectorAll('button').forEach(one => one.click()); 1"
        )
        assert await page.ask("document.querySelectorAll('script').length") == 3
        assert await page.ask("document.querySelectorAll('img, iframe, object').length") == 0
        assert len(await page.ask(INK)) == 9
        assert (page.dialogs, page.complaints) == ([], [])
        assert [one for one in page.requests if not one.startswith("data:")] == [url]

    seen(look)


def test_every_plot_is_drawn_in_light_in_dark_and_on_paper(tmp_path: Path) -> None:
    """With more than a few colours.

    The page is no wider than a phone; zooming zooms; a line can be switched off; paper is light.
    """
    url = report(tmp_path)

    async def look(page: Page) -> None:
        await page.do("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
        await page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        await page.open(url)
        assert await page.ask("document.documentElement.scrollWidth") <= 390
        dark = await page.ask("getComputedStyle(document.body).backgroundColor")
        assert all(colours > 8 for colours in await page.ask(INK))
        await page.ask("document.getElementById('theme').click()")
        assert await page.ask("getComputedStyle(document.body).backgroundColor") != dark
        assert all(colours > 8 for colours in await page.ask(INK))
        table = (
            "(() => { const one = document.querySelector('.as-table'); one.open = true;"
            "return new Promise(done => setTimeout(() => done(one.querySelectorAll('tbody tr').length), 50)) })()"
        )
        whole = await page.ask(table)
        await page.ask(
            "document.querySelector('.as-table').open = false; document.querySelector('.to-fault').click(); 1"
        )
        assert 0 < await page.ask(table) < whole
        assert (
            await page.ask(
                "(() => { const one = document.querySelector('.legend button'); one.click();"
                "return one.getAttribute('aria-pressed') })()"
            )
            == "false"
        )
        await page.do(
            "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
        )
        assert await page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert len((await page.do("Page.printToPDF"))["data"]) > 10_000
        assert page.complaints == []

    seen(look)


def test_pictures_are_made_of_a_run(tmp_path: Path) -> None:
    """The table as SVG that asks nobody for a font; the page as PNG, in light and dark, small enough for a README."""
    made = write_pictures(stored(tmp_path / "run"), tmp_path / "images")
    assert [path.name for path in made] == ["verdicts.svg", "report-light.png", "report-dark.png"]
    table = made[0].read_text()
    assert "paper" in table
    assert "url(" not in table.replace("url(#", "")
    light, dark = (path.read_bytes() for path in made[1:])
    assert light[:8] == dark[:8] == b"\x89PNG\r\n\x1a\n"
    assert light != dark
    assert all(50_000 < len(picture) < 400_000 for picture in (light, dark))


@pytest.mark.skipif(axe_script() is None, reason="no axe-core: npm install axe-core, or AXE_CORE=.../axe.min.js")
def test_axe_finds_no_serious_problem(tmp_path: Path) -> None:
    """Light and wide, dark and narrow; everything opened, every verdict there."""
    script = axe_script()
    assert script is not None
    told = judge(History(history()))
    made = {
        answer.value: msgspec.structs.replace(
            verdict(answer, drill=answer.value), restored=told.restored, spending=told.spending
        )
        for answer in Answer
    }
    url = report(
        tmp_path,
        drills=dict.fromkeys(made, history(seconds=3)),
        verdicts=made,
        about={"options": {"control": True, "defects": ["a:B"]}},
    )

    async def look(page: Page) -> None:
        await page.do("Page.setBypassCSP", enabled=True)
        for scheme, width in (("light", 1280), ("dark", 390)):
            await page.do(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
            )
            await page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            await page.open(url)
            await page.ask("document.querySelectorAll('details').forEach(one => { one.open = true }); 1")
            await page.ask(script.read_text() + "; 1")
            found = await page.ask(
                "axe.run({resultTypes: ['violations']}).then(found => found.violations"
                ".filter(one => ['serious', 'critical'].includes(one.impact))"
                ".map(one => one.id + ' ' + one.nodes[0].html))"
            )
            assert found == [], (scheme, width)

    seen(look)
