"""`join`: columns of another step's rows with the same key.

Each matching pair is a row whose id is made of both ids, so a new row on either side adds pairs and renames none. The
other table is held in memory, the input streams past it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from synthkit.core.action import Column, Scope, StepName, TableAction
from synthkit.core.context import TableContext
from synthkit.core.ids import canonical, mint
from synthkit.core.outcome import Outcome

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.types import Type

_BATCH = 1024


class Join(TableAction):
    """Add the columns of another step's rows that agree in the key.

    Memory: the other step's rows as Python values (about 1 KB and their text each), 130 bytes for each input row's id
    and key. Rows of the other step that match none are not part of this step's account.

    Gives: a row for each pair, with the other step's columns.

    Errors: unused `unmatched` (`how: inner`).

    Source: ours.
    """

    verb: ClassVar[str] = "join"
    model_config = ConfigDict(serialize_by_alias=True)

    other: StepName = Field(alias="with")
    """The step whose rows are added."""
    on: Column | list[Column]
    """Columns of both that must agree; absent values agree with nothing."""
    how: Literal["inner", "left"] = "inner"
    """`inner`: rows without a match are set aside; `left`: they stay, with none in the new columns."""
    take: list[str] | None = None
    """Columns of the other step to add; all but the key where left out."""

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The other step's columns; nullable in a left join."""
        from synthkit.core.types import Optional

        theirs = scope.step_columns(self.other)
        found = {name: theirs[name] for name in self._taken(theirs) if name in theirs}
        if self.how == "inner":
            return found
        return {name: each if isinstance(each, Optional) else Optional(each) for name, each in found.items()}

    def check(self, scope: Scope) -> None:
        """Keys and taken columns that the other step has."""
        theirs = scope.step_columns(self.other)
        known = f"it has: {', '.join(sorted(theirs))}"
        named: list[tuple[str, tuple[str | int, ...]]] = [(name, ("on",)) for name in self._on]
        named += [(name, ("take", index)) for index, name in enumerate(self.take or ())]
        for name, at in named:
            if theirs and name not in theirs:
                scope.problem(f"{self.other!r} has no column {name!r}", at, help=known)

    @property
    def _on(self) -> list[str]:
        return [self.on] if isinstance(self.on, str) else self.on

    def _taken(self, theirs: Mapping[str, Type]) -> list[str]:
        return self.take if self.take is not None else [name for name in theirs if name not in self._on]

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Pairs in the order of the input's ids."""
        matches = self._matches(ctx)
        empty = dict.fromkeys(ctx.adds)
        frame = scan.select(list(dict.fromkeys(["_id", *self._on]))).collect().sort("_id")
        waiting: list[dict[str, Any]] = []
        for row in map(ctx.row, frame.iter_rows(named=True)):
            key = _key([row[name] for name in self._on])
            found = matches.get(key, []) if key is not None else []
            for match, columns in found:
                waiting.append({"_id": mint([row.id, match], ctx.step), "_parents": [row.id, match], **columns})
            if not found and self.how == "left":
                waiting.append({"_id": mint([row.id], ctx.step), "_parents": [row.id], **empty})
            elif not found:
                ctx.drop([row.id], Outcome.UNUSED, "unmatched")
            if len(waiting) >= _BATCH:
                yield ctx.batch(waiting)
                waiting = []
        if waiting:
            yield ctx.batch(waiting)

    def _matches(self, ctx: TableContext) -> Mapping[bytes, list[tuple[str, dict[str, Any]]]]:
        """The other step's rows by key, each list by id."""
        from synthkit.core.types import Optional, Str
        from synthkit.core.types.arrow import decode

        columns: dict[str, Type] = {"_id": Str(), **ctx.adds}
        for name in self._on:
            columns[name] = Optional(ctx.columns[name])
        frame = ctx.scan(self.other).select(list(columns)).collect().sort("_id")
        found: dict[bytes, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for row in decode(frame.to_arrow(), columns):
            if (key := _key([row[name] for name in self._on])) is not None:
                found[key].append((row["_id"], {name: row[name] for name in ctx.adds}))
        return found


def _key(values: list[Any]) -> bytes | None:
    """What is looked up; None where a value is absent."""
    return None if any(value is None for value in values) else canonical(values)
