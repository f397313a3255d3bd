"""`dedup` by vectors: every pair, cells that leave pairs out, and Lance's index, on made-up vectors of 384 numbers.

Texts of some topics: a vector is its topic's and as much noise, so that two of a topic have a cosine of 0.5; one in ten
is another one with up to half its length of noise. Lance is asked for the 50 nearest of 1,000 rows and its time is
extrapolated to all; of the pairs at or above the threshold that these rows are in it finds the share that is told.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.measure import Figure
from synthkit.actions.near.rows import Rows
from synthkit.actions.vectors import neighbours
from synthkit.actions.vectors.kept import Vectors

SIZE = 384
TOPICS = 300
THRESHOLDS = (0.9, 0.95)
_ASKED = 1000
_NEAREST = 50


def made(rows: int) -> Any:
    """[rows, SIZE] vectors."""
    rng = np.random.default_rng(1)
    topics = rng.normal(size=(TOPICS, SIZE)).astype(np.float32) / SIZE**0.5
    found = topics[rng.integers(0, TOPICS, rows)] + rng.normal(size=(rows, SIZE)).astype(np.float32) / SIZE**0.5
    copies = rows // 10
    first = found[rng.integers(0, rows - copies, copies)]
    noise = rng.normal(size=(copies, SIZE)).astype(np.float32) / SIZE**0.5
    found[rows - copies :] = first + rng.random((copies, 1)) * 0.5 * np.linalg.norm(first, axis=1)[:, None] * noise
    return found[rng.permutation(rows)]


def vectors(sizes: tuple[int, ...] = (5_000, 20_000, 50_000)) -> Iterator[Figure]:
    """Seconds of each way, and what Lance's index finds."""
    _exact(made(500), 0.9, 0)  # compiles
    for rows in sizes:
        given = made(rows)
        lance = _Lance(given)
        for threshold in THRESHOLDS:
            label = f"{rows:,} vectors, cosine {threshold}"
            whole, all_pairs, first = _exact(given, threshold, rows)
            cells, some_pairs, second = _exact(given, threshold, 0)
            assert (first == second).all(), "cells change nothing"
            yield Figure(f"{label}: every pair (load {os.getloadavg()[0]:.0f})", whole, "s")
            yield Figure(f"{label}: cells", cells, "s", whole, "every pair")
            yield Figure(f"{label}: cells, pairs compared", some_pairs / all_pairs, "of all")
            seconds, recall = lance.asked(threshold)
            yield Figure(f"{label}: Lance, IVF_FLAT", seconds, "s", whole, "every pair")
            yield Figure(f"{label}: Lance, pairs found", recall, "of all")


def _exact(given: Any, threshold: float, whole: int) -> tuple[float, int, Any]:
    """Seconds, products, and the first row of each."""
    before = neighbours.WHOLE, neighbours.WORTH
    neighbours.WHOLE, neighbours.WORTH = whole, 1.0
    try:
        with tempfile.TemporaryDirectory() as folder, Vectors(Path(folder)) as kept:
            places = kept.add(pa.LargeListArray.from_arrays(np.arange(len(given) + 1) * SIZE, pa.array(given.ravel())))
            kept.finish()
            none = np.zeros(len(given), dtype=np.uint64)
            found = neighbours.Neighbours(
                Rows(none.repeat(2).reshape(-1, 2), none, none, (places,)), 0, kept, threshold
            )
            began = time.monotonic()
            found.find()
            return time.monotonic() - began, found.compared, found.firsts()[0]
    finally:
        neighbours.WHOLE, neighbours.WORTH = before


class _Lance:
    """Lance's index over the vectors, and the time it took to make."""

    def __init__(self, given: Any) -> None:
        import lance

        self.units = given / np.linalg.norm(given, axis=1)[:, None]
        self._folder = tempfile.TemporaryDirectory()
        column = pa.FixedSizeListArray.from_arrays(pa.array(self.units.ravel()), SIZE)
        began = time.monotonic()
        table = lance.write_dataset(pa.table({"v": column, "n": np.arange(len(given))}), self._folder.name)
        parts = int(len(given) ** 0.5)
        self.table = table.create_index("v", "IVF_FLAT", metric="cosine", num_partitions=parts)
        self.seconds = time.monotonic() - began

    def asked(self, threshold: float) -> tuple[float, float]:
        """Seconds to make it and to ask for all rows, and the share of pairs found."""
        rows = np.linspace(0, len(self.units) - 1, min(_ASKED, len(self.units))).astype(int)

        def near(row: int) -> set[int]:
            query = {"column": "v", "q": self.units[row], "k": _NEAREST, "nprobes": 20}
            found = self.table.to_table(columns=["n", "_distance"], nearest=query)
            return set(found["n"].to_numpy()[found["_distance"].to_numpy() <= 1 - threshold].tolist())

        began = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(near, rows.tolist()))
        seconds = self.seconds + (time.monotonic() - began) * len(self.units) / len(rows)
        truth = [set(np.flatnonzero(self.units @ self.units[row] >= threshold).tolist()) - {row} for row in rows]
        return seconds, sum(len(a & b) for a, b in zip(found, truth, strict=True)) / sum(map(len, truth))
