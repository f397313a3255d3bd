"""Key words of a text, kept only where the text really has them: an action type as a package of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from synthkit.core.action import Column, Model, Prompt, RowAction
from synthkit.core.context import Context
from synthkit.core.row import Child, Row


class Keywords(RowAction):
    """Key words of a text; a reply of which no word occurs in the text is set aside."""

    verb: ClassVar[str] = "keywords"
    gives: ClassVar[dict[str, str]] = {"keywords": "[str(2..40)](1..8)"}

    model: Model
    """Role that is asked."""
    text: Column = "text"
    """Column that holds the text."""
    prompt: Prompt = "keywords/list.j2"
    """Template of the question."""

    def keeps_id(self) -> bool:
        """One row in, at most one out."""
        return True

    def provides(self) -> frozenset[str]:
        """The template's `text` is the column of that parameter, whatever its name."""
        return frozenset({"text"})

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with those of its key words that occur in it."""
        for reply in await ctx.ask(self.model, self.prompt, row, out=self.gives, text=row[self.text]):
            found = [word for word in reply.keywords if word.lower() in row[self.text].lower()]
            if found:
                yield row | {"keywords": found}
            else:
                reply.reject("not in text")
