"""What a source gives: batches of documents in Arrow, and where reading goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_BYTES = 8 << 20
"""Text of one batch, about."""
BATCH_ROWS = 1024
"""Rows of one batch, at most."""
Cursor = Mapping[str, Any]
"""Where reading goes on; plain values."""


@dataclass
class Batch:
    """Rows of a source, one after another."""

    rows: list[str]
    """What each row is called: its id, or `file:line`."""
    texts: pa.LargeStringArray
    spans: pa.ListArray | None
    """Role spans `{role, start, end}` in characters."""
    cursor: Cursor
    """Where the next batch begins."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Rows that cannot be read, and why."""
    values: list[dict[str, Any]] = field(default_factory=list)
    """The rows as plain values, of a source of messages."""
    together: list[str] = field(default_factory=list)
    """By what each row is held out; empty where that is the row itself."""

    @property
    def held_by(self) -> list[str]:
        """By what each row is held out."""
        return self.together or self.rows


class Source(Protocol):
    """What documents are read from."""

    name: str
    identity: Mapping[str, Any]
    """What the manifest says of it."""
    stamp: str
    """Changes where its documents may have changed."""

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches from there on; `{}` is the beginning."""
        ...

    def size(self) -> int | None:
        """Rows, about, without reading them all; None where that cannot be told."""
        ...

    def roles(self) -> set[str]:
        """Roles of its spans: all of a table's, those of the first documents of files."""
        ...


def without(batch: Batch, gone: NDArray[np.int64], why: str) -> Batch:
    """A batch without the rows at some places, which come among what cannot be read, with that reason."""
    import numpy as np
    import pyarrow as pa

    if not len(gone):
        return batch
    kept = np.ones(len(batch.rows), dtype=bool)
    kept[gone] = False
    mask = pa.array(kept)
    which = np.flatnonzero(kept).tolist()
    return replace(
        batch,
        rows=[batch.rows[each] for each in which],
        texts=batch.texts.filter(mask) if len(batch.texts) else batch.texts,
        spans=None if batch.spans is None else batch.spans.filter(mask),
        broken=[*batch.broken, *((batch.rows[each], why) for each in gone.tolist())],
        values=[batch.values[each] for each in which] if batch.values else [],
        together=[batch.together[each] for each in which] if batch.together else [],
    )


def readable(batch: Batch, texts: pa.Array, column: str) -> Batch:
    """A batch without the rows that have no text; the reason is that of a record without one."""
    import pyarrow.compute as pc

    if not texts.null_count:
        return batch
    gone = pc.indices_nonzero(pc.is_null(texts)).to_numpy().astype("int64")
    return without(batch, gone, f"no text in {column!r}")


def rows_of(mean: float) -> int:
    """Rows of a batch whose texts have that many bytes on average."""
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(mean, 1))))


class Missing(Exception):
    """Something that a source's key names and that is not there."""

    def __init__(self, message: str, key: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint
