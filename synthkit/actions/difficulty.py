"""`difficulty`: how often a model fails at a question, from 0 (always right) to 1 (never).

One call of `n` samples a question; what is right is for an expression to say. With n samples a share can be off by
about 1/sqrt(n): 8 tell easy, open and hopeless questions apart, not 0.4 from 0.5. Samples that cannot be read count as
wrong.
For the difficulty of a whole task with tools use `rollout` with `n`, and `group` its rows by the question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, ClassVar

from pydantic import Field

from synthkit.core.action import Cost, Expr, Model, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Row
from synthkit.core.sizes import Count, Share

REPLY = {"thought": "str", "answer": "str(1..)"}
"""What an attempt replies."""


class Difficulty(RowAction):
    """Let a model answer each question several times, and keep how often it was wrong.

    Gives: `attempts`, the answers that could be read; `difficulty`, the share of `n` that was not right.

    Errors: an attempt that cannot be read is a reject of its own and counts as wrong; a row without any attempt fails.

    Source: solver pass rate, as AgentFrontier calibrates its data.
    """

    verb: ClassVar[str] = "difficulty"
    gives: ClassVar[dict[str, str]] = {"attempts": "[str]", "difficulty": "float(0..1)"}

    model: Model
    """Role that answers; its temperature must be above 0."""
    prompt: Prompt = "en/agent/answer.j2"
    """Template of the question; the reply is `{thought, answer}`."""
    n: Annotated[Count, Field(ge=2)] = 8
    """Attempts at each question."""
    correct: Expr = "attempt | same_answer(answer)"
    """Whether an attempt is right, over the columns and `attempt`, its answer."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """The row itself, with more columns."""
        return True

    def reads(self, scope: Scope) -> frozenset[str]:
        """What the template and the expression read; `attempt` is no column."""
        return super().reads(scope) - {"attempt"}

    def cost(self) -> Cost:
        """One call of `n` samples."""
        return Cost(1, self.n)

    def check(self, scope: Scope) -> None:
        """Attempts that can differ."""
        role = scope.role(self.model)
        if role is not None and role.temperature == 0:
            scope.problem(f"{self.n} attempts at temperature 0 are one attempt", ("model",), help="raise it")
        if role is not None and "json" not in scope.capabilities(self.model):
            scope.problem(f"the engine {role.engine!r} cannot constrain a reply to JSON", ("model",))

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its attempts and the share of wrong ones."""
        replies = await ctx.ask(self.model, self.prompt, row, n=self.n, out=REPLY)
        attempts = [reply.answer for reply in replies]
        right = sum(bool(ctx.evaluate(self.correct, row, attempt=attempt)) for attempt in attempts)
        if attempts:
            yield row | {"attempts": attempts, "difficulty": 1 - right / self.n}
