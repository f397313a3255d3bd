"""What the docstring of `dedup` says of memory and disk."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from synthkit.actions.dedup import Dedup

MEASURE = """
import asyncio, resource, sys
from pathlib import Path
import polars as pl
from synthkit.actions.dedup import Dedup
from synthkit.execute.memory import return_freed_memory
from tests.actions.fakes import FakeStore, FakeTable, types

async def main(source, folder):
    table = FakeTable([], types({"text": "str"}), store=FakeStore(Path(folder)))
    async for _ in Dedup(by="text", words=3).table(pl.scan_parquet(source), table):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)

return_freed_memory()
asyncio.run(main(*sys.argv[1:]))
"""
WORDS = 20


def peak(folder: Path, rows: int) -> int:
    """Bytes that a step over so many rows of 20 words takes at most."""
    rng = np.random.default_rng(rows)
    words = {f"w{n}": pl.Series(rng.integers(0, 10**6, rows)).cast(pl.String) for n in range(WORDS)}
    ids = pl.Series("_id", [f"{n:032x}" for n in range(rows)])
    texts = pl.DataFrame(words).select(text=pl.concat_str(pl.all(), separator=" "))
    source = folder / f"{rows}.parquet"
    texts.insert_column(0, ids).write_parquet(source, row_group_size=10_000)
    command = [sys.executable, "-c", MEASURE, str(source), str(folder / str(rows))]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


@pytest.mark.slow
def test_memory_and_disk_are_as_the_docstring_says(tmp_path: Path) -> None:
    said = re.search(r"(\d+) bytes, whatever its text(?s:.*)a text takes (\d+) bytes and 4 a word", Dedup.__doc__ or "")
    assert said is not None
    few, many = 200_000, 1_000_000
    memory = (peak(tmp_path, many) - peak(tmp_path, few)) / (many - few)
    disk = sum(file.stat().st_size for file in (tmp_path / str(many)).rglob("*") if file.is_file()) / many
    print(f"{memory:.0f} bytes of memory a row, {disk:.0f} of disk")
    assert memory < int(said[1])
    assert disk < int(said[2]) + 4 * WORDS
