"""Pictures of a run for a README or a slide: the terminal's table as SVG, the page as PNG in light and dark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from servedrill.errors import UsageError
from servedrill.host.launch import tied
from servedrill.reporting.console import summary_table
from servedrill.reporting.page import drill_page, write_page
from servedrill.reporting.shown import showing
from servedrill.runs.stored import StoredRun

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1.15",
)  # fmt: skip
_SCHEMES = {"light": 1, "dark": 0}
"""Blink's numbers for what a user prefers."""
_ONLY = ".drill > :not(.drill-head, .hypothesis, .zoom, .lanes, .plots) { display: none !important; }"
"""The verdicts and the first plots: what fits one picture."""
_HEIGHT = 1150
_BROWSER_S_MAX = 60
_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)
"""Rich's picture asks a server for its font."""


def write_pictures(run: StoredRun, folder: Path) -> list[Path]:
    """verdicts.svg, report-light.png, report-dark.png. Raises `UsageError` where there is no Chromium."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "verdicts.svg"
    table.write_text(table_svg(run), encoding="utf-8")
    return [table, *_page_pictures(run, folder)]


def table_svg(run: StoredRun, *, width: int = 132) -> str:
    """What the terminal shows in the end."""
    with Path("/dev/null").open("w") as nowhere:
        console = showing(
            Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
        )
        console.print(summary_table([drill.verdict for drill in run.drills]))
    return _FONT.sub("", console.export_svg(title="pytest drills", unique_id="servedrill"))


def _page_pictures(run: StoredRun, folder: Path) -> list[Path]:
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise UsageError(
            "no browser to draw with",
            where=str(folder),
            expected="chromium on the PATH",
            hint="apt-get install chromium",
        )
    made = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        page = Path(temporary) / "report.html"
        write_page(run, page, [drill_page(drill) for drill in run.drills], more_style=_ONLY)
        for scheme, number in _SCHEMES.items():
            picture = folder / f"report-{scheme}.png"
            command = [
                browser, *_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []),
                f"--user-data-dir={temporary}/{scheme}",
                f"--blink-settings=preferredColorScheme={number}",
                f"--window-size=1280,{_HEIGHT}", "--virtual-time-budget=2000", f"--screenshot={picture}", page.as_uri(),
            ]  # fmt: skip
            try:
                done = subprocess.run(tied(command), capture_output=True, timeout=_BROWSER_S_MAX)
            except subprocess.TimeoutExpired:
                raise UsageError(f"the browser took more than {_BROWSER_S_MAX} s", where=browser) from None
            if done.returncode or not picture.is_file():
                last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
                raise UsageError(f"the browser drew nothing: {last}", where=browser)
            made.append(picture)
    return made
