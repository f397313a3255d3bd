"""Rows that `retry` raised: their attempt numbers, and the role fields set for them.

A list that only grows; the highest attempt of a row counts. Retries are few, so it is read whole when a step begins.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from synthkit.core.ids import Id
from synthkit.store.dataset import Dataset, quoted

SCHEMA = pa.schema(
    [
        ("step", pa.string()),
        ("row", pa.string()),
        ("attempt", pa.int32()),
        ("set", pa.string()),
        ("at", pa.float64()),
    ]
)
"""Columns of attempts.lance; `set` is JSON text."""


class Attempts:
    """The attempts table of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dataset = Dataset.open(path)

    def of(self, step: str) -> dict[Id, tuple[int, dict[str, Any]]]:
        """Row -> (attempt, role fields set for it)."""
        if self._dataset is None:
            return {}
        table = self._dataset.handle.to_table(columns=["row", "attempt", "set"], filter=f"step = {quoted(step)}")
        found: dict[Id, tuple[int, dict[str, Any]]] = {}
        for line in table.to_pylist():
            if line["attempt"] > found.get(line["row"], (0, {}))[0]:
                found[line["row"]] = (line["attempt"], orjson.loads(line["set"]))
        return found

    def raise_by_one(self, step: str, rows: Mapping[Id, Mapping[str, Any]]) -> None:
        """Let each row be asked again, with those role fields."""
        before = self.of(step)
        if self._dataset is None:
            self._dataset = Dataset.create(self.path, SCHEMA)
        columns = {
            "step": [step] * len(rows),
            "row": list(rows),
            "attempt": [before.get(row, (0, {}))[0] + 1 for row in rows],
            "set": [orjson.dumps(dict(fields)).decode() for fields in rows.values()],
            "at": [time.time()] * len(rows),
        }
        self._dataset.append(pa.table(columns, schema=SCHEMA))
