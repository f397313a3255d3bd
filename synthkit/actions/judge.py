"""`judge`: a rubric of criteria, each a probability.

`score: votes` asks once for `votes` samples that judge every criterion; p is the share of the first label, with the
reasons kept. `score: logprob` asks one token a criterion and reads the probability of the first of two labels: the same
prompt prefix serves all criteria, a judgement costs one token instead of about 60, and p is not a multiple of 1/votes.
The result is one struct column named after the step, so `pl.col("aligned").struct.field("logic")` is a figure to plot.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Cost, Expr, Model, OutType, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Row, Value
from synthkit.core.sizes import Count, Share

if TYPE_CHECKING:
    from synthkit.core.types import Choice, Type

_CRITERION = re.compile(r"""\bp\(\s*['"]?(\w+)""")
_RESERVED = frozenset({"reason", "reasons"})
_WORDS = frozenset({"true", "false", "none", "not", "and", "or", "in", "is", "if", "else"})
"""Words of expressions: `p(true)` is not the probability of a criterion."""


class Judge(RowAction):
    """Let a model judge each row by a rubric; rows that fail what `keep` demands are set aside with their scores.

    Gives: one column named after the step: of each criterion the probability of its first label, with votes also their
    `reasons`.

    Errors: filtered `not NAME`, with all scores; a judgement that cannot be read fails the row.

    Source: AgentFounder's filters by a judge; scores by log-probability after G-Eval (arXiv 2303.16634).
    """

    verb: ClassVar[str] = "judge"

    model: Model
    """Role that judges."""
    prompt: Prompt
    """Template; with `score: logprob` it reads `criterion`, one at a time, best as its last line."""
    rubric: dict[str, OutType] = Field(min_length=1)
    """Criterion -> labels, the good one first: `logic: pass|fail`."""
    score: Literal["votes", "logprob"] = "votes"
    """How a probability is come by: the share of votes, or the model's own probability of the label."""
    votes: Annotated[Count, Field(ge=1)] = 1
    """Samples of the one call of `score: votes`."""
    keep: dict[str, Expr] = Field(default_factory=dict)
    """Name -> expression over `p(criterion)`, columns and vars; the first false one rejects the row, "not <name>"."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """A row is judged or goes."""
        return True

    def provides(self) -> frozenset[str]:
        """`criteria`: all names; `criterion`: the one asked for (logprob)."""
        return frozenset({"criterion", "criteria"})

    def cost(self) -> Cost:
        """One call of `votes` samples, or one call a criterion."""
        return Cost(len(self.rubric)) if self.score == "logprob" else Cost(1, self.votes)

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """One struct named after the step: a probability for each criterion, and the votes' reasons."""
        from synthkit.core.types import Float, ListOf, Object, Str

        fields: dict[str, Type] = dict.fromkeys(self.rubric, Float(0, 1))
        if self.score == "votes":
            fields["reasons"] = ListOf(Str())
        return {_column(scope.step): Object(fields)}

    def check(self, scope: Scope) -> None:
        """Labels, sampling and templates that cannot give what `score` needs."""
        for name, declared in self.rubric.items():
            self._check_labels(name, scope.type(declared, ("rubric", name)), scope)
        role = scope.role(self.model)
        if self.votes > 1 and self.score == "logprob":
            scope.problem(
                f"score: logprob reads a probability; {self.votes} votes would be the same {self.votes} times",
                ("votes",),
                help="leave votes out, or write score: votes",
            )
        elif self.votes > 1 and role is not None and role.temperature == 0:
            scope.problem(
                f"{self.votes} votes at temperature 0 are one vote {self.votes} times",
                ("votes",),
                help=f"give {self.model!r} a temperature, or write score: logprob",
            )
        if self.score == "logprob" and role is not None and "labels" not in scope.capabilities(self.model):
            scope.problem(
                f"the engine {role.engine!r} of {self.model!r} cannot give the probabilities of labels",
                ("score",),
                help="write score: votes, or use an engine that can",
            )
        for name, text in self.keep.items():
            for criterion in _CRITERION.findall(text):
                if criterion not in self.rubric:
                    known = f"the rubric has {', '.join(self.rubric)}"
                    scope.problem(f"p({criterion}): there is no such criterion", ("keep", name), help=known)
        prompt = scope.prompt(self.prompt, ("prompt",))
        if prompt is None:
            return
        if self.score == "votes" and "criterion" in prompt.reads:
            scope.problem(
                f"score: votes asks all criteria at once; the template reads `criterion` ({prompt.reads['criterion']})",
                ("prompt",),
                help="write score: logprob, or a template that asks for a reason and every criterion as JSON",
            )
        if self.score == "logprob" and len(self.rubric) > 1 and "criterion" not in prompt.reads:
            scope.problem(
                "score: logprob asks one criterion at a time, and the template does not read `criterion`",
                ("prompt",),
                help="end the template with: Criterion: {{ criterion }}",
            )

    def _check_labels(self, name: str, type: Type | None, scope: Scope) -> None:
        from synthkit.core.types import Choice

        if name in _RESERVED:
            scope.problem(f"a criterion cannot be called {name!r}: the reasons of the votes are", ("rubric", name))
        if name.lower() in _WORDS:
            scope.problem(f"a criterion cannot be called {name!r}, a word of expressions", ("rubric", name))
        if type is not None and not isinstance(type, Choice):
            scope.problem(f"{name!r} needs labels, not {type}", ("rubric", name), help="write pass|fail")
        elif isinstance(type, Choice) and self.score == "logprob" and len(type.values) != 2:
            scope.problem(f"score: logprob needs two labels, {name!r} has {len(type.values)}", ("rubric", name))

    @cached_property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Criterion -> labels, parsed once."""
        from synthkit.core.types import parse_type

        found: dict[str, tuple[str, ...]] = {}
        for name, declared in self.rubric.items():
            choice: Choice = parse_type(declared)  # type: ignore[assignment]  # `check` has seen to it
            found[name] = tuple(choice.values)
        return found

    @cached_property
    def reply(self) -> Type:
        """What a vote says: a reason, then a label for each criterion."""
        from synthkit.core.types import parse_type

        return parse_type({"reason": "str(..600)", **self.rubric})

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its scores, or a reject that carries them; nothing where no vote could be read."""
        scores = await (self._by_logprob(row, ctx) if self.score == "logprob" else self._by_votes(row, ctx))
        if scores is None:
            return
        for name, text in self.keep.items():
            if not ctx.evaluate(text, row, p=_Probability(scores)):
                ctx.reject(f"not {name}", **scores)
        yield row | {_column(ctx.step): scores}

    async def _by_votes(self, row: Row, ctx: Context) -> dict[str, Value] | None:
        replies = await ctx.ask(
            self.model, self.prompt, row, n=self.votes, out=self.reply, criteria=list(self.rubric), criterion=None
        )
        if not replies:
            return None
        scores: dict[str, Value] = {
            name: sum(reply[name] == labels[0] for reply in replies) / len(replies)
            for name, labels in self.labels.items()
        }
        return scores | {"reasons": [reply["reason"] for reply in replies]}

    async def _by_logprob(self, row: Row, ctx: Context) -> dict[str, Value] | None:
        from synthkit.actions.together import together

        criteria = list(self.rubric)
        answers = await together(
            ctx.ask(self.model, self.prompt, row, key=name, labels=self.labels[name], criteria=criteria, criterion=name)
            for name in criteria
        )
        scores: dict[str, Value] = {}
        for name, replies in zip(criteria, answers, strict=True):
            if not replies or not replies[0].probabilities:
                return None
            scores[name] = replies[0].probabilities[self.labels[name][0]]
        return scores


class _Probability:
    """`p(criterion)` in `keep`: the probability of its first label; `p("logic")` and `p(logic)` are the same."""

    def __init__(self, scores: Mapping[str, Value]) -> None:
        """`scores` by criterion."""
        self.scores = scores

    def __call__(self, criterion: str) -> float:
        """The probability of a criterion; a wrong name says which there are."""
        try:
            return float(self.scores[criterion])
        except KeyError:
            known = ", ".join(name for name in self.scores if name != "reasons")
            raise KeyError(f"p({criterion}): there is no such criterion; the rubric has {known}") from None


def _column(step: str) -> str:
    """The struct column's name: the step's, without the composite it is part of."""
    return step.rpartition(".")[2]
