"""The rows that are compared, as arrays in the order of their ids: 40 bytes a row, whatever their texts.

Scans give rows in any order. A row's number here is its rank among all ids (rows of other tables come before them
all), so that "the smallest id" is the smallest number, and results do not depend on the order rows came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from synthkit.core.errors import SpecError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy import int64, uint64
    from numpy.typing import NDArray

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
    """For each `Known` the number that it gave the value; -1 where there is none to compare."""

    def __len__(self) -> int:
        return len(self.groups)

    def only(self, numbers: NDArray[int64]) -> Rows:
        """Some of the rows, in that order; they get numbers of their own."""
        texts = tuple(each[numbers] for each in self.texts)
        return Rows(self.ids[numbers], self.groups[numbers], self.apart[numbers], texts)


class Known(Protocol):
    """What gives equal values one number: sketches of texts, texts themselves, vectors."""

    def __enter__(self) -> Any:
        """Itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Let go what is open."""
        ...

    def add(self, values: pa.Array) -> NDArray[int64]:
        """The number of each value of a large_string or large_list array without nulls."""
        ...

    def finish(self) -> None:
        """Called when all values are there."""
        ...


def read_rows(
    frame: pl.LazyFrame, by: str, within: Sequence[str], apart: Sequence[str], known: Sequence[Known]
) -> Rows:
    """Read all rows once, in the order they come; what is new in column `by` is made known."""
    import numpy as np

    parts: list[Rows] = []
    for batch in frame.select(list(dict.fromkeys(["_id", by, *within, *apart]))).collect_batches(chunk_size=_BATCH):
        column = batch.get_column(by)
        values, there = _arrow(column), column.is_not_null().to_numpy()
        places = tuple(_spread(each.add(values), there) for each in known)
        parts.append(Rows(_ids(batch.get_column("_id")), _values(batch, within), _values(batch, apart), places))
    empty = np.empty(0, dtype=np.uint64)
    nothing = Rows(empty.reshape(0, 2), empty, empty, (empty.astype(np.int64),) * len(known))
    return _together([nothing, *parts])


def in_order(rows: Rows, before: Sequence[Rows]) -> tuple[Rows, NDArray[int64]]:
    """All rows by id, those of other tables first; and for each of these the number of its table."""
    import numpy as np

    tables = np.repeat(np.arange(len(before) + 1), [*map(len, before), len(rows)])
    every = _together([*before, rows])
    order = np.lexsort((tables, every.ids[:, 1], every.ids[:, 0], tables == len(before)))
    texts = tuple(each[order] for each in every.texts)
    return Rows(every.ids[order], every.groups[order], every.apart[order], texts), tables[order[: -len(rows) or None]]


def first_copies(rows: Rows) -> NDArray[int64]:
    """For each row the first of the same value (by the first `Known`), group and `apart`."""
    import numpy as np
    import polars as pl

    columns = {"value": rows.texts[0], "group": rows.groups, "apart": rows.apart}
    frame = pl.DataFrame({**columns, "row": np.arange(len(rows), dtype=np.int64)})
    return frame.select(pl.col("row").min().over("value", "group", "apart")).to_series().to_numpy()


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


def _arrow(column: pl.Series) -> pa.Array:
    """Values as large_string or large_list, without what is none: that is equal to nothing."""
    import polars as pl
    import pyarrow as pa

    column = column.drop_nulls()
    if isinstance(column.dtype, pl.List | pl.Array):
        found = column.cast(pl.List(pl.Float64)).to_arrow()
        if found.flatten().null_count:
            raise SpecError(f"a vector in {column.name!r} has a number that is none")
        return found.cast(pa.large_list(pa.float64()))
    return column.cast(pl.String).to_arrow().cast(pa.large_string())


def _spread(places: NDArray[int64], there: NDArray[Any]) -> NDArray[int64]:
    """Numbers of the values that are there, and -1 where there is none."""
    import numpy as np

    if len(places) == len(there):
        return places
    found = np.full(len(there), -1, dtype=np.int64)
    found[there] = places
    return found


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
