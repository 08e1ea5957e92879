"""A page in Chromium, over the DevTools protocol: what it asked for, said, and tried to pop up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0",
]  # fmt: skip


def axe_script() -> Path | None:
    """axe-core as npm installs it: where ``AXE_CORE`` says, or in a node_modules folder at the root."""
    places = [os.environ.get("AXE_CORE", ""), str(Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self._loaded = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                if said["id"] in self._waiting:
                    self._waiting.pop(said["id"]).set_result(said)
                continue
            what, details = said["method"], said.get("params", {})
            if what == "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])
            elif what == "Page.javascriptDialogOpening":
                self.dialogs.append(details["message"])
                await self._socket.send_json(
                    {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                )
            elif what == "Runtime.exceptionThrown":
                self.complaints.append(str(details["exceptionDetails"]))
            elif what == "Runtime.consoleAPICalled" or what == "Log.entryAdded":
                self.complaints.append(str(details))
            elif what == "Page.loadEventFired":
                self._loaded.set()

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, 240)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._loaded.clear()
        await self.do("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 240)

    async def ask(self, script: str) -> Any:
        """The value of an expression; a promise's result."""
        said = await self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A browser of its own; ended with the block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank", stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE
        )  # fmt: skip
        try:
            assert process.stderr is not None
            port = 0
            while not port:
                line = (await asyncio.wait_for(process.stderr.readline(), 240)).decode()
                assert line, "chromium ended"
                if "DevTools listening on" in line:
                    port = int(line.split("127.0.0.1:")[1].split("/")[0])
            drain = asyncio.create_task(process.stderr.read())
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://127.0.0.1:{port}/json") as response:
                    tab = next(tab for tab in await response.json() if tab["type"] == "page")
                async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.do(f"{domain}.enable")
                    yield page
                    await page.close()
            process.kill()
            await drain
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
