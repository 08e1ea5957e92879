"""The embedded engine beside a real vLLM: the same seeded load on both, what differs, and costs whose times agree.

    python bench/fidelity.py [--vllm FILE] [--keep FILE] [--real FILE] [--write]

Starts one engine of the stack file (default fixtures/data/stacks/vllm.toml, on the CPU) and measures it
(`engine_measures`), then the embedded engine with the limits of like-vllm-cpu.toml and its own default costs, fits the
costs to the real one's times and measures the embedded engine again. Prints the tables, or puts them between the
markers of docs/fidelity.md (``--write``). ``--keep`` stores what was measured of the real engine, ``--real`` takes it
from there.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from engine_measures import Engine, measure, times
from engine_records import Measured, Times

from servedrill.leases.guard import Guard
from servedrill.leases.keeper import StackKeeper
from servedrill.stacks.file import StackFile
from servedrill.stacks.lifecycle import stack_up
from servedrill.stacks.proxies import ProxyTable
from servedrill.stacks.reading import read_stack_file

DOC = Path(__file__).parent.parent / "docs" / "fidelity.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@contextlib.contextmanager
def one_engine(file: StackFile) -> Iterator[Engine]:
    """The first engine of a running stack, reached directly."""
    with tempfile.TemporaryDirectory(prefix="servedrill-") as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            guard = Guard(folder)
            stack.callback(guard.close)
            keeper = StackKeeper(guard)
            stack.callback(keeper.close)
            up = stack.enter_context(
                stack_up(
                    file,
                    folder,
                    on_undo=keeper,
                    defects=[],
                    seed=secrets.randbelow(1 << 31),
                    limit_memory=False,
                )
            )
            engine = next(replica for replica in up.replicas() if replica.role == "engine")
            yield Engine(url=engine.url, model=up.promises.direct_model)


def alone(file: StackFile) -> StackFile:
    """Only the first engine of a stack of commands: no gateway, no name, no proxy."""
    first = next(command for command in file.process if command.role == "engine")
    none = ProxyTable(hops=[])
    return msgspec.structs.replace(file, process=[first], dns=None, proxy=none, weaknesses=[])


def embedded(like: StackFile, costs: dict[str, float]) -> StackFile:
    """One embedded engine with the limits of that file, and these costs."""
    settings = like.embedded.settings | {"costs": costs}
    one = msgspec.structs.replace(like.embedded, engines=1, gateways=1, settings=settings)
    return msgspec.structs.replace(like, embedded=one, proxy=ProxyTable(hops=[]))


def fitted(real: Times) -> dict[str, float]:
    """Least squares: gaps over the number of sequences give overhead and decode.

    First tokens over the prompt's length give prefill and what a request costs.
    """
    decode, overhead = statistics.linear_regression(list(real.itl_s), list(real.itl_s.values()))
    prefill, first = statistics.linear_regression(list(real.ttft_s), list(real.ttft_s.values()))
    return {
        "overhead_s": overhead,
        "prefill_s_per_token": prefill,
        "decode_s_per_sequence": decode,
        "request_s": max(0.0, first - overhead - decode),
    }


def corrected(costs: dict[str, float], real: Times, ours: Times) -> dict[str, float]:
    """Less what the embedded engine takes beyond its costs, which ``ours``, measured with them, tells."""
    itl_s = statistics.median(ours.itl_s[n] - real.itl_s[n] for n in real.itl_s)
    ttft_s = statistics.median(ours.ttft_s[n] - real.ttft_s[n] for n in real.ttft_s)
    less = {"overhead_s": itl_s, "request_s": ttft_s - itl_s}
    return {name: round(max(0.0, seconds - less.get(name, 0.0)), 8) for name, seconds in costs.items()}


def explained(xs: list[int], ys: list[float]) -> float:
    """R²: the share of the variance that a straight line explains."""
    return statistics.correlation(xs, ys) ** 2


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines), ""]


def times_table(real: Times, before: Times, after: Times) -> list[str]:
    """Medians and relative errors."""

    def row(what: str, x: float, y: float, z: float) -> list[str]:
        return [what, f"{x * 1e3:.1f}", f"{y * 1e3:.1f} ({y / x - 1:+.0%})", f"{z * 1e3:.1f} ({z / x - 1:+.0%})"]

    rows = [row(f"TTFT, prompt of {n}", real.ttft_s[n], before.ttft_s[n], after.ttft_s[n]) for n in real.ttft_s]
    rows += [row(f"ITL, {n} running", real.itl_s[n], before.itl_s[n], after.itl_s[n]) for n in real.itl_s]
    return table(["median, ms", "vLLM", "embedded, default costs", "embedded, fitted costs"], rows)


def error(real: dict[int, float], ours: dict[int, float]) -> float:
    """Mean relative error over all points."""
    return statistics.fmean(abs(ours[n] / real[n] - 1) for n in real)


def behaviour_table(real: Measured, ours: Measured) -> list[str]:
    """What both did with the same load."""
    ways = sorted({*real.refusals.answers, *ours.refusals.answers})
    columns = [_behaviour(one, ways, real) for one in (real, ours)]
    return table(["", "vLLM", "embedded"], [[what, theirs, columns[1][what]] for what, theirs in columns[0].items()])


def _behaviour(m: Measured, ways: list[str], real: Measured) -> dict[str, str]:
    """What one did, row by row; ``ways`` in which either answered a crowd, and whatever was asked of the real one."""
    queue, kv, aborts, choices = m.queueing, m.kv, m.aborts, m.choices
    return {
        "queue: TTFT of the first 16, then of the other 20": (
            f"{queue.ttft_s_first_batch * 1e3:.0f}, {queue.ttft_s_queued * 1e3:.0f} ms"
        ),
        "queue: running and waiting at their peak": f"{queue.running_peak:g}, {queue.waiting_peak:g}",
        "queue: first come, first served": "yes" if queue.in_order else "no",
        "KV full: usage at its peak": f"{kv.usage_peak:.1%}",
        "KV full: preemptions": f"{kv.preemptions:g}",
        "KV full: whole answers": f"{kv.finished} of {kv.sent}",
        "KV full: tokens counted, received": f"{kv.generated:g}, {kv.received}",
        "KV full: all done, longest standstill": f"{kv.end_s:.1f} s, {kv.stall_s_max:.2f} s",
        "abort: cancelled, counted as abort": f"{aborts.cancelled} of {aborts.sent}, {aborts.counted_as_abort:g}",
        "abort: running, waiting and KV at 0 after": f"{aborts.idle_after_s * 1e3:.0f} ms",
        "three choices: requests counted, tokens counted, received": (
            f"{choices.requests:g}, {choices.tokens:g}, {choices.received}"
        ),
        "abort: tokens generated, received": f"{aborts.generated:g}, {aborts.received}",
        **{f"90 at once: {how}": str(m.refusals.answers.get(how, 0)) for how in ways},
        **{what: m.refusals.bad[what] for what in real.refusals.bad},
        **{f"finish: {what}": m.frames.finish[what] for what in real.frames.finish},
    }


def frames_table(real: Measured, ours: Measured) -> list[str]:
    """Frames of a stream in their order, and fields that only one has."""
    rows = [
        [what, " · ".join(real.frames.streams[what]), " · ".join(ours.frames.streams[what])]
        for what in real.frames.streams
    ]
    for where in sorted({*real.frames.fields, *ours.frames.fields}):
        theirs, own = set(real.frames.fields.get(where, [])), set(ours.frames.fields.get(where, []))
        if theirs != own:
            rows.append([f"{where}: only here", ", ".join(sorted(theirs - own)), ", ".join(sorted(own - theirs))])
    rows += [
        [f"header {name}", real.frames.headers[name], ours.frames.headers[name]]
        for name in real.frames.headers
        if real.frames.headers[name] != ours.frames.headers[name]
    ]
    rows.append(["error object", *(", ".join(sorted(m.refusals.error)) for m in (real, ours))])
    return table(["", "vLLM", "embedded"], rows)


def names_table(real: Measured, ours: Measured) -> list[str]:
    """Metrics that both have in different form, and those that one lacks."""
    theirs, own = real.names.metrics, ours.names.metrics
    both = sorted(theirs.keys() & own.keys())
    same = [name for name in both if theirs[name] == own[name]]
    rows = [[name, shortened(theirs[name]), shortened(own[name])] for name in both if name not in same]
    missing, more = sorted(theirs.keys() - own.keys()), sorted(own.keys() - theirs.keys())
    return [
        f"The same on both in name, type, labels and their values ({len(same)}): {listed(same)}.",
        "",
        *(table(["differs", "vLLM", "embedded"], rows) if rows else []),
        f"Only on vLLM's page ({len(missing)}): {listed(missing)}.",
        "",
        f"Only on the embedded engine's ({len(more)}): {listed(more)}.",
        "",
    ]


def listed(names: list[str]) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def shortened(form: str) -> str:
    """The form of a metric, with many labels counted instead of named."""
    kind, _, labels = form.partition("(")
    count = labels.count(",") + 1
    return form if count <= 6 else f"{kind} with {count} labels"


def page(real: Measured, before: Times, after: Measured, costs: dict[str, float]) -> str:
    """All tables."""
    t = real.times
    first = [error(t.ttft_s, one.ttft_s) for one in (before, after.times)]
    gaps = [error(t.itl_s, one.itl_s) for one in (before, after.times)]
    fit = ", ".join(f"`{name} = {value:.3g}`" for name, value in costs.items())
    by_prompt, by_batch = (explained(list(points), list(points.values())) for points in (t.ttft_s, t.itl_s))
    return "\n".join(
        [
            "### Times",
            "",
            *times_table(t, before, after.times),
            f"Mean relative error of TTFT: {first[0]:.0%} with default costs, {first[1]:.0%} with fitted ones; "
            f"of ITL: {gaps[0]:.0%} and {gaps[1]:.0%}.",
            "",
            f"The fit: {fit}. A line explains {by_prompt:.1%} of the variance of TTFT over the prompt's length, "
            f"and {by_batch:.1%} of that of ITL over the sequences.",
            "",
            "### Behaviour",
            "",
            *behaviour_table(real, after),
            "### Frames",
            "",
            *frames_table(real, after),
            "### Metrics",
            "",
            *names_table(real, after),
        ]
    )


def main() -> int:
    """Measure, fit, measure again, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    root = Path(__file__).parent.parent
    parser.add_argument("--vllm", type=Path, default=root / "fixtures/data/stacks/vllm.toml", metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="store what was measured of the real engine")
    parser.add_argument("--real", type=Path, metavar="FILE", help="take it from there instead of measuring")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOC.name}")
    args = parser.parse_args()
    like = read_stack_file(root / "fixtures/data/stacks/like-vllm-cpu.toml")
    if args.real:
        real = msgspec.json.decode(args.real.read_bytes(), type=Measured)
    else:
        with one_engine(alone(read_stack_file(args.vllm))) as engine:
            real = measure(engine)
    if args.keep:
        args.keep.write_bytes(msgspec.json.encode(real))
    with one_engine(embedded(like, {})) as engine:
        before = times(engine, rounds=1)
    costs = fitted(real.times)
    with one_engine(embedded(like, costs)) as engine:
        costs = corrected(costs, real.times, times(engine, rounds=2))
    with one_engine(embedded(like, costs)) as engine:
        after = measure(engine)
    tables = page(real, before, after, costs)
    if not args.write:
        print(tables)
        return 0
    text = DOC.read_text()
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    DOC.write_text(f"{head}{BEGIN}\n\n{tables}{END}{tail}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
