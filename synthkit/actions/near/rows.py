"""The rows that are compared, as arrays in the order of their ids: 40 bytes a row, whatever their texts.

Scans give rows in any order. A row's number here is its rank among all ids (rows of other tables come before them
all), so that "the smallest id" is the smallest number, and results do not depend on the order rows came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy import int64, uint64
    from numpy.typing import NDArray

    from synthkit.actions.near.sketched import Sketched

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by number."""

    ids: NDArray[uint64]
    """[n, 2]: the high and the low half."""
    groups: NDArray[uint64]
    """Equal where `within` is."""
    apart: NDArray[uint64]
    """Equal where all columns of `apart` are."""
    texts: tuple[NDArray[int64], ...]
    """For each kind of sketch the row that has the text's."""

    def __len__(self) -> int:
        return len(self.groups)


def read_rows(
    frame: pl.LazyFrame, text: str, within: Sequence[str], apart: Sequence[str], sketched: Sequence[Sketched]
) -> Rows:
    """Read all rows once, in the order they come, and sketch the texts that are new."""
    import numpy as np

    parts: list[Rows] = []
    for batch in frame.select(list(dict.fromkeys(["_id", text, *within, *apart]))).collect_batches(chunk_size=_BATCH):
        texts = _texts(batch.get_column(text))
        places = tuple(each.add(texts) for each in sketched)
        parts.append(Rows(_ids(batch.get_column("_id")), _values(batch, within), _values(batch, apart), places))
    empty = np.empty(0, dtype=np.uint64)
    nothing = Rows(empty.reshape(0, 2), empty, empty, (empty.astype(np.int64),) * len(sketched))
    return _together([nothing, *parts])


def in_order(rows: Rows, before: Sequence[Rows]) -> tuple[Rows, NDArray[int64]]:
    """All rows by id, those of other tables first; and for each of these the number of its table."""
    import numpy as np

    tables = np.repeat(np.arange(len(before) + 1), [*map(len, before), len(rows)])
    every = _together([*before, rows])
    order = np.lexsort((tables, every.ids[:, 1], every.ids[:, 0], tables == len(before)))
    texts = tuple(each[order] for each in every.texts)
    return Rows(every.ids[order], every.groups[order], every.apart[order], texts), tables[order[: -len(rows) or None]]


def id_strings(ids: NDArray[uint64]) -> pa.Array:
    """Ids as an Arrow array of 32 digits each."""
    import numpy as np
    import pyarrow as pa

    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    halves = np.ascontiguousarray(ids).astype(">u8").view(np.uint8).reshape(len(ids), 16)
    data = np.empty((len(ids), 32), dtype=np.uint8)
    data[:, ::2], data[:, 1::2] = digits[halves >> 4], digits[halves & 15]
    offsets = np.arange(len(ids) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(data))


def _together(parts: Iterable[Rows]) -> Rows:
    import numpy as np

    columns: list[Any] = list(zip(*((each.ids, each.groups, each.apart, *each.texts) for each in parts), strict=True))
    ids, groups, apart, *texts = (np.concatenate(each) for each in columns)
    return Rows(ids, groups, apart, tuple(texts))


def _texts(column: pl.Series) -> pa.Array:
    """Texts as large_string; nothing is the empty text."""
    import polars as pl
    import pyarrow as pa

    return column.cast(pl.String).fill_null("").to_arrow().cast(pa.large_string())


def _ids(column: pl.Series) -> NDArray[uint64]:
    import numpy as np

    packed = bytes.fromhex("".join(column.to_list()))
    return np.frombuffer(packed, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def _values(batch: pl.DataFrame, columns: Sequence[str]) -> NDArray[uint64]:
    """A number for each row that is the same where all columns are; 0 without columns."""
    import numpy as np
    import polars as pl

    if not columns:
        return np.zeros(batch.height, dtype=np.uint64)
    return batch.select(pl.struct(columns).hash(seed=1)).to_series().to_numpy()
