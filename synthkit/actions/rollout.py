"""`rollout`: a model at work as an agent, turn by turn, with tools that need no network.

A turn is one journaled question and, where it ends in a call, one journaled response, so a killed rollout goes on from
its last turn and repeats neither. The transcript is handed to the template whole; each turn's prompt begins with the
turn before, which a prefix cache serves. What did not fit the model's window is told in `ended` and `shortened`, and
errors put in on purpose in `injected`, so that filters can tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from synthkit.actions.shorten import longest, shortened
from synthkit.actions.together import together
from synthkit.actions.tools.kit import Kit, Tools, check, depends
from synthkit.core.action import Column, Cost, Model, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.errors import RequestRefused
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Reply, Row, Value
from synthkit.core.sizes import Count, Share, Tokens
from synthkit.core.trajectory import STEP

REPLY = {"thought": "str", "call": "call"}
"""What a turn replies."""
ERRORS: Mapping[str, str] = {
    "timeout": "Error: the tool did not answer in time",
    "server": "Error 500: the tool failed on its side",
    "empty": "",
}
"""Responses that are put in at the rate of `errors`, by name."""


class Rollout(RowAction):
    """Run a model as an agent: thought, call, response, and again, until it answers. Gives a trajectory.

    Gives: `steps` of `{thought, call, response}`; `final`, none without an answer; `turns`; `ended` by `answer`,
    `limit` or `window`; `injected`, numbers of the steps with an error put in; `shortened`, responses the agent saw
    cut.

    Errors: failed `too long` where not even the first turn fits; a turn that cannot be read fails its rollout. What a
    tool cannot do is a response, `Error: ...`.

    Source: ReAct (arXiv 2210.03629) in an offline world as of OpenResearcher; injected errors after Step-DeepResearch.
    """

    verb: ClassVar[str] = "rollout"
    gives: ClassVar[dict[str, str]] = {
        "steps": f"[{STEP}]",
        "final": "str|none",
        "turns": "int",
        "ended": "answer|limit|window",
        "injected": "[int]",
        "shortened": "int",
    }

    model: Model
    """Role that is the agent."""
    tools: Annotated[Tools, Field(min_length=1)]
    """Name in the toolset -> settings of the tool that answers: `search: {corpus: {path: docs.jsonl}}`. `tool:` in the
    settings names one of another name: `PythonInterpreter: {tool: python}`."""
    turns: Annotated[Count, Field(ge=1)] = 10
    """Most turns; the last one can only answer: a call in it is kept and not made."""
    n: Annotated[Count, Field(ge=1)] = 1
    """Rollouts of each row."""
    question: Column = "question"
    """What the agent is asked."""
    prompt: Prompt = "en/agent/turn.j2"
    """Template of a turn; beside columns it reads `question`, `steps` (so far) and `last` (is it the last turn?)."""
    errors: Share = 0.0
    """Share of calls that get an error in place of a response (`timeout`, `server`, `empty`), to teach recovery."""
    window: Tokens | None = None
    """Most tokens of a turn's prompt, by the spec's tokenizer; left out, the engine's refusal is the limit."""
    overflow: Literal["stop", "shorten_oldest_responses"] = "stop"
    """Beyond the window: end the rollout, or show responses cut to their first 240 characters, the oldest first, until
    it fits; `shortened` says how many, and `steps` holds them whole."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """One rollout is the row itself with more columns."""
        return self.n == 1

    def provides(self) -> frozenset[str]:
        """What a turn is about."""
        return frozenset({"question", "steps", "last"})

    def cost(self) -> Cost:
        """As if every rollout took all its turns."""
        return Cost(calls=self.n * self.turns, rows=self.n)

    def depends(self) -> Mapping[str, Value]:
        """The code of the tools and what they read."""
        return depends(self.tools)

    def check(self, scope: Scope) -> None:
        """Tools and toolset that fit each other; sampling that can differ."""
        if scope.toolset is None:
            scope.problem("a rollout needs tools", ("tools",), help="name a `toolset:` at the top of the spec")
        elif scope.toolset.say:
            said = f"the agent of {scope.toolset.toolset!r} talks with a user (`say: true`), and a rollout has none"
            scope.problem(said, ("tools",), help="use a toolset without `say`")
        else:
            check(self.tools, scope.toolset, scope, "tools")
        role = scope.role(self.model)
        if role is not None and role.temperature == 0 and self.n > 1:
            scope.problem(f"{self.n} rollouts at temperature 0 are all the same", ("n",), help="n: 1")
        if role is not None and "json" not in scope.capabilities(self.model):
            scope.problem(f"the engine {role.engine!r} cannot constrain a reply to JSON", ("model",))

    @cached_property
    def kit(self) -> Kit:
        """The tools, opened when they are first used."""
        return Kit(self.tools)

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """A row for each rollout that came to at least one turn."""
        for number, done in enumerate(await together(self._rollout(row, ctx, number) for number in range(self.n))):
            if done is not None:
                yield row.child(done, (number,))

    async def _rollout(self, row: Row, ctx: Context, number: int) -> dict[str, Value] | None:
        """The columns of one rollout; None where a turn's reply could not be used (it is among the rejects)."""
        talk = _Talk(self, row, ctx, f"{number}." if number else "")  # a larger `n` keeps what there is
        ended: str = "limit"
        for turn in range(1, self.turns + 1):
            try:
                reply = await talk.reply(turn)
            except RequestRefused as refused:
                if refused.reason != "too long":
                    raise
                if turn == 1:
                    ctx.reject("too long", Outcome.FAILED, error=str(refused))
                ended = "window"
                break
            if reply is None:
                return None
            await talk.respond(turn, reply)
            if reply.call["final"] is not None:
                ended = "answer"
                break
        final = talk.steps[-1]["call"]["final"]
        told = {"turns": len(talk.steps), "ended": ended, "injected": talk.injected, "shortened": talk.shortened}
        return {"steps": talk.steps, "final": final, **told}


