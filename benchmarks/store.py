"""The store beside bare Lance on the same rows: append, scan, and what a resumed run must find out first.

A resumed run reads ids and input hashes of what is done, then looks every source row up. Bare Lance is the dataset
alone: appends through one open handle, and columns read whole. Each size is a process of its own, so that its peak
memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, run

APPENDED = 100_000
BATCH = 1024
"""Rows of one commit: what a level's committer gathers when an engine is fast."""
LOOKED_UP = 500


def tables(rows: int = 1_000_000) -> Iterator[Figure]:
    """Rows a second and peak memory, `rows` done rows of about 400 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        if rows <= 1_000_000:
            took = json.loads(run("-m", "benchmarks.store", "append", folder, str(APPENDED)).output.splitlines()[-1])
            yield Figure("store, append in commits of 1,024", took["ours"], "rows/s", took["bare"], "bare Lance")
        run("-m", "benchmarks.store", "fill", folder, str(rows))
        scan = json.loads(run("-m", "benchmarks.store", "scan", folder, str(rows)).output.splitlines()[-1])
        yield Figure(f"store, scan of one column, {rows:,} rows", scan["ours"], "rows/s", scan["bare"], "bare Lance")
        took_process = run("-m", "benchmarks.store", "resume", folder, str(rows))
        took = json.loads(took_process.output.splitlines()[-1])
        yield Figure(f"store, resume: {rows:,} done rows opened", took["open"], "s")
        yield Figure("  each row looked up", took["find"] / rows * 1e6, "us")
        yield Figure("  peak memory of the process", took_process.peak / 2**20, "MiB")


def _open(folder: str) -> Any:
    """A run with a source and one row step."""
    from synthkit.core.ids import digest
    from synthkit.core.store import StepLayout
    from synthkit.core.types import Str
    from synthkit.store.run import open_run

    docs = StepLayout("docs", digest("docs"), {"text": Str()})
    answers = StepLayout("answers", digest("answers"), {"answer": Str()}, ("docs",), keeps_id=True)
    store = open_run(Path(folder) / "run", write=True)
    store.describe([docs, answers])
    return store


def _batches(rows: int, column: str) -> Iterator[Any]:
    """Arrow batches with made-up ids, the same at each call."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(1)
    size = 65_536
    for begin in range(0, rows, size):
        count = min(size, rows - begin)
        digits = pa.py_buffer(rng.bytes(16 * count).hex().encode())
        offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * 32)
        ids = pa.StringArray.from_buffers(count, offsets, digits)
        parents = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32)), ids)
        words = pa.array([f"{begin + at} " + "a sentence of some length about the harbour " * 7 for at in range(count)])
        yield pa.record_batch({"_id": ids, "_parents": parents, "_in": ids, column: words})


async def _fill(folder: str, rows: int) -> dict[str, float]:
    store = _open(folder)
    for step, column in (("docs", "text"), ("answers", "answer")):
        await store.table(step).replace(_batches(rows, column), [])
    await store.close()
    return {}


async def _append(folder: str, rows: int) -> dict[str, float]:
    """Both commit the same batches; the store is given rows as plain values, as the executor has them."""
    import lance

    store = _open(folder + "/append")
    table = store.table("answers")
    batches = [batch for big in _batches(rows, "answer") for batch in _cut(big)]
    plain = [batch.to_pylist() for batch in batches]
    began = time.monotonic()
    for each in plain:
        await table.write(each, [])
    ours = rows / (time.monotonic() - began)
    await store.close()
    dataset = None
    began = time.monotonic()
    for batch in batches:
        target = dataset if dataset is not None else f"{folder}/bare.lance"
        dataset = lance.write_dataset(batch, target, schema=batch.schema, mode="append" if dataset else "create")
    return {"ours": ours, "bare": rows / (time.monotonic() - began)}


def _cut(batch: Any) -> list[Any]:
    return [batch.slice(at, BATCH) for at in range(0, batch.num_rows, BATCH)]


async def _scan(folder: str, rows: int) -> dict[str, float]:
    """A column of the step above, as a later step reads it: joined by row position."""
    import lance
    import polars as pl

    store = _open(folder)
    dataset = lance.dataset(str(Path(folder) / "run" / "docs.lance"))
    took: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(3):
        began = time.monotonic()
        count = store.scan("answers", ["text"]).select(pl.col("text").str.len_bytes().sum(), pl.len()).collect()
        took["ours"].append(rows / (time.monotonic() - began))
        assert count["len"].item() == rows
        began = time.monotonic()
        for batch in dataset.to_batches(columns=["_id", "text"]):
            pl.from_arrow(batch)
        took["bare"].append(rows / (time.monotonic() - began))
    await store.close()
    return {name: max(values) for name, values in took.items()}


async def _resume(folder: str, rows: int) -> dict[str, float]:
    store = _open(folder)
    began = time.monotonic()
    snapshot = store.table("answers").snapshot()
    opened = time.monotonic() - began
    assert len(snapshot) == rows
    find = 0.0
    for batch in _batches(rows, "answer"):
        ids = batch.column("_id").to_pylist()
        began = time.monotonic()
        for at in range(0, len(ids), LOOKED_UP):
            assert None not in snapshot.find(ids[at : at + LOOKED_UP])
        find += time.monotonic() - began
    await store.close()
    return {"open": opened, "find": find}


if __name__ == "__main__":
    part = {"append": _append, "fill": _fill, "scan": _scan, "resume": _resume}[sys.argv[1]]
    print(json.dumps(asyncio.run(part(sys.argv[2], int(sys.argv[3])))))
