"""`python -m benchmarks.scripts.dedup_short FILE OUT FOLDER`: the verb alone on Parquet, counting what is dropped."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.near_copies import THRESHOLD, WORDS
from benchmarks.scripts.dedup_synthkit import Bench
from synthkit.actions.dedup import Dedup


class Counting(Bench):
    """Keeps no list of what is dropped, whose texts would be most of the memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gone = 0

    def drop(self, rows: Iterable[str], *_: Any) -> None:
        self.gone += sum(1 for _ in rows)


async def main(source: Path, out: Path, folder: Path) -> None:
    bench = Counting(folder)
    began = time.monotonic()
    kept = 0
    async for batch in Dedup(by="text", threshold=THRESHOLD, words=WORDS).table(pl.scan_parquet(source), bench):  # type: ignore[arg-type]
        kept += batch.num_rows
    out.write_text(json.dumps({"seconds": time.monotonic() - began, "kept": kept, "dropped": bench.gone}))


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
