"""`python -m benchmarks.scripts.dedup_synthkit FILE OUT FOLDER`: the verb alone, from JSON lines to the ids dropped."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from benchmarks.near_copies import THRESHOLD, WORDS
from synthkit.actions.dedup import Dedup
from synthkit.core.types import ListOf, Str
from synthkit.core.types.arrow import encode


class Bench:
    """As much of a table's context as `dedup` uses."""

    def __init__(self, folder: Path) -> None:
        self.store = self
        self.path = folder
        self.columns = {"text": Str()}
        self.dropped: list[str] = []

    def artifact(self, name: str) -> Path:
        folder = self.path / "artifacts" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def batch(self, records: list[dict[str, Any]]) -> pa.RecordBatch:
        return encode({"_id": Str(), "_parents": ListOf(Str())}, records)

    def drop(self, rows: Iterable[str], *_: Any) -> None:
        self.dropped.extend(rows)


async def main(source: Path, out: Path, folder: Path) -> None:
    scan = pl.scan_ndjson(source).rename({"id": "_id"})
    bench = Bench(folder)
    action = Dedup(by="text", threshold=THRESHOLD, words=WORDS)
    began = time.monotonic()
    kept = 0
    async for batch in action.table(scan, bench):  # type: ignore[arg-type]
        kept += batch.num_rows
    seconds = time.monotonic() - began
    out.write_text(json.dumps({"seconds": seconds, "kept": kept, "dropped": bench.dropped}))


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
