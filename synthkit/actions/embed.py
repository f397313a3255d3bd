"""`embed`: a text's vector by an embedding model, as a column.

A step of its own, and not a setting of the verbs that compare vectors: so a vector is asked for, journaled, retried
and counted like every model call, a text that is too long fails its row and no table, and one vector serves several
steps. The vector's type names the model, so that vectors of two models are never compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from synthkit.core.action import Expr, Model, NewColumn, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.ids import digest
from synthkit.core.row import Child, Row
from synthkit.core.sizes import Share

if TYPE_CHECKING:
    from synthkit.core.types import Type


class Embed(RowAction):
    """Add the vector of a text, by an embedding model.

    One call a row, so equal texts are embedded once only behind `dedup: {exact: true}`; `semantic_dedup` does that. On
    disk a vector of 1,024 numbers takes 4 KB in the step's table and 5.5 KB in the journal.

    Gives: one column; none where the text is none or empty, without a call.

    Errors: `too long` and what else the engine refuses fails the row; `vllm` cuts no text, a server may.

    Source: embeddings as retrieval has them; ours for deduplication, as in SemDeDup (arXiv 2303.09540).
    """

    verb: ClassVar[str] = "embed"
    embeds: ClassVar[bool] = True

    model: Model
    """Role that embeds; its engine is a `vllm` with `embed: true`, or a server with `/embeddings`. Of the role only
    `lora` and `extra` count (`extra: {dimensions: 256}` for models that can be shortened)."""
    text: Expr
    """What is embedded: a column, or an expression (`"'query: ' ~ question"` for a model that wants a prefix)."""
    into: NewColumn = "vector"
    """New column."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """One row in, one out."""
        return True

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The vector, with a digest of what decides it in its type; none where there is no text."""
        from synthkit.core.types import Optional, Vector

        role = scope.role(self.model)
        decides = [dict(scope.identity(self.model)), role.lora, role.extra] if role else []
        return {self.into: Optional(Vector(f"m{digest(decides)[:12]}"))}

    def check(self, scope: Scope) -> None:
        """A text that is one."""
        from synthkit.core.types import Choice, Date, Str
        from synthkit.core.types.model import bare

        expression = scope.expr(self.text, ("text",))
        if expression is None or not expression.names <= scope.columns.keys():
            return
        declared = expression.infer(scope.columns, scope.vars)
        if declared is not None and not isinstance(bare(declared), Str | Choice | Date):
            scope.problem(f"{self.text!r} must be text, not {declared}", ("text",))

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its vector."""
        text = ctx.evaluate(self.text, row)
        if text is None or text == "":
            yield row | {self.into: None}
            return
        if not isinstance(text, str):
            raise TypeError(f"embed takes text, not {type(text).__name__}; write `text: x.field` or `x | string`")
        yield row | {self.into: await ctx.embed(self.model, text)}
