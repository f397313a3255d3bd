"""`filter`, `let` and `render`: row actions that ask no model."""

from __future__ import annotations

from typing import Any

import pytest

from synthkit.actions.filter import Filter
from synthkit.actions.let import Let
from synthkit.actions.render import Render
from synthkit.core.outcome import Outcome
from synthkit.core.resources import shipped
from synthkit.core.row import Row
from synthkit.core.toolset import load_toolset
from synthkit.testing.context import RecordingContext

from .fakes import FakeScope, types

COLUMNS = types({"n": "int", "title": "str", "items": [{"id": "str", "size": "int"}], "extra": "json"})
ROW = Row("r", {"n": 3, "title": "The Ilde rose by 4 % in 2021.", "items": [{"id": "a", "size": 1}], "extra": {"k": 1}})


async def test_rows_pass_when_all_is_true_and_keep_their_id() -> None:
    action = Filter(where={"small": "n < 5", "titled": "title"})
    ran = await RecordingContext().run(action, ROW)
    assert ran.rows == [{}]
    assert action.keeps_id()


async def test_the_first_false_name_is_the_reason() -> None:
    action = Filter(where={"small": "n < vars.most", "even": "n % 2 == 0", "never": "false"})
    ran = await RecordingContext(vars={"most": 5}).run(action, ROW)
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.outcome) == ("not even", Outcome.FILTERED)


async def test_calls_are_checked_against_the_toolset_without_a_model() -> None:
    ctx = RecordingContext(toolset=load_toolset(shipped("toolsets") / "deep_research.yaml"))
    action = Filter(where={"valid_call": "call is valid"})
    good = {"name": "search", "arguments": {"query": ["Ilde"]}, "final": None, "text": "Ilde"}
    bad = {"name": "search", "arguments": {"query": "Ilde"}, "final": None, "text": "Ilde"}
    assert (await ctx.run(action, {"call": good})).reject is None
    assert (await ctx.run(action, {"call": bad})).reject is not None


def test_filter_reads_what_its_expressions_mention() -> None:
    scope = FakeScope(COLUMNS)
    assert Filter(where={"a": "n > vars.bar", "b": "title | length > 3"}).reads(scope) == {"n", "title"}
    assert Filter(where={"a": "n >"}).reads(scope) == frozenset()
    assert scope.problems[0][1] == ("where", "a")


async def test_let_computes_columns_and_knows_their_types() -> None:
    action = Let.model_validate(
        {"columns": {"figures": "title | figures", "same": "n", "big": {"is": "n * 2", "type": "int"}}}
    )
    scope = FakeScope(COLUMNS)
    assert {name: str(each) for name, each in action.adds(scope).items()} == {
        "figures": "[str]",
        "same": "int",
        "big": "int",
    }
    assert action.reads(scope) == {"n", "title"}
    ran = await RecordingContext(adds=action.adds(scope)).run(action, ROW)
    assert ran.rows == [{"figures": ["2021", "4%"], "same": 3, "big": 6}]


async def test_a_value_of_another_type_fails_the_row() -> None:
    action = Let.model_validate({"columns": {"size": {"is": "extra.k", "type": "str"}}})
    ran = await RecordingContext(adds=action.adds(FakeScope(COLUMNS))).run(action, ROW)
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.outcome) == ("size is not of its type", Outcome.FAILED)


def test_a_type_that_cannot_be_inferred_is_asked_for() -> None:
    scope = FakeScope(COLUMNS)
    assert scope.told(Let.model_validate({"columns": {"k": "n if n > 2 else title"}})) == [
        "the type of 'k' cannot be inferred from its expression"
    ]
    assert scope.problems[0][1] == ("columns", "k")


@pytest.mark.parametrize("given", [{"k": {"is": "n"}}, {"k": {"is": "n", "type": "int", "as": 1}}, {}])
def test_let_refuses_half_declarations(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Let.model_validate({"columns": given})


async def test_render_gives_text_spans_and_tokens() -> None:
    prompts = {"doc.j2": '{% role "question" %}{{ title }}{% endrole %}\n\n{% role "n" %}{{ n }}{% endrole %}'}
    ctx = RecordingContext(prompts=prompts)
    action = Render(prompt="doc.j2")
    ran = await ctx.run(action, ROW)
    made = ran.rows[0]
    assert [made["text"][span["start"] : span["end"]] for span in made["spans"]] == [ROW["title"], "3"]
    assert [span["role"] for span in made["spans"]] == ["question", "n"]
    assert made["tokens"] == ctx.count_tokens(made["text"]) > 0
    assert {name: str(each) for name, each in action.adds(FakeScope()).items()} == {
        "text": "str",
        "spans": "[{role: str, start: int(0..), end: int(0..)}]",
        "tokens": "int(0..)",
    }
