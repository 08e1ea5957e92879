"""What judging and drawing a large run costs: 1,000,000 requests within 60 s, 2 GB and a page of 10 MB.

The history is made up: an hour of chats at 280 a second with 17 tokens each, two faults, three engines and two gateways
that are read every 0.2 s. Its prompts are 400 different ones: the oracle that says what the embedded stack has to
answer costs 0.2 ms for each prompt that it has not met, whoever reads the history.

A year of nightly runs, six drills with 30 claims each, has to be listed within a second of CPU time, once its index is
made.

    python bench/report.py [--requests N] [--nights N] [--check] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from servedrill.checkers.answered import ErrorsReadable, NoFailures
from servedrill.checkers.recovery import GoodputRecovers, SloMet
from servedrill.checkers.streaming import StallBounded
from servedrill.history import events as e
from servedrill.oracle.prompts import expand
from servedrill.oracle.tokens import expected_tokens

S = 1_000_000_000
Fault = tuple[str, str, int, int]
"""Kind, target, begin and end in ns."""
LIST_S_MAX = 1.0
CPU_S_MAX, MEMORY_MAX_BYTES, PAGE_MAX_BYTES = 60.0, 2 << 30, 10_000_000


def made_up(requests: int, seed: int = 1) -> Iterator[e.AnyEvent]:
    """The history, in the order of time but for the requests' ends."""
    chance = random.Random(seed)
    rate = 280
    length = requests * S // rate
    faults = [
        ("latency", "engine-0", length // 4, length // 3),
        ("black_hole", "engine-1", length // 2, length * 6 // 10),
    ]
    yield e.DrillStarted(
        t_ns=0,
        drill="large",
        hypothesis="A million requests can be judged.",
        seed=seed,
        wall_time="2026-01-01T00:00:00+00:00",
        stack="made up",
        promises={"model": "m", "tries_max": 3, "default_max_tokens": 128, "pace": 1.0},
    )
    yield from _frame(length, faults)
    yield from _beside(length, rate)
    yield from _requests(requests, rate, faults, chance)
    wanted = (
        NoFailures(window="baseline"),
        SloMet(window="baseline", classes=["chat"]),
        StallBounded(window="broken", stall_s_max=2.0),
        ErrorsReadable(window="broken"),
        GoodputRecovers(after="broken", within_s=5.0),
    )
    for checker in wanted:
        yield checker.expected(length)
    yield e.DrillEnded(t_ns=length + 10 * S)


def _frame(length: int, faults: list[Fault]) -> Iterator[e.AnyEvent]:
    """Windows and faults."""
    for name, start, end in (
        ("baseline", 0, length // 5),
        ("broken", length // 4, length * 6 // 10),
        ("recover", length * 7 // 10, length),
    ):
        yield e.WindowOpened(t_ns=start, window=name)
        yield e.WindowClosed(t_ns=end, window=name)
    for number, (fault, target, start, end) in enumerate(faults):
        lease = f"{fault}-{number}"
        yield e.FaultInjected(t_ns=start, lease=lease, fault=fault, target=target, deadline_ns=end + S)
        yield e.FaultEvidence(t_ns=end - S, lease=lease, took_effect=True, observed=f"{fault} touched {target}")
        yield e.FaultHealed(t_ns=end, lease=lease, proven=True, proof="gone")


def _beside(length: int, rate: int) -> Iterator[e.AnyEvent]:
    """What replicas and the load say of themselves meanwhile."""
    for tick in range(0, length, S // 5):
        for role, names in (("engine", ("engine-0", "engine-1", "engine-2")), ("gateway", ("gateway-0", "gateway-1"))):
            for name in names:
                values = (
                    {"running": 20.0, "waiting": 1.0, "kv_usage": 0.4}
                    if role == "engine"
                    else {"in_flight": 60.0, "queue": 2.0}
                )
                yield e.Sample(t_ns=tick, source=name, role=role, ok=True, values=values, health=200)  # type: ignore[arg-type]
    for tick in range(0, length, S):
        yield e.LoadHealth(
            t_ns=tick,
            worker=0,
            planned=rate,
            sent=rate,
            in_flight=100,
            loop_lags_ms={0: 100},
            send_lags_ms={1: rate},
            cpu_ratio=0.3,
        )


def _prompts() -> list[tuple[str, int, int, str, str]]:
    """Prompt, its tokens, those asked for, the right answer and its end."""
    prompts = []
    for number in range(400):
        prompt = f"w:{number % 8}.64+{number}.{20 + number % 60}"
        tokens = 8 + number % 19
        words, finish = expected_tokens(
            version="v1", prompt=expand(prompt), chat=True, max_tokens=tokens, ignore_eos=True
        )
        prompts.append((prompt, len(expand(prompt).split()) + 2, tokens, "".join(f" {word}" for word in words), finish))
    return prompts


def _requests(requests: int, rate: int, faults: list[Fault], chance: random.Random) -> Iterator[e.AnyEvent]:
    """Chats; those that a fault meets are late, and some of them fail."""
    prompts = _prompts()
    for number in range(requests):
        prompt, prompt_tokens, tokens, text, finish = prompts[number % len(prompts)]
        due = number * S // rate
        sent = due + 300_000
        broken = any(start <= due <= end for _, _, start, end in faults) and chance.random() < 0.2
        served = number % 3
        first = sent + int((0.04 + (1.5 if broken else 0) + chance.expovariate(30)) * 1e9)
        gaps = [int(2e7 * (0.7 + 0.6 * chance.random())) for _ in range(tokens - 1)]
        failed = broken and chance.random() < 0.3
        last = first + sum(gaps)
        end = (first if failed else last) + 100_000
        request = f"large-0-chat-{number:07}"
        common = {
            "t_ns": end, "id": f"chat-{number:07}", "cls": "chat", "route": "chat", "stream": True, "model": "m",
            "prompt": prompt, "prompt_tokens": prompt_tokens, "max_tokens": tokens,
            "params": {"temperature": 0, "ignore_eos": True},
            "t_int_ns": due, "t_send_ns": sent, "t_end_ns": end, "deadline_s": 12.0,
        }  # fmt: skip
        attempt = e.Attempt(
            t_send_ns=sent, t_end_ns=end, address="127.0.0.10:20000", request_id=request, via=f"gateway-{number % 2}",
            status=503 if failed else 200, served_by=None if failed else f"engine-{served}/100",
            error="http_503" if failed else None, retry_after_s=1.0 if failed else None,
        )  # fmt: skip
        if failed:
            yield e.RequestRecord(
                **common, attempts=[attempt], status=503, error_status=503, error_type="overloaded",
                error_message="busy", error_request_id=request, error_schema_ok=True, failure="http_503",
            )  # fmt: skip
        else:
            yield e.RequestRecord(
                **common, t_first_ns=first, t_last_ns=last, gaps_ns=gaps, attempts=[attempt], status=200, texts=[text],
                finish_reasons=[finish], preambles=1, done_frames=1, models=["m"], fingerprints=["v1"],
                completion_tokens=tokens, usage_prompt_tokens=prompt_tokens,
            )  # fmt: skip


def make(folder: Path, requests: int) -> Path:
    """A run's folder with one drill in it."""
    drill = folder / "large"
    drill.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_bytes(msgspec.json.encode({"began": "2026-01-01T00:00:00+00:00", "seed": 1}))
    encode = msgspec.json.Encoder().encode
    with (drill / "history.jsonl").open("wb", buffering=1 << 20) as file:
        for event in made_up(requests):
            file.write(encode(event) + b"\n")
    return folder


_WORK = """
import resource, sys, time
from pathlib import Path
from servedrill.reporting.page import drill_page, write_page
from servedrill.runs.stored import read_run
from servedrill.runs.verdicts import judge_folder
folder = Path(sys.argv[1])
began = time.perf_counter()
verdict = judge_folder(folder / "large")
judged = time.perf_counter()
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
most_judging = most()
run = read_run(folder)
write_page(run, folder / "report.html", [drill_page(drill) for drill in run.drills])
drawn = time.perf_counter()
print(verdict.answer.value, judged - began, drawn - judged, time.process_time(), most_judging, most())
"""


def make_nights(runs: Path, nights: int) -> None:
    """Folders of nightly runs; each history has its first line only, which is all that a list reads."""
    finding = {
        "checker": "Exact",
        "answer": "pass",
        "claim": "Every word is right, in every answer.",
        "observed": "900 answers checked word by word",
    }
    names = ("timeout_spike", "out_of_memory", "node_restart", "gateway_failover", "cancel_storm", "model_hot_swap")
    first = next(made_up(1))
    for night in range(nights):
        began = datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=night)
        folder = runs / f"{began:%Y%m%dT%H%M%S}-{night}"
        verdicts = []
        for name in names:
            verdict = {
                "drill": name, "answer": "fail" if night % 30 == 29 else "pass", "hypothesis": "It holds.",
                "seed": night, "control": False, "defects": [], "findings": [finding] * 30, "detect_s": 1.5,
            }  # fmt: skip
            verdicts.append(verdict)
            (folder / name).mkdir(parents=True)
            (folder / name / "verdict.json").write_bytes(msgspec.json.encode(verdict))
            (folder / name / "history.jsonl").write_bytes(msgspec.json.encode(first) + b"\n")
        (folder / "verdicts.json").write_bytes(msgspec.json.encode(verdicts))
        about = {"began": began.isoformat(), "ended": (began + timedelta(minutes=2)).isoformat(), "seed": night}
        (folder / "run.json").write_bytes(msgspec.json.encode(about))


def list_nights(folder: Path, nights: int) -> float:
    """CPU seconds of `servedrill runs` over a year, the second time."""
    make_nights(folder, nights)
    spent = 0.0
    for time_ in ("first", "second"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [
            sys.executable,
            "-m",
            "servedrill.commands.main",
            "runs",
            "--runs",
            str(folder),
            "--limit",
            str(nights),
            "--json",
        ]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        count = len(json.loads(listed))
        print(f"listed {count} runs, {time_} time: {spent:.2f} s of CPU time, interpreter and imports included")
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is passed")
    parser.add_argument("--keep", type=Path, help="make the run there and leave it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary) / "run"
        began = time.perf_counter()
        make(folder, given.requests)
        size = (folder / "large/history.jsonl").stat().st_size
        print(
            f"made {given.requests:,} requests, {size / 1e6:,.0f} MB, in {time.perf_counter() - began:.1f} s",
            flush=True,
        )
        done = subprocess.run([sys.executable, "-c", _WORK, str(folder)], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        answer, *figures = done.stdout.split()
        judged_s, drawn_s, cpu_s, judging_bytes, most_bytes = map(float, figures)
        page = (folder / "report.html").stat().st_size
        print(f"judged ({answer}) in {judged_s:.1f} s, at most {judging_bytes / 2**20:,.0f} MiB")
        print(f"drawn in {drawn_s:.1f} s, at most {most_bytes / 2**20:,.0f} MiB; page {page / 1e6:.2f} MB")
        print(f"{cpu_s:.1f} s of CPU time in all")
        list_s = list_nights(Path(temporary) / "runs", given.nights)
        passed = list_s < LIST_S_MAX and cpu_s < CPU_S_MAX and most_bytes < MEMORY_MAX_BYTES and page < PAGE_MAX_BYTES
        print(
            json.dumps(
                {
                    "seconds": round(judged_s + drawn_s, 1),
                    "cpu_seconds": round(cpu_s, 1),
                    "bytes": int(most_bytes),
                    "page_bytes": page,
                    "within_limits": passed,
                }
            )
        )
        return 0 if passed or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())
