"""What the embedded engine costs: token events emitted for each second of CPU, API server and core together.

    python bench/engine.py [--check]

One engine process, every step free (no modelled time), 64 sequences at once; a client in another process reads the
streams. The figure is events over CPU seconds of the engine's own processes, so the client's work does not count.
``--check`` fails below 10,000.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from servedrill.host.launch import tied
from servedrill.host.ports import free_ports
from servedrill.host.processes import children

STREAMS = 64
TOKENS = 400
TARGET_EVENTS_PER_CPU_S = 10_000


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def read_streams(url: str) -> int:
    """Read all streams to their end; the number of content events."""

    async def one(session: aiohttp.ClientSession, seed: int) -> int:
        body = {
            "model": "v1",
            "prompt": f"bench {seed}",
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
        }
        async with session.post(f"{url}/v1/completions", json=body) as response:
            return (await response.read()).count(b'"text":" ')

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return sum(await asyncio.gather(*(one(session, seed) for seed in range(STREAMS))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help=f"exit 1 below {TARGET_EVENTS_PER_CPU_S:,} events a CPU second"
    )
    check = parser.parse_args().check
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "stack.json"
        config.write_text(
            json.dumps(
                {
                    "engines": [{"name": "engine-0", "port": port}],
                    "gateways": [],
                    "control_port": 0,
                    "alerts_port": 0,
                    "dns_port": 0,
                    "models": [{"version": "v1", "load_s": 0.0}],
                    "costs": {"overhead_s": 0.0, "prefill_s_per_token": 0.0, "decode_s_per_sequence": 0.0},
                    "engine_limits": {"max_num_seqs": STREAMS, "blocks": 4096, "block_bytes": 4096},
                    "log_dir": folder,
                }
            )
        )
        command = tied([sys.executable, "-m", "servedrill.refstack", "--config", str(config), "engine", "engine-0"])
        engine = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            asyncio.run(_ready(url))
            pids = [engine.pid, *children(engine.pid)]
            before, began = [cpu_s(pid) for pid in pids], time.monotonic()
            events = asyncio.run(read_streams(url))
            wall_s = time.monotonic() - began
            used = [cpu_s(pid) - first for pid, first in zip(pids, before, strict=True)]
        finally:
            engine.kill()
            engine.wait()
    rate = events / sum(used)
    print(f"{events} events in {wall_s:.2f} s; CPU: API server {used[0]:.2f} s, core {used[1]:.2f} s")
    against = f"target {TARGET_EVENTS_PER_CPU_S:,}: {rate / TARGET_EVENTS_PER_CPU_S:.2f}x"
    print(f"{rate:,.0f} events a CPU second ({1e6 / rate:.0f} us each); {against}")
    return 1 if check and rate < TARGET_EVENTS_PER_CPU_S else 0


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                async with session.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
    raise TimeoutError("the engine did not get ready")


if __name__ == "__main__":
    sys.exit(main())
