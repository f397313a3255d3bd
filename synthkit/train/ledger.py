"""A source's ledger on disk: a line a document, with what is known of it where it is a copy of another.

Copies come in the order in which the source is read, in the decision as in the ledger, so the two are merged as they
pass and neither is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from synthkit.core.errors import StoreError
from synthkit.train.copies import REASON, Copies, columns

if TYPE_CHECKING:
    import pyarrow as pa


class Ledger:
    """Writes a ledger; it stands under its name when it is whole."""

    def __init__(self, path: Path, name: str, copies: Copies | None) -> None:
        """`copies` is the decision of `dedup`, where the recipe asks for one."""
        self.path = path
        self._name = name
        self._copies = copies
        self._coming: Iterator[pa.RecordBatch] = iter(()) if copies is None else copies.lines(name)
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> Ledger:
        """Open it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = self.path.with_suffix(".part")
        self._schema = pa.schema([*ledger_schema(), *columns()])
        self._file = pq.ParquetWriter(self._unfinished, self._schema, compression="zstd")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let it stand, if nothing went wrong."""
        self._file.close()
        if kind is None:
            self._unfinished.replace(self.path)

    def write(self, table: pa.Table) -> None:
        """Lines as `ledger_schema` has them."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        mine = pc.fill_null(pc.equal(table["aside"], REASON), False).to_numpy()
        count = int(mine.sum())
        if self._copies is None or not count:
            nothing = [pa.nulls(len(table), field.type) for field in columns()]
            self._file.write_table(pa.table([*table.columns, *nothing], schema=self._schema))
            return
        copies = self._next(count)
        if copies["row"].to_pylist() != table["row"].filter(pa.array(mine)).to_pylist():
            raise StoreError(f"{self._copies.path(self._name)} is of other rows; remove {self._copies.folder}")
        at = np.cumsum(mine) - 1
        where = pa.array(at, mask=~mine)
        known = [copies[field.name].combine_chunks().take(where) for field in columns()]
        self._file.write_table(pa.table([*table.columns, *known], schema=self._schema))

    def _next(self, count: int) -> pa.Table:
        """The next copies; fewer where there are no more."""
        import pyarrow as pa

        while sum(map(len, self._waiting)) < count and (more := next(self._coming, None)) is not None:
            self._waiting.append(more)
        if not self._waiting:
            return pa.table({name: [] for name in ("row", *columns().names)})
        table = pa.Table.from_batches(self._waiting)
        self._waiting = table.slice(count).to_batches()
        return table.slice(0, count)


def ledger_schema() -> pa.Schema:
    """A line a document: what it is, and its pack and place there, or why it has none."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("row", pa.string()),
            pa.field("piece", pa.int32()),
            pa.field("tokens", pa.int32()),
            pa.field("valid", pa.bool_()),
            pa.field("aside", pa.string()),
            pa.field("pack", pa.int64()),
            pa.field("at", pa.int32()),
        ]
    )
