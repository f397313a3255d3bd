"""`dedup` against datasketch's index and datatrove's four stages, on the same documents with planted near copies.

All three read JSON lines and tell which documents go. datasketch runs as its documentation shows, but for the bands:
(16, 8) in place of its own choice find more. Its figures are of one core, which is all it uses.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure, run
from benchmarks.near_copies import Planted, Score, score, write, write_short
from benchmarks.peers import python

SCRIPTS = Path(__file__).parent / "scripts"
TIMEOUT = 7200
MB = 1 << 20


@dataclass(frozen=True)
class Result:
    """What one of them took, and how good it was."""

    speed: float
    """Documents a second, imports not counted."""
    cpu: float
    """Microseconds of processor time a document, imports and compiling counted."""
    peak: float
    """MiB, all processes."""
    score: Score


def dedup(rows: int = 100_000, peers: tuple[str, ...] = ("datasketch", "datatrove")) -> Iterator[Figure]:
    """Speed, processor time, recall, precision and memory of each, and of a second run of ours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = write(folder / "documents.jsonl", rows)
        _ours(folder, planted, rows, "warm-up")  # compiles where this machine never did
        theirs = {peer: _peer(folder, planted, rows, peer) for peer in peers}
        ours = _ours(folder, planted, rows, "run")
        again = _ours(folder, planted, rows, "run")
    label = f"dedup, {rows:,} documents of 1.1 KB"
    yield Figure(f"{label}: load of {os.cpu_count()} cores", os.getloadavg()[1], "")
    for peer, other in theirs.items():
        yield Figure(label, ours.speed, "docs/s", other.speed, peer, ">= 50,000")
        if peer != "datatrove":  # its workers are no children of what is waited for
            yield Figure(f"{label}: processor", ours.cpu, "us/doc", other.cpu, peer)
        yield Figure(f"{label}: recall", ours.score.recall, "", other.score.recall, peer, ">= 0.99")
        yield Figure(f"{label}: precision", ours.score.precision, "", other.score.precision, peer, "1.0")
        yield Figure(f"{label}: peak memory", ours.peak, "MiB", other.peak, peer)
    yield Figure(f"{label}, all known", again.speed, "docs/s", ours.speed, "first run")


def million() -> Iterator[Figure]:
    """A million documents; datatrove is left out, which takes ten minutes and more."""
    yield from dedup(1_000_000, ("datasketch",))


def _ours(folder: Path, planted: list[Planted], rows: int, name: str) -> Result:
    arguments = ["-m", "benchmarks.scripts.dedup_synthkit"]
    return _result(folder, planted, rows, arguments, folder / name)


def _peer(folder: Path, planted: list[Planted], rows: int, peer: str) -> Result:
    arguments = [str(SCRIPTS / f"dedup_{peer}.py")]
    return _result(folder, planted, rows, arguments, folder / peer, python(peer))


def _result(
    folder: Path, planted: list[Planted], rows: int, arguments: list[str], place: Path, interpreter: Path | None = None
) -> Result:
    source, out = folder / "documents.jsonl", folder / "out.json"
    more = {"python": interpreter} if interpreter else {}
    process = run(*arguments, str(source), str(out), str(place), timeout=TIMEOUT, tree=True, **more)
    told = json.loads(out.read_text())
    found = score(planted, set(told["dropped"]))
    return Result(rows / told["seconds"], process.cpu / rows * 1e6, process.peak / MB, found)


def ten_million(rows: int = 10_000_000) -> Iterator[Figure]:
    """Rows of 20 words: time, memory and disk of a first run, and of a second one that knows all texts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_short(folder / "short.parquet", rows)
        label = f"dedup, {rows:,} rows of 20 words"
        for which in ("first run", "all known"):
            places = [str(folder / each) for each in ("short.parquet", "out", "run")]
            process = run("-m", "benchmarks.scripts.dedup_short", *places, timeout=TIMEOUT)
            told = json.loads((folder / "out").read_text())
            yield Figure(f"{label}, {which}", rows / told["seconds"], "docs/s")
            yield Figure(f"{label}, {which}: peak memory", process.peak / MB, "MiB")
        size = sum(file.stat().st_size for file in (folder / "run").rglob("*") if file.is_file())
        yield Figure(f"{label}: disk", size / rows, "bytes/row")
