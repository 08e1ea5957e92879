"""What drawing a year of nights costs, as a ratio to a second: six drills a night, four times each, three changes.

    python bench/trend.py [--nights N] [--check] [--keep FOLDER]

The index is made first, as each night's own `servedrill ci` keeps it up to date. Interpreter and imports are included.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

LIMIT_S = 1.0
DRILLS = ("timeout_spike", "out_of_memory", "node_restart", "gateway_failover", "cancel_storm", "model_hot_swap")


def times(chance: random.Random, night: int, drill: str) -> dict[str, float]:
    """Noise, two changes of level that came with a commit, and one that came with an image."""
    slower = 1.6 if drill == "node_restart" and night >= 120 else 0.0
    slower -= 1.0 if drill == "node_restart" and night >= 260 else 0.0
    late = 0.9 if drill == "gateway_failover" and night >= 200 else 0.0
    recover_s = max(0.1, chance.gauss(1.5, 0.25) + slower)
    return {
        "detect_s": max(0.1, chance.gauss(1.1, 0.12) + late),
        "failover_s": max(0.0, chance.gauss(0.8, 0.2)),
        "recover_s": recover_s,
        "mttr_s": recover_s + chance.gauss(0.5, 0.1),
    }


def spending(chance: random.Random) -> list[dict[str, object]]:
    return [
        {"slo": slo, "target": 0.99, "period_s": 2_592_000.0, "total": 900.0, "bad_ratio": abs(chance.gauss(0, 0.02)),
         "seconds": 20.0}
        for slo in ("chat-availability", "chat-ttft", "code-tpot")
    ]  # fmt: skip


def make(runs: Path, nights: int) -> None:
    """Folders of nightly runs; each history has its first line only, which is all that the index reads."""
    chance = random.Random(7)
    for night in range(nights):
        began = datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=night)
        folder = runs / f"{began:%Y%m%dT%H%M%S}-{night}"
        verdicts = []
        for name in DRILLS:
            answer = "fail" if night % 61 == 60 else "inconclusive" if chance.random() < 0.01 else "pass"
            verdict = {
                "drill": name, "answer": answer, "hypothesis": "It holds.", "seed": night, "control": False,
                "defects": [], "findings": [], "spending": spending(chance), **times(chance, night, name),
            }  # fmt: skip
            verdicts.append(verdict)
            (folder / name).mkdir(parents=True)
            (folder / name / "verdict.json").write_bytes(msgspec.json.encode(verdict))
            started = {
                "type": "drill_started", "t_ns": 0, "drill": name, "hypothesis": "", "seed": night,
                "wall_time": began.isoformat(), "stack": "staging", "promises": {},
            }  # fmt: skip
            (folder / name / "history.jsonl").write_bytes(msgspec.json.encode(started) + b"\n")
        (folder / "verdicts.json").write_bytes(msgspec.json.encode(verdicts))
        about = {
            "began": began.isoformat(), "ended": (began + timedelta(minutes=2)).isoformat(), "seed": night,
            "commit": f"{night // 20:040x}", "images": ["engine:2.1" if night >= 200 else "engine:2.0"],
        }  # fmt: skip
        (folder / "run.json").write_bytes(msgspec.json.encode(about))


def cpu_s(runs: Path, *arguments: str) -> float:
    """Of one `servedrill runs`, the interpreter included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "servedrill.commands.main", "runs", "--runs", str(runs), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--check", action="store_true", help="exit 1 when it takes longer than a second")
    parser.add_argument("--keep", type=Path, help="make the runs there and leave them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = given.keep or Path(temporary) / "runs"
        make(runs, given.nights)
        indexed = cpu_s(runs, "--json", "--limit", "1")
        drawn = min(cpu_s(runs, "--html") for _ in range(3))
        size = (runs / "trend.html").stat().st_size
        print(f"{given.nights} nights: the index made in {indexed:.2f} s, the page in {drawn:.2f} s of CPU time")
        print(json.dumps({"ratio": round(drawn / LIMIT_S, 2), "page_bytes": size, "within_limits": drawn < LIMIT_S}))
        return 0 if drawn < LIMIT_S or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())
