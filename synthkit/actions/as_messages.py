"""`as_messages`: a trajectory as the messages a trainer reads, each saying whether its tokens count.

The loss is on what the agent writes and on nothing else: system text, questions, responses and a user's replies are
read, not learned. Texts of the trajectory have their special tokens escaped, so that a web page cannot end a turn.
Where a form cannot hold a trajectory it is set aside: read back, it would be another one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Column, Expr, NewColumn, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.outcome import Outcome
from synthkit.core.prompt.escape import escape_special
from synthkit.core.row import Child, Row
from synthkit.core.trajectory import Step, Trajectory, Unwritable, chatml, openai, react, sharegpt

if TYPE_CHECKING:
    from synthkit.core.types import Type

_CALLS = "[{id: str, type: str, function: {name: str, arguments: str}}]|none"
_MESSAGES = {
    "openai": "[{role: str, content: str|none, reasoning_content: str|none, "
    f"tool_calls: {_CALLS}, tool_call_id: str|none, loss: bool}}]",
    "chatml": "[{role: str, content: str, loss: bool}]",
    "sharegpt": "[{from: str, value: str, loss: bool}]",
    "react": "[{role: str, content: str, loss: bool}]",
}
_AGENT = ("assistant", "gpt")


class AsMessages(RowAction):
    """Write a trajectory as messages for fine-tuning, with `loss: true` on the agent's turns.

    Gives: `messages` (or `into`), each with `loss`, and `functions`, the toolset as OpenAI's `tools`.

    Errors: filtered `not openai` (`not chatml`, ...) where the form cannot hold the run, with the step at fault; failed
    `summaries do not fit` where their number is not that of the steps.

    Source: the three fine-tuning mixes of AgentFounder (arXiv 2509.13310); the mask is ours.
    """

    verb: ClassVar[str] = "as_messages"

    form: Literal["openai", "chatml", "sharegpt", "react"] = "openai"
    """`openai` (`tool_calls`, thoughts in `reasoning_content`), `chatml` (tags in the content, the answer in
    `<answer>`), `sharegpt` (the same as `from` and `value`), `react` (Thought, Action, Observation)."""
    thoughts: Literal["field", "tags", "omit"] = "field"
    """`openai` only: thoughts in `reasoning_content`, in `<think>` tags before the content, or left out."""
    summaries: Expr | None = None
    """A list of one text for each step, in place of its thought, as a model made them. A step without a thought has
    none still."""
    question: Column = "question"
    """Column of the question."""
    system: Expr = "system"
    """The system text: a column, an expression, or `none`."""
    steps: Column = "steps"
    """Column of the steps."""
    tools: bool = True
    """Whether the column `functions` holds the spec's toolset, in the form of OpenAI's `tools`; chats need none."""
    into: NewColumn = "messages"
    """Column of the messages."""
    replace: list[str] = Field(default_factory=list)
    """Columns of the input that a column of the same name takes the place of, as in `replace: [messages]`."""

    def keeps_id(self) -> bool:
        """One trajectory gives one row."""
        return True

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The messages, typed as the form has them, and `functions`."""
        from synthkit.core.types import Json, Optional, parse_type

        return {self.into: parse_type(_MESSAGES[self.form]), "functions": Optional(Json())}

    def check(self, scope: Scope) -> None:
        """`thoughts` is for `openai`; `replace` names columns of both sides."""
        for index, name in enumerate(self.replace):
            if name not in (self.into, "functions") or name not in scope.columns:
                scope.problem(f"replace: {name!r} is not a column of both the input and this step", ("replace", index))
        if self.thoughts != "field" and self.form != "openai":
            scope.problem(f"form: {self.form} has its own place for thoughts", ("thoughts",), help="leave thoughts out")

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its messages; rejected where the form cannot hold them."""
        steps: Sequence[Step] = _escaped(row[self.steps])
        if self.summaries is not None:
            steps = self._summed(steps, ctx.evaluate(self.summaries, row), ctx)
        system = ctx.evaluate(self.system, row)
        trajectory = Trajectory(_escaped(row[self.question]), _escaped(system), steps)
        try:
            messages = self._written(trajectory, ctx)
        except Unwritable as error:
            ctx.reject(f"not {self.form}", Outcome.FILTERED, error=str(error))
        for message in messages:
            message["loss"] = message.get("role", message.get("from")) in _AGENT
        tools = None
        if self.tools and ctx.toolset is not None:
            tools = [{"type": "function", "function": tool} for tool in ctx.toolset.prompt_view()]
        yield row | {self.into: messages, "functions": tools}

    def _written(self, trajectory: Trajectory, ctx: Context) -> list[dict[str, Any]]:
        if self.form == "openai":
            keys = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id")
            return [{key: each.get(key) for key in keys} for each in openai.write(trajectory, self.thoughts)]
        if self.form == "react":
            return react.write(trajectory, ctx.toolset)
        return chatml.write(trajectory) if self.form == "chatml" else sharegpt.write(trajectory)

    def _summed(self, steps: Sequence[Step], texts: Any, ctx: Context) -> list[Step]:
        """The steps with other thoughts; where there was none, there is none."""
        if not isinstance(texts, list) or len(texts) != len(steps):
            found = f"{len(texts)} for {len(steps)} steps" if isinstance(texts, list) else f"{texts!r:.80}, not a list"
            ctx.reject("summaries do not fit", Outcome.FAILED, error=f"{self.summaries} gives {found}")
        return [
            {**step, "thought": (_escaped(text or "").strip() or None) if step["thought"] is not None else None}
            for step, text in zip(steps, texts, strict=True)
        ]


def _escaped(value: Any) -> Any:
    """The value with the special tokens of its texts escaped."""
    if isinstance(value, str):
        return escape_special(value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value
