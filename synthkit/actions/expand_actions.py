"""`expand_actions`: the moves an agent might have made at a step, beside the one it made. None is executed.

One request gives all alternatives, so that the model sees its own and makes them differ; its prompt holds what came
before the step and nothing else, which `check` proves by a closed list of columns. The real step is merged in, all are
shuffled by the run's seed, and `chosen` says where it went. Requests of one trajectory share their beginning.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from synthkit.actions.options import in_order, same, variety
from synthkit.actions.shorten import longest, shortened
from synthkit.core.action import Column, Model, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.errors import RequestRefused
from synthkit.core.row import Child, Reply, Row
from synthkit.core.sizes import Share, Tokens

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type

_PROVIDED = frozenset({"past", "count", "thoughts", "say"})


class ExpandActions(RowAction):
    """Write alternatives to a step of a trajectory from what came before it, and hide the real one among them.

    Alternatives that are no valid call are asked for again; those that do what the real step or another one does are
    left out. `variety` is the mean distance of two options (0..1): half is the tool, half the words of the arguments.

    Gives: `options` in the order they are shown, `chosen` (the number of the real one), `variety`, `repeats`
    (alternatives left out as the same), `past_shortened` (its responses that were cut).

    Errors: filtered `the real call is not valid`, `too few alternatives`, `context too long`; a reply that cannot be
    read fails the step.

    Source: step-level scaling of higher-order action synthesis (AgentFounder, arXiv 2509.13310); the checks are ours.
    """

    verb: ClassVar[str] = "expand_actions"
    gives: ClassVar[Any] = {
        "options": "[{thought: str|none, call: call}]",
        "chosen": "ref(options)",
        "variety": "float(0..1)",
        "repeats": "int(0..)",
        "past_shortened": "int(0..)",
    }

    model: Model
    """Role that writes the alternatives."""
    n: Annotated[int, Field(ge=1, le=16)] = 4
    """Alternatives asked for, the real step not counted."""
    at_least: Annotated[int, Field(ge=1, le=16)] = 1
    """Alternatives that must be left; a step with fewer is set aside. So the number of options may differ."""
    show: Annotated[list[Literal["thought", "call"]], Field(min_length=1, max_length=2)] = Field(
        default=["thought", "call"]
    )
    """What an option shows. Where the real step has no thought all show the call alone: it would be known by that."""
    prompt: Prompt = "en/has/alternatives.j2"
    """Template of the question. Beside `context` it reads `past` (the steps before), `count` (`n`), `thoughts` (are
    they asked for?) and `say` (may the agent talk with a user?)."""
    context: list[Column] = Field(default=["question", "system"])
    """Columns that the template may read: what was known before the first step. It can read no others."""
    step: Column = "step"
    """The real step, `{thought, call, response}`; no template sees it."""
    past: Column = "past"
    """The steps before it."""
    window: Tokens | None = None
    """Most tokens of the prompt, by the spec's tokenizer; left out, the engine's refusal is the limit."""
    overflow: Literal["shorten_oldest_responses", "reject"] = "shorten_oldest_responses"
    """Beyond the window: responses are cut to their first 240 characters, the oldest first, until it fits, and
    `past_shortened` says how many; or the step is set aside, as it also is where that does not help."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """A step stays or goes."""
        return True

    @property
    def blind(self) -> Sequence[str]:
        """What nothing in the template may be computed from: the step, the list it is of, and how it ended."""
        return (self.step, "steps", "final", "correct")

    def provides(self) -> frozenset[str]:
        """The steps before, as far as they are shown, and how many alternatives are wanted."""
        return _PROVIDED

    def check(self, scope: Scope) -> None:
        """Tools, a step and its past, and a template that can give nothing away."""
        from synthkit.core.types import Call, ListOf, Object
        from synthkit.core.types.model import bare

        step, past = (bare(scope.columns[name]) if name in scope.columns else None for name in (self.step, self.past))
        if step is not None and not (isinstance(step, Object) and isinstance(step.fields.get("call"), Call)):
            scope.problem(f"{self.step!r} is {step}, not a step with a `call`", ("step",), help=_UNROLL)
        if past is not None and not (isinstance(past, ListOf) and past.of == step):
            scope.problem(f"{self.past!r} is {past}, not a list of steps", ("past",), help=_UNROLL)
        real, before = scope.part_of(self.step), scope.part_of(self.past)
        if real is not None and before != replace(real, take="before"):
            scope.problem(f"{self.past!r} is not what came before {self.step!r}", ("past",), help=_UNROLL)
        if "call" not in self.show:
            scope.problem("an option without its call is none", ("show",), help="show: [call], or [thought, call]")
        if self.at_least > self.n:
            scope.problem(f"{self.n} alternatives are never {self.at_least}", ("at_least",))
        if scope.toolset is None:
            scope.problem("alternatives need tools", help="name a `toolset:` at the top of the spec")
        role = scope.role(self.model)
        if role is not None and "json" not in scope.capabilities(self.model):
            scope.problem(f"the engine {role.engine!r} cannot constrain a reply to JSON", ("model",))
        for index, name in enumerate(self.context):
            if name in self.blind or (step is not None and _holds(scope.columns.get(name), step)):
                scope.problem(f"{name!r} was not known before the step", ("context", index))
        prompt = scope.prompt(self.prompt, ("prompt",))
        read = {} if prompt is None else prompt.reads
        for name in sorted(read.keys() - _PROVIDED - set(self.context)):
            scope.problem(
                f"the template reads {name!r} at {read[name]}, which is not among `context`",
                ("prompt",),
                help="a model that sees the step, or what came after it, gives it away",
            )

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The step with its options, or a reject that says what was wrong."""
        toolset = ctx.toolset
        assert toolset is not None, "checked by the plan"
        step = row[self.step]
        if wrong := toolset.problem(step["call"]):
            ctx.reject("the real call is not valid", error=wrong)  # among valid ones it would be told by that
        thoughts = "thought" in self.show and bool((step["thought"] or "").strip())
        reply, cut = await self._ask(row, thoughts, ctx)
        if reply is None:
            return
        options = self._options(step, reply.alternatives, toolset, thoughts)
        if len(options) <= self.at_least:
            ctx.reject("too few alternatives", alternatives=len(options) - 1, written=len(reply.alternatives))
        order = list(range(len(options)))
        ctx.rng("order").shuffle(order)
        yield row | {
            "options": [options[at] for at in order],
            "chosen": str(order.index(0) + 1),
            "variety": variety([option["call"] for option in options]),
            "repeats": len(reply.alternatives) + 1 - len(options),
            "past_shortened": cut,
        }

    def _options(
        self, step: Mapping[str, Any], written: Sequence[Mapping[str, Any]], toolset: Toolset, thoughts: bool
    ) -> list[dict[str, Any]]:
        """The real step, then each alternative that does something else than those before it."""
        options: dict[bytes, dict[str, Any]] = {}
        for each in (step, *written):
            thought = each["thought"].strip() if thoughts else None
            if thought != "":
                options.setdefault(same(each["call"]), {"thought": thought, "call": in_order(each["call"], toolset)})
        return list(options.values())

    async def _ask(self, row: Row, thoughts: bool, ctx: Context) -> tuple[Reply | None, int]:
        """The reply to as much of the past as fits, and how many of its responses were shortened."""
        known = {name: row[name] for name in self.context}
        say = ctx.toolset is not None and ctx.toolset.say
        wanted = {"thought": "str(1..4000)", "call": "call"} if thoughts else {"call": "call"}
        out = {"alternatives": f"[{{{', '.join(f'{k}: {v}' for k, v in wanted.items())}}}]({self.at_least}..{self.n})"}
        most = longest(row[self.past]) if self.overflow == "shorten_oldest_responses" else 0

        def shown(cut: int) -> dict[str, Any]:
            return {"past": shortened(row[self.past], cut), "count": self.n, "thoughts": thoughts, "say": say}

        def fits(cut: int) -> bool:
            return self._fits(known, shown(cut), ctx)

        first = 0 if fits(0) else bisect_left(range(most + 1), True, lo=1, key=fits)
        for cut in range(first, most + 1):
            try:
                found = await ctx.ask(self.model, self.prompt, known, out=out, **shown(cut))
            except RequestRefused as refused:
                if refused.reason != "too long":
                    raise
            else:
                return (found[0] if found else None), cut
        return ctx.reject("context too long", shortened=most)

    def _fits(self, known: Mapping[str, Any], shown: Mapping[str, Any], ctx: Context) -> bool:
        """Whether the prompt is within the window; its bytes are never fewer than its tokens."""
        if self.window is None:
            return True
        text, _ = ctx.render(self.prompt, known, **shown)
        return len(text.encode()) <= self.window or ctx.count_tokens(text) <= self.window


_UNROLL = "`unroll` with `item` and `past` gives both, from the steps of `as_trajectory`"


def _holds(type: Type | None, step: Type) -> bool:
    """Whether values of the type have steps in them."""
    from synthkit.core.types.schema import parts

    return type is not None and any(part == step for part in parts(type))
