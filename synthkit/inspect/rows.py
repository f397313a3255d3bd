"""Rows of a step as plain values, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from synthkit.inspect.run import Run

_BATCH = 4096


def rows_of(run: Run, step: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """`_id` and these columns of every row of a step (a composite by its own name too); json columns decoded."""
    from synthkit.core.types.arrow import decode

    there = run.store.columns(run.node(step))
    types = {name: there[name] for name in there if name in columns}
    for frame in _frames(run, step, list(types)):
        values = decode(frame.select(list(types)).to_arrow(), types) if types else [{} for _ in range(frame.height)]
        for row_id, row in zip(frame["_id"], values, strict=True):
            yield {"_id": row_id, **row}


def stored_rows(run: Run, step: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The same as it is stored, json as text: half the time, where only sizes and texts are looked at."""
    for frame in _frames(run, step, columns):
        yield from frame.iter_rows(named=True)


def _frames(run: Run, step: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    yield from run.store.scan(run.node(step), columns).collect_batches(chunk_size=_BATCH)