@dataclass
class _Talk:
    """One rollout on its way."""

    action: Rollout
    row: Row
    ctx: Context
    prefix: str
    """Begins the keys of its questions and responses."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    injected: list[int] = field(default_factory=list)
    """Numbers of the steps (from 1) whose response is an error that was put in."""
    shortened: int = 0
    """Responses that the agent sees cut."""

    async def reply(self, turn: int) -> Reply | None:
        """Ask for a turn; RequestRefused (`too long`) where nothing more can be cut."""
        action = self.action
        while True:
            seen: dict[str, Any] = {
                "question": self.row[action.question],
                "steps": shortened(self.steps, self.shortened),
                "last": turn == action.turns,
            }
            try:
                self._fits(seen)
                key = f"{self.prefix}{turn}"
                asked = await self.ctx.ask(action.model, action.prompt, self.row, key=key, out=REPLY, **seen)
            except RequestRefused as refused:
                if refused.reason != "too long" or action.overflow == "stop" or self.shortened >= longest(self.steps):
                    raise
                self.shortened += 1
            else:
                return asked[0] if asked else None

    async def respond(self, turn: int, reply: Reply) -> None:
        """Take the step: make its call, unless it is an answer or the last turn's."""
        call = reply.call
        response: str | None = None
        if call["final"] is None and turn < self.action.turns:
            rng = self.ctx.rng("error", self.row.id, self.prefix, turn)
            if rng.random() < self.action.errors:
                self.injected.append(turn)
                response = ERRORS[rng.choice(sorted(ERRORS))]
            else:
                response = await self.action.kit.use(self.ctx, f"{self.prefix}{turn}", call)
        thought = (reply.thought or reply.reasoning or "").strip()
        self.steps.append({"thought": thought or None, "call": call, "response": response})

    def _fits(self, seen: Mapping[str, Any]) -> None:
        """Hold a prompt against the window before it is sent."""
        most = self.action.window
        if most is None:
            return
        text, _ = self.ctx.render(self.action.prompt, self.row, **seen)
        if (tokens := self.ctx.count_tokens(text)) > most:
            raise RequestRefused(f"the prompt has {tokens} tokens, the window takes {most}", "too long")
