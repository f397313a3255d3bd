"""Reading a step: its own columns and, batch by batch, those of its ancestors, only as far as they are asked for.

A step that keeps ids and adds nothing that is wanted is skipped over, so that ten filters in a row cost no look-up.
Ancestors' values are taken by row position, found through 20 bytes an ancestor row: memory follows the number of rows
and never their size (a hash join would hold every document). Rows near each other take 0.5 us a row, scattered ones
7. The number and order of rows do not depend on the columns asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from synthkit.core.errors import StoreError
from synthkit.core.part import Part
from synthkit.core.store import StepLayout
from synthkit.core.types.arrow import arrow_schema
from synthkit.store.keys import SortedKeys, pack_array
from synthkit.store.layouts import find, visible
from synthkit.store.source import as_frame, batch_rows, frame_schema, frames, lazy, packed, take
from synthkit.store.steps import parent_column, table_schema

Layouts = Mapping[str, StepLayout]
Tables = Callable[[StepLayout], Any]
"""Gives the stored table (a Lance handle at one version) of a layout's fingerprint, None where there is none yet."""

IDS = ("_id", "_parents")
PRIVATE = ("_fp", "_in", "_branch")
"""Columns that are given only when they are asked for by name."""
_AT = "_at "


def scan(
    layouts: Layouts, stored: Tables, step: str, columns: Sequence[str] | None = None, *, ordered: bool = False
) -> pl.LazyFrame:
    """A step's visible columns, or some of them, with `_id` and `_parents` first; as stored, or by `_id`."""
    layout = find(layouts, step)
    seen = visible(layouts, step)
    wanted = list(dict.fromkeys(seen if columns is None else [name for name in columns if name not in IDS]))
    private = {name for name in PRIVATE if name != "_branch" or layout.union}
    unknown = [name for name in wanted if name not in seen and name not in private]
    if unknown:
        raise StoreError(
            f"step {step!r} has no column {', '.join(map(repr, unknown))}; it has {', '.join(seen) or 'none'}"
        )
    own = frame_schema(table_schema(layout))
    carried = frame_schema(arrow_schema({name: seen[name] for name in wanted if name in seen}))
    schema = pl.Schema({name: carried[name] if name in carried else own[name] for name in (*IDS, *wanted)})
    tables = _Pinned(stored)
    handle = tables(layout)
    if handle is None:
        return schema.to_frame().lazy()
    every = _Ancestors(layouts, tables, layout, [name for name in wanted if name in seen and name not in layout.adds])

    def read(names: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
        rest = [name for name in names if name not in own]
        above = _Ancestors(layouts, tables, layout, rest)
        mine = list(dict.fromkeys([*(name for name in names if name in own), *above.keys]))
        for frame in _by_id(handle, tables.index(layout), mine, rows) if ordered else frames(handle, mine, rows):
            yield above.join(frame)

    return lazy(schema, read, batch_rows(handle, *every.handles()))


def _by_id(handle: Any, index: _Index, columns: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
    """A table in the order of its ids; only their positions are sorted, for a sort of rows would hold all the texts."""
    for at in range(0, len(index.order), rows):
        wanted = index.order[at : at + rows]
        near = np.argsort(wanted)
        frame = as_frame(take(handle, wanted[near].tolist(), columns or ["_id"]))
        yield frame[np.argsort(near)]


def _cut(part: Part) -> pl.Expr:
    """A part of a list column; numbers of items stand beside it as `_at ...`, and without one there is no part."""
    number = pl.col(_AT + part.at) - 1
    if part.take == "item":
        return pl.col(part.of).list.get(number, null_on_oob=True)
    return pl.when(number.is_not_null()).then(pl.col(part.of).list.head(number))


class _Pinned:
    """The tables of one scan, each opened and indexed once: at one version, however often and late it is collected."""

    def __init__(self, stored: Tables) -> None:
        self._stored = stored
        self._handles: dict[str, Any] = {}
        self._indexes: dict[str, _Index] = {}

    def __call__(self, layout: StepLayout) -> Any:
        """The handle of a step's table, None where there is none."""
        if layout.name not in self._handles:
            self._handles[layout.name] = self._stored(layout)
        return self._handles[layout.name]

    def index(self, layout: StepLayout) -> _Index:
        """Where the rows of a step's table stand."""
        if layout.name not in self._indexes:
            self._indexes[layout.name] = _Index(self(layout))
        return self._indexes[layout.name]


class _Ancestors:
    """What a step's rows carry from above: which columns come from which table."""

    def __init__(self, layouts: Layouts, tables: _Pinned, layout: StepLayout, wanted: Sequence[str]) -> None:
        self._union = layout.union
        self._schema = pl.Schema()
        self._branches: dict[str, _Ancestor] = {}
        self._key = parent_column(layout)
        self._parts = {name: layout.parts[name] for name in wanted if name in layout.parts}
        self.keys: list[str] = []
        """Columns of the step's own table that a join needs."""
        if not wanted:
            return
        types = visible(layouts, layout.name)
        self._schema = frame_schema(arrow_schema({name: types[name] for name in wanted}))
        self.keys = [self._key, *(["_branch"] if layout.union else []), *(part.at for part in self._parts.values())]
        carried = [name for name in wanted if name not in self._parts]
        wanted = list(dict.fromkeys([*carried, *(part.of for part in self._parts.values())]))
        for parent in layout.parents if layout.union else layout.parents[:1]:
            there = visible(layouts, parent)
            if some := [name for name in wanted if name in there]:
                self._branches[parent] = _Ancestor(layouts, tables, parent, some)

    def handles(self) -> list[Any]:
        """All tables that are read."""
        return [handle for branch in self._branches.values() for handle in branch.handles()]

    def join(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the columns from above beside its own; null where a row has no parent with them."""
        if not self._schema:
            return frame
        if not self._union:
            (branch,) = self._branches.values()
            found = branch.take(frame[self._key])
            if self._parts:
                numbers = [frame[at].alias(_AT + at) for at in {part.at for part in self._parts.values()}]
                found = found.hstack(numbers).with_columns(**{n: _cut(part) for n, part in self._parts.items()})
            return frame.hstack(found.select(self._schema.names()).get_columns())
        parts, places = [], []
        for (name,), rows in frame.with_row_index("_at").group_by("_branch", maintain_order=True):
            places.append(rows["_at"])
            branch_of = self._branches.get(str(name))
            found = branch_of.take(rows[self._key]) if branch_of else pl.DataFrame(height=rows.height)
            lacking = [pl.lit(None, of).alias(each) for each, of in self._schema.items() if each not in found.columns]
            parts.append(found.with_columns(lacking).select(self._schema.names()))
        if not parts:
            return frame.hstack(self._schema.to_frame().get_columns())
        order = pl.concat(places).arg_sort()
        return frame.hstack(pl.concat(parts, how="vertical_relaxed")[order].get_columns())


class _Ancestor:
    """The nearest table above a step that must be read for some columns, and what it carries itself."""

    def __init__(self, layouts: Layouts, tables: _Pinned, step: str, wanted: Sequence[str]) -> None:
        self._layout = layout = find(layouts, _nearest(layouts, step, wanted))
        self._tables = tables
        self._handle = tables(layout)
        self._mine = [name for name in wanted if name in layout.adds]
        self._above = _Ancestors(layouts, tables, layout, [name for name in wanted if name not in layout.adds])
        types = visible(layouts, step)
        self._schema = frame_schema(arrow_schema({name: types[name] for name in wanted}))

    def handles(self) -> list[Any]:
        """This table, and those above it that are read too."""
        return [each for each in (self._handle, *self._above.handles()) if each is not None]

    def take(self, ids: pl.Series) -> pl.DataFrame:
        """The wanted columns of the rows of these ids, in their order; null where there is no such row."""
        if self._handle is None:
            return self._schema.to_frame().clear(ids.len())
        places = self._tables.index(self._layout).places(ids)
        there = places >= 0
        distinct, inverse = np.unique(places[there], return_inverse=True)
        columns = list(dict.fromkeys([*self._mine, *self._above.keys]))
        rows = self._above.join(as_frame(take(self._handle, distinct.tolist(), columns)))
        picks = np.zeros(len(places), dtype=np.int64)
        picks[there] = inverse
        chosen = pl.Series(pa.array(picks, mask=~there))
        return rows.select(pl.col(self._schema.names()).gather(chosen))


class _Index:
    """Where the rows of a table stand, by id."""

    def __init__(self, handle: Any) -> None:
        self._keys = SortedKeys(*packed(handle, "_id"))
        self._places = self._keys.first_places()

    @property
    def order(self) -> npt.NDArray[np.uint32]:
        """The position of every row, by id."""
        return self._keys.order

    def places(self, ids: pl.Series) -> npt.NDArray[np.int64]:
        """The row position of each id, -1 where it is not there."""
        at = self._keys.locate(*pack_array(ids.to_arrow(), optional=True))
        found = np.full(len(at), -1, dtype=np.int64)
        found[at >= 0] = self._places[at[at >= 0]]
        return found


def _nearest(layouts: Layouts, step: str, wanted: Sequence[str]) -> str:
    """The nearest ancestor with the same ids that must be read: it has a wanted column, or its rows get other ids."""
    while True:
        layout = find(layouts, step)
        if layout.keeps_id and layout.parents and not set(wanted) & set(layout.adds):
            step = layout.parents[0]
        else:
            return step
