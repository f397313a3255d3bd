"""`let`: columns computed from columns.

The type of a column is inferred from its expression (a column, a literal, a filter with a declared result); where
that is not possible it is written down: `{is: expr, type: T}`. All expressions of a step see its input, not each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthkit.core.action import Expr, MeaningName, OutType, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Row

if TYPE_CHECKING:
    from synthkit.core.types import Type


class Typed(BaseModel):
    """An expression together with the type of its value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expr: Expr = Field(alias="is")
    """The expression."""
    type: OutType
    """What its value is, in the out: language; a value that is not fails the row."""


class Let(RowAction):
    """Add columns computed from the others.

    Gives: the new columns.

    Errors: failed `NAME is not of its type`, where a type is declared.

    Source: ours.
    """

    verb: ClassVar[str] = "let"
    shorthand: ClassVar[str | None] = "columns"

    columns: dict[str, Expr | Typed] = Field(min_length=1)
    """New column -> expression, or `{is: expression, type: T}` where the type cannot be inferred."""

    def keeps_id(self) -> bool:
        """One row gives one row."""
        return True

    def mentions(self) -> Iterator[tuple[MeaningName, tuple[str | int, ...], str]]:
        """The expressions, in either form."""
        for name, given in self.columns.items():
            if isinstance(given, Typed):
                yield "expr", ("columns", name, "is"), given.expr
            else:
                yield "expr", ("columns", name), given

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The columns, with declared or inferred types."""
        found: dict[str, Type] = {}
        for name, given in self.columns.items():
            if isinstance(given, Typed):
                declared = scope.type(given.type, ("columns", name, "type"))
            else:
                declared = self._inferred(name, given, scope)
            if declared is not None:
                found[name] = declared
        return found

    def _inferred(self, name: str, text: str, scope: Scope) -> Type | None:
        """The type of an expression's value; a problem where nothing says what it is."""
        expression = scope.expr(text, ("columns", name))
        if expression is None or not expression.names <= scope.columns.keys():
            return None
        inferred = expression.infer(scope.columns, scope.vars)
        if inferred is None:
            scope.problem(
                f"the type of {name!r} cannot be inferred from its expression",
                ("columns", name),
                help=f'write {name}: {{is: "{text}", type: str}} with the type it has',
            )
        return inferred

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its new columns; a value of another type than declared fails it."""
        from synthkit.core.types import check_value

        values = {}
        for name, given in self.columns.items():
            value = ctx.evaluate(given.expr if isinstance(given, Typed) else given, row)
            if isinstance(given, Typed) and (wrong := check_value(ctx.adds[name], value)):
                ctx.reject(f"{name} is not of its type", Outcome.FAILED, error=wrong)
            values[name] = value
        yield row | values
