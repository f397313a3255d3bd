"""`summarise_state`: a run as single turns over a report that stands for its past: (S, a, o) -> (S', thought, a').

After Tongyi DeepResearch (arXiv 2510.24701, context management): the next step is decided from the question, the report
and the newest result alone. So report k is written from report k-1 and step k, never from later steps, one call after
another: a run of 20 steps costs 19 short calls, whose prompts do not grow with it. Where a report fails, the later
turns of the run are left out, for they would stand on nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import Field

from synthkit.core.action import Column, Cost, Model, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Row
from synthkit.core.sizes import Share

_PROVIDED = frozenset({"state", "call", "response", "length"})


class SummariseState(RowAction):
    """Make a turn of each step but the last: the report so far, a call, its response; the new report, the next step.

    Gives: a row for each turn: `k`, `state` (the report before), `seen` (`{call, response}`), `next_state`, and the
    next step's `thought` and `call`.

    Errors: filtered `one step only`; a report that cannot be read ends the turns of its run.

    Source: context management of the Tongyi DeepResearch report (arXiv 2510.24701).
    """

    verb: ClassVar[str] = "summarise_state"
    gives: ClassVar[Any] = {
        "k": "int(1..)",
        "state": "str",
        "seen": "{call: call, response: str}",
        "next_state": "str",
        "thought": "str|none",
        "call": "call",
    }

    model: Model
    """Role that writes the reports."""
    prompt: Prompt = "en/agent/state.j2"
    """Template of the question. Beside `context` it reads `state` (the report so far, empty at first), the `call` that
    was made, its `response`, and `length`."""
    context: list[Column] = Field(default=["question", "system"])
    """Columns that the template may read: what was known before the first step. It can read no others."""
    steps: Column = "steps"
    """The steps, `[{thought, call, response}]`."""
    length: Annotated[int, Field(ge=100, le=20_000)] = 2000
    """Most characters of a report."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def provides(self) -> frozenset[str]:
        """The report, the newest call and its response."""
        return _PROVIDED

    def cost(self) -> Cost:
        """Seven turns a run, until a pilot says better."""
        return Cost(calls=7, rows=7)

    def check(self, scope: Scope) -> None:
        """Steps that are some, and a template that sees no step but the newest."""
        from synthkit.core.types import Call, ListOf, Object
        from synthkit.core.types.model import bare

        declared = bare(scope.columns[self.steps]) if self.steps in scope.columns else None
        if declared is not None:
            step = bare(declared.of) if isinstance(declared, ListOf) else None
            if not (isinstance(step, Object) and isinstance(step.fields.get("call"), Call)):
                scope.problem(f"{self.steps!r} is {declared}, not steps with a `call`", ("steps",), help=_TRAJECTORY)
        if self.steps in self.context:
            scope.problem(f"{self.steps!r} holds what came later", ("context",))
        prompt = scope.prompt(self.prompt, ("prompt",))
        for name in sorted(set(prompt.reads if prompt else ()) - _PROVIDED - set(self.context)):
            where = prompt.reads[name] if prompt else ""
            scope.problem(
                f"the template reads {name!r} at {where}, which is not among `context`",
                ("prompt",),
                help="a report that knows what came later teaches to guess",
            )

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """A turn for each step that has a next one, in order; the run is set aside where there is none."""
        steps = row[self.steps]
        if len(steps) < 2:
            ctx.reject("one step only")
        known = {name: row[name] for name in self.context}
        state = ""
        for number, (seen, after) in enumerate(pairwise(steps), 1):
            done = {"call": seen["call"], "response": seen["response"] or ""}
            out = {"state": f"str(1..{self.length})"}
            shown = {**done, "state": state, "length": self.length}
            replies = await ctx.ask(self.model, self.prompt, known, key=f"state {number}", out=out, **shown)
            if not replies:
                return
            columns = {"k": number, "state": state, "seen": done, "next_state": replies[0].state}
            yield row.child({**columns, "thought": after["thought"], "call": after["call"]}, (number,))
            state = replies[0].state


_TRAJECTORY = "`as_trajectory` and `rollout` give such steps"
