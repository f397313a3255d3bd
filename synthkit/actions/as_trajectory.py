"""`as_trajectory`: what an agent once did, in any of five forms, as question, steps and verdict.

The one door for finished runs: everything behind it (unrolling, alternatives, training text) sees one form. No model
is asked. What is malformed is set aside with the message that is at fault, never mended: a trajectory with a hole
would teach the hole. About 15 us a step (1,229 steps of tau-bench's airline runs).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Expr, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Row
from synthkit.core.trajectory import COLUMNS, Malformed, parse

_OWN = COLUMNS.keys() - {"correct"}
"""What `correct` may read beside the columns."""


class AsTrajectory(RowAction):
    """Read a finished run: each row becomes a question and steps of thought, call and response.

    A thought that the run does not hold is none, never invented. Calls made side by side become a step each, in order,
    the thought on the first. Text beside a call is its thought. An observation after the final answer of ReAct, which
    tells the verdict, is left out. The names of a ReAct action and of its argument are those of the spec's toolset
    where it has the tool.

    Gives: `question`, `system`, `steps` of `{thought, call, response}`, `final` (none where no answer was given),
    `correct`.

    Errors: failed `malformed`, with the message or line at fault; failed `no question`; failed `no verdict` where
    `correct` gives neither true nor false.

    Source: the trajectories (Q, S, R, J) of AgentFounder; the forms are those of public data.
    """

    verb: ClassVar[str] = "as_trajectory"
    gives: ClassVar[Any] = COLUMNS

    messages: Expr
    """The run: a list of messages, an object or text, whichever its form has, or the JSON text of these; a column or an
    expression over columns."""
    format: Literal["auto", "openai", "chatml", "sharegpt", "sweagent", "react"] = "auto"
    """The form: `openai` (chat messages with `tool_calls`), `chatml` (`<think>`, `<tool_call>`, `<tool_response>`,
    `<answer>` in messages or text, also calls as `<function=name>`), `sharegpt` (`from` and `value`, with the same
    tags), `sweagent` (the object of a `.traj` file, its `history` or its `trajectory`), `react` (Thought, Action,
    Observation, in English or Chinese). `auto` tells each row's form by its shape."""
    question: Expr | None = None
    """The question, where it is not all that the user says first: `messages[1].content | after("User: ")`."""
    correct: Expr | None = None
    """Whether the run ended well, over the columns and `question`, `system`, `steps`, `final` (the answer, or none):
    `reward >= 1`, `final | same_answer(gold)`. Left out, `correct` is none, for a judge to say later."""
    say: bool | None = None
    """Whether the agent talks with a user: its words are then steps, the user's replies their responses, and its last
    words, to which nobody replies, the final answer. Left out: as the spec's toolset says; without one, no."""
    replace: list[str] = Field(default_factory=list)
    """Columns of the input that a column of the same name takes the place of, as in `replace: [question]`."""

    def keeps_id(self) -> bool:
        """One run gives one trajectory."""
        return True

    def reads(self, scope: Scope) -> frozenset[str]:
        """What the expressions name, but for what the trajectory itself gives to `correct`."""
        given = {"messages": self.messages, "question": self.question}
        found = {name for at, text in given.items() if text for name in _names(scope, text, at)}
        return frozenset(found | (_names(scope, self.correct, "correct") - _OWN if self.correct else set()))

    def check(self, scope: Scope) -> None:
        """`replace` names columns of both sides; `correct` is true or false."""
        from synthkit.core.types import Bool, Json, parse_type
        from synthkit.core.types.model import bare

        for index, name in enumerate(self.replace):
            if name not in COLUMNS or name not in scope.columns:
                known = ", ".join(each for each in COLUMNS if each in scope.columns) or "none"
                scope.problem(
                    f"replace: {name!r} is not a column of both the input and the trajectory",
                    ("replace", index),
                    help=f"those that are: {known}",
                )
        expression = scope.expr(self.correct, ("correct",)) if self.correct else None
        if expression is None:
            return
        own = {name: parse_type(COLUMNS[name]) for name in _OWN}
        kind = expression.infer({**scope.columns, **own}, scope.vars)
        if kind is not None and not isinstance(bare(kind), Bool | Json):
            scope.problem(
                f"`correct` must be true or false, and {self.correct} is {kind}",
                ("correct",),
                help="compare it, as in  reward >= 1",
            )

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The trajectory's columns, or a reject that names the message at fault."""
        question = self._question(row, ctx)
        say = self.say if self.say is not None else ctx.toolset is not None and ctx.toolset.say
        value = ctx.evaluate(self.messages, row)
        try:
            found = parse(self.format, value, say=say, question=question, toolset=ctx.toolset)
        except Malformed as error:
            ctx.reject("malformed", Outcome.FAILED, error=str(error))
        columns: dict[str, Any] = {**found._asdict(), "final": found.final}
        yield row | {**columns, "correct": self._correct(row, columns, ctx)}

    def _question(self, row: Row, ctx: Context) -> str | None:
        if self.question is None:
            return None
        question = ctx.evaluate(self.question, row)
        if not isinstance(question, str) or not question.strip():
            ctx.reject("no question", Outcome.FAILED, error=f"{self.question} gives {question!r:.80}")
        return question.strip()

    def _correct(self, row: Row, columns: Mapping[str, Any], ctx: Context) -> bool | None:
        """The verdict; 0 and 1 are taken for one, anything between is not."""
        if self.correct is None:
            return None
        correct = ctx.evaluate(self.correct, row, **columns)
        if correct is not None and correct not in (0, 1):
            ctx.reject("no verdict", Outcome.FAILED, error=f"{self.correct} gives {correct!r:.80}, not true or false")
        return None if correct is None else bool(correct)


def _names(scope: Scope, text: str, at: str) -> set[str]:
    expression = scope.expr(text, (at,))
    return set(expression.names) if expression else set()
