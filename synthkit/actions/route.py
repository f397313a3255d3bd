"""`route`: rows go into named ranges by a measure; `from: step.range` takes those of one range.

The first range that fits takes the row, so `{short: ..32Ki, long: ..128Ki}` needs no lower ends. What fits none is set
aside under "fits no range" and counted: nothing is cut to fit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from synthkit.core.action import Expr, NewColumn, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Row
from synthkit.core.sizes import TokenRange

if TYPE_CHECKING:
    from synthkit.core.types import Type


class Route(RowAction):
    """Send each row into the first range that its measure fits; the rest is set aside.

    Gives: `column`, the name of the range; `from: step.name` takes its rows.

    Errors: filtered `fits no range`, with the measure; in a branch, unused `in NAME` for rows of another.

    Source: AgentFounder's two stages of 32K and 128K.
    """

    verb: ClassVar[str] = "route"

    by: Expr
    """The measure: `tokens`, or any expression that gives a number."""
    into: dict[str, TokenRange] = Field(min_length=1)
    """Name -> range, tried in order: `{short: ..32Ki, long: ..128Ki}`. Rows are taken by `from: step.name`."""
    column: NewColumn = "range"
    """New column: the name of the range."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The name of the range."""
        from synthkit.core.types import Choice

        return {self.column: Choice(tuple(self.into))}

    def branches(self) -> Mapping[str, str]:
        """Each range."""
        return dict.fromkeys(self.into, self.column)

    def check(self, scope: Scope) -> None:
        """Names that `from` can take, a measure that is a number, and ranges that something can reach."""
        from synthkit.core.types import Float, Int
        from synthkit.core.types.model import bare

        expression = scope.expr(self.by, ("by",))
        if expression is not None and expression.names <= scope.columns.keys():
            found = expression.infer(scope.columns, scope.vars)
            if found is not None and not isinstance(bare(found), Int | Float):
                scope.problem(f"a range is of numbers, and {self.by!r} is {found}", ("by",))
        ranges = list(self.into.items())
        for at, (name, wanted) in enumerate(ranges):
            if not (name.isidentifier() and name.isascii()):
                scope.problem(f"{name!r} cannot be taken by `from`", ("into", name), help="use letters and digits")
            for before, wider in ranges[:at]:
                if _within(wanted.low, wanted.high, wider.low, wider.high):
                    scope.problem(f"nothing reaches {name!r}: {before!r} stands above it and takes all", ("into", name))
                    break

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with the name of its range."""
        measure = ctx.evaluate(self.by, row)
        found = next((name for name, wanted in self.into.items() if measure in wanted), None)
        if found is None:
            ctx.reject("fits no range", measure=measure)
        yield row | {self.column: found}


def _within(low: int | None, high: int | None, outer_low: int | None, outer_high: int | None) -> bool:
    """Whether a range lies inside of another."""
    least = outer_low is None or (low is not None and low >= outer_low)
    return least and (outer_high is None or (high is not None and high <= outer_high))
