"""`filter`: rows for which every named expression is true stay.

A mapping name -> expression, where the name says what must hold: the first that is false is the reason, "not <name>".
No model is asked, so a changed threshold recomputes the step from its input alone; about 10 us an expression.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from pydantic import Field

from synthkit.core.action import Expr, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Row


class Filter(RowAction):
    """Keep the rows for which all expressions are true; the first false one names the reject.

    Gives: the row as it is.

    Errors: filtered `not NAME`, the first name whose expression is false.

    Source: ours.
    """

    verb: ClassVar[str] = "filter"
    shorthand: ClassVar[str | None] = "where"

    where: dict[str, Expr] = Field(min_length=1)
    """What must hold: name -> expression. `answer_hidden: "not (question | mentions(answer))"`."""

    def keeps_id(self) -> bool:
        """A row stays as it is or goes."""
        return True

    def check(self, scope: Scope) -> None:
        """Expressions must parse."""
        for name, text in self.where.items():
            scope.expr(text, ("where", name))

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row itself, or a reject named after the first false expression."""
        for name, text in self.where.items():
            if not ctx.evaluate(text, row):
                ctx.reject(f"not {name}")
        yield row.child()
