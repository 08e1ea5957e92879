"""What judging a long history costs, beside what it costs only to parse the same file: CPU time a record, memory at
most.

The history is that of bench/report.py. It is judged in a process of its own, and parsed in others: by msgspec, each
line decoded in full, and by DuckDB if it is installed. All run one after the other on one core, so that their ratio
holds on any machine.

    python bench/judge.py [--requests N] [--rounds N] [--check] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import make

MEMORY_MAX_BYTES = 300_000_000
RATIO_MAX = 4.0
"""CPU time of judging to that of decoding every line."""

_MEASURE = """
import sys, time
began = time.process_time()
work(sys.argv[1])
spent = time.process_time() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(spent, int(peak.split()[1]) * 1024)
"""
_JUDGE = """
from pathlib import Path
from servedrill.runs.verdicts import judge_folder
def work(path):
    judge_folder(Path(path).parent)
"""
_MSGSPEC = """
import gc, msgspec
from servedrill.history.events import KnownEvent
def work(path):
    gc.disable()
    decode = msgspec.json.Decoder(KnownEvent).decode
    with open(path, "rb") as lines:
        for line in lines:
            decode(line)
"""
_DUCKDB = """
import duckdb
def work(path):
    told = duckdb.connect(config={"threads": 1})
    told.execute(
        "select cls, count(*), sum(t_end_ns - t_int_ns), max(list_max(gaps_ns)), sum(len(texts[1])) from read_json(?, "
        "format = 'newline_delimited', columns = {cls: 'VARCHAR', t_int_ns: 'BIGINT', t_end_ns: 'BIGINT', "
        "gaps_ns: 'BIGINT[]', texts: 'VARCHAR[]'}) group by cls", [path]
    ).fetchall()
"""


def measured(work: str, path: Path) -> tuple[float, int]:
    """CPU seconds, imports left out, and the most bytes of memory, of a process that does some work on a file."""
    core = {min(os.sched_getaffinity(0))}
    done = subprocess.run(
        [sys.executable, "-c", work + _MEASURE, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
    )
    spent, peak = done.stdout.split()
    return float(spent), int(peak)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="each is done that often in turn; the least counts")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is passed")
    parser.add_argument("--keep", type=Path, help="make the run there, or take what is there, and leave it")
    given = parser.parse_args()
    works = {"judged": _JUDGE, "msgspec": _MSGSPEC}
    if importlib.util.find_spec("duckdb") is not None:
        works["DuckDB"] = _DUCKDB
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        history = folder / "large" / "history.jsonl"
        if not history.is_file():
            make(folder, given.requests)
        print(f"{given.requests:,} requests, {history.stat().st_size / 1e6:,.0f} MB", flush=True)
        costs: dict[str, tuple[float, int]] = {}
        for _ in range(given.rounds):
            for name, work in works.items():
                cost = measured(work, history)
                costs[name] = min(cost, costs.get(name, cost))
        for name, (spent_s, peak) in costs.items():
            print(f"{name:<8}{spent_s / given.requests * 1e6:>7.2f} µs a request{peak / 1e6:>7,.0f} MB", flush=True)
    ratio, memory = costs["judged"][0] / costs["msgspec"][0], costs["judged"][1]
    within = ratio <= RATIO_MAX and memory <= MEMORY_MAX_BYTES
    figures = {name: round(spent_s / given.requests * 1e6, 2) for name, (spent_s, _) in costs.items()}
    print(json.dumps({"us_a_request": figures, "ratio": round(ratio, 2), "bytes": memory, "within_limits": within}))
    return 0 if within or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())
