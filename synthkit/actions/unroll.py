"""`unroll`: one row for each item of a list, in its context: the item, those before it, and its number.

A row's id is made of its parent and the item's number, so a longer list adds rows and renames none. Only the number is
stored; the item and those before it are cut from the parent's list when they are read (`core/part.py` has the figures).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from synthkit.core.action import Column, Cost, NewColumn, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.part import Part
from synthkit.core.row import Child, Row

if TYPE_CHECKING:
    from synthkit.core.types import Type


class Unroll(RowAction):
    """Make a row of each item of a list; `fold` puts the list together again.

    Gives: a row for each item: `item`, `past`, `index`.

    Errors: filtered `no items`.

    Source: steps of a run one by one, as higher-order action synthesis needs them (AgentFounder).
    """

    verb: ClassVar[str] = "unroll"

    over: Column
    """The list."""
    item: NewColumn
    """New column: the item. It is not stored, as `past` is not: both are parts of the list."""
    past: NewColumn | None = None
    """New column: the items before it, in order; a row never holds what comes after, but in the list itself."""
    index: NewColumn = "index"
    """New column: the item's number, from 1: `k == 1` is the first, `k % 3 == 1` every third."""

    def cost(self) -> Cost:
        """Eight items a list, until a pilot says better."""
        return Cost(rows=8)

    def parts(self) -> Mapping[str, Part]:
        """The item and those before it."""
        found = {self.item: Part(self.over, self.index, "item")}
        if self.past is not None:
            found[self.past] = Part(self.over, self.index, "before")
        return found

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """Item, past and number; the types are those of the list."""
        from synthkit.core.types import Int

        if self.over not in scope.columns:
            return {}
        beside = {**scope.columns, self.index: Int(1)}
        return {**{name: part.type(beside) for name, part in self.parts().items()}, self.index: Int(1)}

    def check(self, scope: Scope) -> None:
        """A list, and three names that differ."""
        from synthkit.core.types import ListOf
        from synthkit.core.types.model import bare

        declared = scope.columns.get(self.over)
        if declared is not None and not isinstance(bare(declared), ListOf):
            scope.problem(f"{self.over!r} is {declared}, not a list", ("over",))
        names = [self.item, self.past, self.index]
        for field, name in (("past", self.past), ("index", self.index)):
            if names.count(name) > 1:
                scope.problem(f"{name!r} is the name of two columns", (field,))

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """A row for each item; a row without items is set aside."""
        items = row[self.over]
        if not items:
            ctx.reject("no items")
        parts = self.parts()
        for number in range(1, len(items) + 1):
            own = {self.index: number}
            beside = {self.over: items, **own}
            yield row.child({**{name: part.value(beside) for name, part in parts.items()}, **own}, (number,))
