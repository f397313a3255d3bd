"""`render`: a row as a training document.

The template's `{% role "x" %}` spans come back as character offsets, so that a trainer may mask by role; tokens are
counted by the spec's tokenizer, because routing by length and budgets by token both start here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from synthkit.core.action import Prompt, RowAction
from synthkit.core.context import Context
from synthkit.core.row import Child, Row


class Render(RowAction):
    """Write each row as text by a template, with its role spans and its length in tokens.

    Gives: `text`; `spans`, the parts of it by role, `start` and `end` in characters; `tokens`, by the spec's tokenizer.

    Errors: failed `prompt cannot be rendered`.

    Source: plain next-token text, as AgentFounder trains on; spans are ours, for a trainer's mask.
    """

    verb: ClassVar[str] = "render"
    gives: ClassVar[Any] = {
        "text": "str",
        "spans": "[{role: str, start: int(0..), end: int(0..)}]",
        "tokens": "int(0..)",
    }

    prompt: Prompt
    """The template of the document."""

    def keeps_id(self) -> bool:
        """One row gives one row."""
        return True

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with `text`, `spans` (characters `start` to `end`, by role) and `tokens`."""
        text, spans = ctx.render(self.prompt, row)
        yield row | {"text": text, "spans": spans, "tokens": ctx.count_tokens(text)}
