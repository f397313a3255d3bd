"""Row actions without a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from synthkit.core.action import RowAction
from synthkit.core.context import Context
from synthkit.core.engine import Request, Role, Sample
from synthkit.core.outcome import Outcome
from synthkit.core.row import Child, Row
from synthkit.testing import RecordingContext, ScriptedConfig, ScriptedEngine

PROMPTS = {"ask.j2": "Name the {{ thing }} of {{ place }}{% if vars.short is defined %} in a word{% endif %}.\n"}


class Name(RowAction):
    """Names things."""

    verb: ClassVar[str] = "name"
    n: int = 2
    least: int = 0

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """One row for each sample."""
        if not row["place"]:
            ctx.reject("no place", Outcome.FILTERED, place=row["place"])
        for reply in await ctx.ask("writer", "ask.j2", row, n=self.n, out={"name": "str(1..20)"}, thing="bridge"):
            if len(reply.name) < self.least:
                reply.reject("too short", length=len(reply.name))
            else:
                yield row | reply


def context(*replies: str, **fields: object) -> RecordingContext:
    waiting = list(replies)

    def script(request: Request) -> list[str | Sample]:
        return [waiting.pop(0) for _ in range(request.n)]

    engine = ScriptedEngine(ScriptedConfig(), script) if replies else None
    return RecordingContext(engine=engine, prompts=PROMPTS, **fields)  # type: ignore[arg-type]


async def test_an_action_gets_replies_and_gives_rows() -> None:
    ctx = context('{"name": "Old"}', '{"name": "New"}', vars={"short": True})
    ran = await ctx.run(Name(), {"place": "Roun"})
    assert ran.rows == [{"name": "Old"}, {"name": "New"}]
    assert [child.path for child in ran.children] == [(0,), (1,)]
    (asked,) = ctx.asked
    assert asked.request.messages[-1].content.strip() == "Name the bridge of Roun in a word."
    assert asked.request.constraint is not None
    assert asked.request.constraint.value["properties"]["name"]["maxLength"] == 20


async def test_what_does_not_parse_is_asked_again_and_then_set_aside() -> None:
    ctx = context('{"name": []}', '{"name": "New"}', '{"name": "Mended"}')
    ran = await ctx.run(Name(), {"place": "Roun"})
    assert [row["name"] for row in ran.rows] == ["Mended", "New"]
    assert len(ctx.asked) == 2
    assert ctx.asked[1].request.messages[-2].content == '{"name": []}'
    ctx = context('{"name": []}', '{"name": "New"}', '{"name": {}}')
    ran = await ctx.run(Name(), {"place": "Roun"})
    assert [row["name"] for row in ran.rows] == ["New"]
    (reject,) = ctx.rejects
    assert (reject.sample, reject.boundary, reject.outcome, reject.raw) == (
        0,
        "parse",
        Outcome.FAILED,
        '{"name": {}}',
    )


async def test_rejected_rows_and_samples_are_kept() -> None:
    ctx = context('{"name": "A"}', '{"name": "Brig"}')
    ran = await ctx.run(Name(least=2), {"place": "Roun"})
    assert ran.rows == [{"name": "Brig"}]
    assert [(reject.sample, reject.reason) for reject in ctx.rejects] == [(0, "too short")]
    ran = await ctx.run(Name(), {"place": ""})
    assert ran.rows == []
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.outcome, ran.reject.detail) == ("no place", Outcome.FILTERED, {"place": ""})


async def test_without_a_script_replies_are_drawn_from_the_type() -> None:
    first, second = [await context().run(Name(n=3), {"place": "Roun"}) for _ in range(2)]
    assert len(first.rows) == 3
    assert first.rows == second.rows


async def test_labels_become_probabilities() -> None:
    ctx = context(models={"judge": Role(engine="it")})
    (reply,) = await ctx.ask("judge", "ask.j2", {"place": "x"}, labels=("yes", "no"), thing="y")
    assert reply.probabilities is not None
    assert sum(reply.probabilities.values()) == pytest.approx(1)
    assert ctx.asked[0].request.constraint is None


async def test_effects_are_done_once_and_expressions_see_vars() -> None:
    ctx = context(vars={"k": 2})
    calls = []

    async def work() -> int:
        calls.append(1)
        return 7

    assert [await ctx.effect("clock", work) for _ in range(2)] == [7, 7]
    assert calls == [1]
    assert ctx.evaluate("a + vars.k", {"a": 1}) == 3
    assert ctx.rng("a").random() == context().rng("a").random()
    with pytest.raises(LookupError, match="no store"):
        _ = ctx.store
