"""The executor, journal and store on engines that cost nothing, or a modelled time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SPECS, Figure, documents, run

CALLS = 6
"""1 question, 1 request for 4 plans, 4 judgements."""


def zero_latency(sizes: tuple[int, ...] = (10_000, 100_000)) -> Iterator[Figure]:
    """Rows a second, and peak memory, of one call a row; sizes grow tenfold."""
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            source = documents(Path(folder) / f"{rows}.jsonl", rows)
            took = run(*_command("wide", source, Path(folder) / f"run{rows}"))
            peaks.append(took.peak / 2**20)
            yield Figure(f"executor, {rows:,} rows of one call", rows / took.seconds, "rows/s")
            yield Figure(f"  CPU a call, {rows:,} rows", took.cpu / rows * 1e6, "us")
            yield Figure(f"  peak memory, {rows:,} rows", peaks[-1], "MiB", peaks[0], f"{sizes[0]:,} rows", "flat")


def modelled(rows: int = 4000, slots: int = 256, latency: float = 0.2) -> Iterator[Figure]:
    """Share of the ideal throughput of a modelled engine, journal on, and CPU for 1,000 rows."""
    with tempfile.TemporaryDirectory() as folder:
        source = documents(Path(folder) / "documents.jsonl", rows)
        none = documents(Path(folder) / "one.jsonl", 1)
        idle = run(*_command("chain", none, Path(folder) / "start", f"vars.slots={slots}"))
        took = run(*_command("chain", source, Path(folder) / "run", f"vars.slots={slots}", f"vars.latency={latency}"))
        samples = rows * (1 + 4 + 4)
        ideal = samples / slots * latency
        seconds = took.seconds - (idle.seconds - 3 * latency)  # what starting Python and reading one row takes
        name = f"modelled engine, {slots} slots of {latency * 1000:.0f} ms"
        yield Figure(name, ideal / seconds, "of ideal", aim=">= 0.95")
        yield Figure("  CPU for 1,000 rows of 6 calls", (took.cpu - idle.cpu) / rows * 1000, "s", aim="< 3")


def _command(spec: str, source: Path, out: Path, *sets: str) -> list[str]:
    pairs = [f"vars.documents={source}", f"vars.replies={SPECS / 'replies.py'}", *sets]
    arguments = ["-m", "synthkit", "run", str(SPECS / f"{spec}.yaml"), "--out", str(out), "--quiet"]
    return arguments + [part for pair in pairs for part in ("--set", pair)]
