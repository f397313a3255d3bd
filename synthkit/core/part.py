"""Columns that are not stored but cut from a list when they are read.

A row that stands for an item of its parent's list (`unroll`) keeps the item's number alone: the item, and the items
before it, are parts of the parent's list. Measured on 20 lists of 60 steps of 19 KB (12.7 MB in their own table): with
the steps before each one stored 362 MB and a peak of 1.65 GB, this way 0.06 MB and 0.34 GB. (At 2 KB a step Lance's
compression sees through the copies: 2.0 MB against 0.06.) Reading them back takes the same time either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from synthkit.core.types import Type


@dataclass(frozen=True, slots=True)
class Part:
    """What a column takes of a list."""

    of: str
    """The list column, which the step's input has."""
    at: str
    """The step's own column that holds the item's number, from 1."""
    take: Literal["item", "before"]
    """The item of that number, or the items before it."""

    def type(self, columns: Mapping[str, Type]) -> Type:
        """The column's type, from those of the columns beside it (`of` and `at`)."""
        from synthkit.core.types import Json, ListOf, Optional
        from synthkit.core.types.model import bare

        whole = bare(columns[self.of])
        items = whole.of if isinstance(whole, ListOf) else Json()
        found = items if self.take == "item" else ListOf(items)
        return Optional(bare(found)) if isinstance(columns[self.at], Optional) else found

    def value(self, data: Mapping[str, Any]) -> Any:
        """The part of `data[of]`; none where the row has no number."""
        items, number = data.get(self.of), data.get(self.at)
        if items is None or number is None:
            return None
        return items[number - 1] if self.take == "item" else items[: number - 1]
