"""Tables as polars LazyFrames that are read batch by batch, in order, only the columns asked for.

A batch is about 2 MB by the average row, so that documents of 100 kB do not need the memory that 4,096 short rows do;
polars asks for five batches ahead.
polars' own reader holds up to 100,000 rows in flight and takes 1.5 ms a fragment: 43 to 52 ms for a column of 8,000
rows in 28 fragments, where this one takes 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from synthkit.store.dataset import damaged
from synthkit.store.keys import Halves, pack_array

_BYTES = 2 << 20
_ROWS = (8, 4096)
_AHEAD = 2
_PACKED = 65_536
_BUFFER = 16 << 20
"""Bytes that Lance may read ahead; its default is 2 GiB."""

Read = Callable[[Sequence[str], int], Iterator[pl.DataFrame]]
"""Gives frames of (at least) the columns named, of about so many rows."""


def lazy(schema: pl.Schema, read: Read, rows: int) -> pl.LazyFrame:
    """A LazyFrame over `read`, which is called anew for each `collect`; `rows` is how many it gives at a time."""

    def each(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        names = list(schema) if columns is None else columns
        size = min(rows, size or rows) if limit is None or predicate is not None else min(rows, max(limit, 1))
        left = limit
        for frame in read(names, size):
            frame = frame.select(names)
            if predicate is not None:
                frame = frame.filter(predicate)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame
            if left == 0:
                return

    return register_io_source(each, schema=schema)


def stored(handle: Any) -> pl.LazyFrame:
    """One version of a Lance table, whatever is written later."""
    return lazy(frame_schema(handle.schema), lambda names, rows: frames(handle, names, rows), batch_rows(handle))


def frames(handle: Any, columns: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
    """Some columns of a Lance table in batches, in the order of its rows."""
    if not columns:  # Lance gives no batches without a column, but their lengths are wanted
        yield pl.DataFrame(height=handle.count_rows())
        return
    for batch in batches(handle, columns, rows, batch_readahead=_AHEAD, scan_in_order=True):
        yield as_frame(batch)


def batches(handle: Any, columns: Sequence[str], rows: int, **options: Any) -> Iterator[Any]:
    """Some columns of a Lance table in Arrow batches; StoreError where a file of it is gone or cut."""
    try:
        yield from handle.to_batches(columns=list(columns), batch_size=rows, io_buffer_size=_BUFFER, **options)
    except (OSError, ValueError) as error:  # Arrow's errors are one of them
        raise damaged(Path(handle.uri), error) from error


def take(handle: Any, positions: Sequence[int], columns: Sequence[str]) -> Any:
    """Rows of a Lance table by position, as an Arrow table; StoreError as `batches`."""
    try:
        return handle.take(list(positions), columns=list(columns))
    except (OSError, ValueError) as error:
        raise damaged(Path(handle.uri), error) from error


def packed(handle: Any, column: str, *, optional: bool = False) -> tuple[Halves, Halves]:
    """The two halves of each id in a column, batch by batch, so that their text is never held whole."""
    hi, lo = (np.empty(handle.count_rows(), dtype=np.uint64) for _ in range(2))
    at = 0
    for batch in batches(handle, [column], _PACKED) if len(hi) else ():
        stop = at + batch.num_rows
        hi[at:stop], lo[at:stop] = pack_array(batch.column(column), optional=optional)
        at = stop
    return hi, lo


def as_frame(data: Any) -> pl.DataFrame:
    """An Arrow batch or table as a polars frame."""
    frame = pl.from_arrow(data)
    assert isinstance(frame, pl.DataFrame)
    return frame


def frame_schema(schema: Any) -> pl.Schema:
    """The polars schema of an Arrow one."""
    return as_frame(schema.empty_table()).schema


def batch_rows(*handles: Any) -> int:
    """How many rows of these tables, side by side, make a batch."""
    width = sum(_width(handle) for handle in handles)
    return max(_ROWS[0], min(_ROWS[1], int(_BYTES / max(width, 1))))


def _width(handle: Any) -> float:
    """Bytes on disk of a row, on average."""
    files = (file for fragment in handle.get_fragments() for file in fragment.data_files())
    return sum(float(file.file_size_bytes or 0) for file in files) / max(int(handle.count_rows()), 1)
