"""One model call from template to parsed replies: render, look in the journal, ask, journal, parse, ask again.

The journal is asked before the engine, so a finished completion is never paid for twice; a larger `n` keeps its old
samples and asks one new request for the missing ones. What does not parse is asked again with the error shown, under
a key of its own, so that a resumed run takes the same turns.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synthkit.core.engine import Constraint, Message, Request, Role
from synthkit.core.errors import ParseError
from synthkit.core.ids import seed
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.row import Reply
from synthkit.core.store import JournalKey, JournalRecord
from synthkit.core.types import Object, Type, constraint, read_reply
from synthkit.core.vector import from_text

if TYPE_CHECKING:
    from synthkit.execute.context import RowContext

_REASK = (
    "That reply cannot be used: {error}. Answer the request above again, complete and in the required form, "
    "and write nothing else."
)


async def ask(
    ctx: RowContext,
    model: str,
    prompt: str,
    row: Mapping[str, Any],
    *,
    key: str,
    n: int,
    out: Any,
    labels: Sequence[str],
    extra: Mapping[str, Any],
) -> list[Reply]:
    """See `Context.ask`."""
    scope = ctx.runtime.scope
    graph = scope.graph
    assert graph.prompts is not None, "a graph that asks has prompts"
    messages = graph.prompts.get(prompt).messages({**scope.template_context(), **row, **extra})
    type_ = scope.type(out) if out is not None else None
    call = _Call(ctx, model, type_, row, tuple(labels))
    samples = await call.samples(key, messages, n)
    turns = [call.reply(key, messages, index, sample) for index, sample in enumerate(samples[:n])]
    # All end before the first error is raised, so that what is under way for this row is journaled.
    replies = await asyncio.gather(*turns, return_exceptions=True)
    if failed := next((each for each in replies if isinstance(each, BaseException)), None):
        raise failed
    return [reply for reply in replies if isinstance(reply, Reply)]


async def embed(ctx: RowContext, model: str, text: str, *, key: str) -> list[float]:
    """See `Context.embed`."""
    call = _Call(ctx, model, None, {}, (), embed=True)
    (sample,) = await call.samples(key, (Message("user", text),), 1)
    return from_text(sample["text"])


class _Call:
    """What the samples of one `ask` share."""

    def __init__(
        self,
        ctx: RowContext,
        model: str,
        type_: Type | None,
        row: Mapping[str, Any],
        labels: tuple[str, ...],
        *,
        embed: bool = False,
    ) -> None:
        self.ctx = ctx
        self.model = model
        self.type = type_
        self.row = row
        self.labels = labels
        self.embed = embed
        scope = ctx.runtime.scope
        role = scope.graph.roles[model]
        self.role: Role = Role(**{**role.model_dump(), **ctx.changed}) if ctx.changed else role
        self.running = scope.running(model)
        self.toolset = scope.graph.toolset
        self.constraint = self._constraint()

    def _constraint(self) -> Constraint | None:
        if self.type is None or self.labels:
            return None
        found = constraint(self.type, row=self.row, toolset=self.toolset)
        return found if found is not None and found.kind in self.running.config.capabilities() else None

    async def samples(self, key: str, messages: tuple[Message, ...], n: int) -> list[Mapping[str, Any]]:
        """At least `n` samples of one call, from the journal and from the engine."""
        ctx = self.ctx
        scope = ctx.runtime.scope
        request = Request(
            messages=messages,
            role=self.role,
            model=self.model,
            n=n,
            constraint=self.constraint,
            labels=self.labels,
            priority=-ctx.runtime.node.depth,
            run_seed=scope.graph.seed,
            embed=self.embed,
        )
        journal_key = JournalKey(ctx.row_id, ctx.step, key, ctx.attempt, request.digest(scope.identity(self.model)))
        found = [s for record in await scope.store.journal.find(journal_key) for s in record.samples]
        figures = ctx.runtime.figures
        if len(found) >= n:
            figures.replayed += 1
            return found
        first = len(found)
        run_seed = request.run_seed if request.sampled else 0
        asked = replace(request, n=n - first, seed=seed(run_seed, ctx.row_id, ctx.step, key, ctx.attempt, first))
        async with scope.control.request():
            completion, seconds = await self.running.complete(asked)
            scope.control.tokens += completion.usage.completion
        usage = completion.usage
        new: list[Mapping[str, Any]] = [
            {
                "text": s.text,
                "finish": s.finish,
                "reasoning": s.reasoning,
                "label_logprobs": dict(s.label_logprobs) if s.label_logprobs is not None else None,
            }
            for s in completion.samples
        ]
        scope.store.journal.append(
            JournalRecord(
                key=journal_key,
                first=first,
                samples=tuple(new),
                model=self.model,
                prompt_tokens=usage.prompt,
                cached_tokens=usage.cached,
                completion_tokens=usage.completion,
                seconds=seconds,
                at=time.time(),
            )
        )
        figures.requests += 1
        figures.prompt_tokens += usage.prompt
        figures.cached_tokens += usage.cached
        figures.completion_tokens += usage.completion
        if completion.failure is not None:
            raise completion.failure
        return found + new

    async def reply(
        self, key: str, messages: tuple[Message, ...], index: int, sample: Mapping[str, Any]
    ) -> Reply | None:
        """A sample as the action sees it; asked again while it does not parse; None once it is set aside."""
        turns = messages
        for again in range(self.role.reask + 1):
            try:
                fields = self._parse(sample)
            except ParseError as error:
                failure = error
            else:
                return self._reply(key, index, sample, fields)
            if again < self.role.reask:
                turns = (
                    *turns,
                    Message("assistant", sample["text"]),
                    Message("user", _REASK.format(error=failure)),
                )
                sample = (await self.samples(f"{key}/{index}.{again + 1}", turns, 1))[0]
        self.ctx.set_aside(
            Reject(
                step=self.ctx.step,
                row=self.ctx.row_id,
                outcome=Outcome.FAILED,
                reason=failure.reason,
                sample=index,
                key=key,
                attempt=self.ctx.attempt,
                boundary="parse",
                raw=sample["text"],
                detail={"error": str(failure), "finish": sample["finish"]},
            )
        )
        return None

    def _parse(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        text = sample["text"]
        if self.labels:
            return {}
        if sample["finish"] == "length":
            raise ParseError(f"it was truncated after {self.role.max_tokens} tokens; be shorter", "truncated")
        if self.type is None:
            return {}
        value = read_reply(self.type, text, row=self.row, toolset=self.toolset)
        return value if isinstance(self.type, Object) else {"value": value}

    def _reply(self, key: str, index: int, sample: Mapping[str, Any], fields: Mapping[str, Any]) -> Reply:
        def reject(sample_index: int, reason: str, detail: Mapping[str, Any]) -> None:
            self.ctx.set_aside(
                Reject(
                    step=self.ctx.step,
                    row=self.ctx.row_id,
                    outcome=Outcome.FILTERED,
                    reason=reason,
                    sample=sample_index,
                    key=key,
                    attempt=self.ctx.attempt,
                    raw=sample["text"],
                    detail=detail,
                )
            )

        return Reply(
            fields,
            text=sample["text"],
            index=index,
            finish=sample["finish"],
            reasoning=sample["reasoning"],
            probabilities=_probabilities(sample["label_logprobs"]) if self.labels else None,
            reject=reject,
        )


def _probabilities(logprobs: Mapping[str, float] | None) -> dict[str, float]:
    """Probabilities over the labels alone: a softmax of their raw log-probabilities."""
    if not logprobs:
        return {}
    top = max(logprobs.values())
    weights = {label: math.exp(value - top) for label, value in logprobs.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
