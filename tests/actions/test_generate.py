from __future__ import annotations

import json
from typing import Any

import pytest

from synthkit.actions.generate import Generate
from synthkit.core.action import Cost
from synthkit.core.engine import Request, Role
from synthkit.core.outcome import Outcome
from synthkit.core.resources import shipped
from synthkit.core.row import Row
from synthkit.core.toolset import load_toolset
from synthkit.testing.context import RecordingContext
from synthkit.testing.scripted import ScriptedEngine

from .fakes import FakeScope, types

PROMPT = '{% role "user" %}About {{ title }}{% if style is defined %} in style {{ style }}{% endif %}.{% endrole %}'
PROMPTS = {"ask.j2": PROMPT, "styled.j2": '{% role "user" %}{{ title }}, {{ style }}{% endrole %}'}
COLUMNS = types({"title": "str", "statements": [{"id": "str", "statement": "str"}], "answer": "str"})
ROW = Row("parent", {"title": "Ilde", "statements": [{"id": "a", "statement": "s"}, {"id": "b", "statement": "t"}]})


def action(**more: Any) -> Generate:
    given = {"model": "writer", "prompt": "ask.j2", "out": {"question": "str(1..200)"}, **more}
    return Generate.model_validate(given)


def context(reply: Any, **more: Any) -> RecordingContext:
    def script(request: Request) -> Any:
        made = reply(request) if callable(reply) else reply
        texts = made if isinstance(made, list) and request.n > 1 else [made] * request.n
        return [each if isinstance(each, str) else json.dumps(each) for each in texts]

    return RecordingContext(engine=ScriptedEngine(function=script), prompts=PROMPTS, **more)


async def test_one_sample_is_the_row_itself_with_the_fields_of_the_reply() -> None:
    ran = await context({"question": "Why?"}).run(action(), ROW)
    assert ran.rows == [{"question": "Why?"}]
    assert action().keeps_id()


async def test_samples_are_told_apart_by_their_index() -> None:
    ran = await context([{"question": "A"}, {"question": "B"}]).run(action(n=2), ROW)
    assert [(child.path, child.columns) for child in ran.children] == [
        ((0,), {"question": "A"}),
        ((1,), {"question": "B"}),
    ]
    assert not action(n=2).keeps_id()


async def test_each_makes_a_call_for_every_combination() -> None:
    ctx = context(lambda request: {"question": request.messages[0].content})
    ran = await ctx.run(action(prompt="styled.j2", each={"style": ["plain", "odd"], "level": [1, 2]}), ROW)
    assert [child.path for child in ran.children] == [("plain", 1, 0), ("plain", 2, 0), ("odd", 1, 0), ("odd", 2, 0)]
    assert ran.rows[0] == {"style": "plain", "level": 1, "question": "Ilde, plain"}
    assert {asked.key for asked in ctx.asked} >= {'style="plain",level=1', 'style="odd",level=2'}


async def test_explode_makes_a_row_of_each_item() -> None:
    out = {"claims": [{"text": "str", "sentence": "ref(statements)"}], "mood": "str"}
    reply = {"claims": [{"text": "x", "sentence": 2}, {"text": "y", "sentence": 1}], "mood": "calm"}
    ran = await context(reply).run(action(out=out, explode="claims"), ROW)
    assert [(child.path, child.columns) for child in ran.children] == [
        ((0, 0), {"mood": "calm", "text": "x", "sentence": "b"}),
        ((0, 1), {"mood": "calm", "text": "y", "sentence": "a"}),
    ]


async def test_a_list_of_plain_items_keeps_its_name() -> None:
    ran = await context({"names": ["a", "b"]}).run(action(out={"names": ["str"]}, explode="names"), ROW)
    assert ran.rows == [{"names": "a"}, {"names": "b"}]


async def test_an_empty_list_gives_a_reject_and_no_row() -> None:
    ran = await context({"names": []}).run(action(out={"names": ["str"]}, explode="names"), ROW)
    assert ran.children == ()
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.outcome) == ("no names", Outcome.FILTERED)


async def test_a_reply_that_does_not_fit_costs_its_sample_alone() -> None:
    ctx = context(lambda request: [{"size": 1}, "nonsense"] if request.n == 2 else "nonsense")
    ran = await ctx.run(action(n=2, out={"size": "int"}), ROW)
    assert ran.rows == [{"size": 1}]
    assert [(reject.sample, reject.outcome) for reject in ctx.rejects] == [(1, Outcome.FAILED)]


async def test_when_no_reply_fits_there_is_no_row() -> None:
    ran = await context("nonsense").run(action(out={"size": "int"}), ROW)
    assert ran.children == ()
    assert ran.reject is None


@pytest.fixture
def scope(tmp_path: Any) -> FakeScope:
    for name, text in PROMPTS.items():
        (tmp_path / name).write_text(text)
    return FakeScope(COLUMNS, folders=[tmp_path])


def test_what_it_reads_and_gives(scope: FakeScope) -> None:
    made = action(
        prompt="styled.j2", each={"style": ["a", "b"]}, out={"used": ["ref(statements)"], "time": "date|none"}
    )
    assert made.reads(scope) == {"title", "statements"}
    assert {name: str(each) for name, each in made.adds(scope).items()} == {
        "style": "a|b",
        "used": "[ref(statements)]",
        "time": "date|none",
    }
    assert made.cost() == Cost(2, 1, 2)
    assert scope.problems == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"blind": ["title"]}, "the template must not read 'title'"),
        ({"blind": ["titel"]}, "there is no column 'titel'"),
        ({"replace": ["nothing"]}, "there is no column 'nothing'"),
        ({"out": {"x": "ref(answer)"}}, "ref(answer) needs a list column"),
        ({"out": {"x": "call"}}, "a `call` needs tools"),
        ({"out": "str"}, "`out` must name the columns"),
        ({"out": {"x": "strr"}}, "strr"),
        ({"explode": "question"}, "'question' is not a list"),
        ({"out": {"a": ["str"], "b": [{"a": "str"}]}, "explode": "b"}, "'a' stands both"),
        ({"each": {"question": ["x"]}}, "'question' stands both"),
        ({"prompt": "absent.j2"}, "absent.j2"),
    ],
)
def test_what_cannot_work_is_told(scope: FakeScope, more: dict[str, Any], said: str) -> None:
    assert any(said in each for each in scope.told(action(**more))), scope.problems


def test_samples_at_temperature_zero_are_refused(scope: FakeScope) -> None:
    scope.roles = {"writer": Role(engine="e", temperature=0)}
    assert scope.told(action(n=3)) == ["3 samples at temperature 0 are the same reply 3 times"]
    assert FakeScope(COLUMNS, roles=scope.roles, folders=scope.folders).told(action()) == []


async def test_calls_are_read_against_the_toolset() -> None:
    tools = load_toolset(shipped("toolsets") / "deep_research.yaml")
    reply = {"call": {"name": "search", "arguments": {"query": ["Ilde length"]}}}
    ran = await context(reply, toolset=tools).run(action(out={"call": "call"}), ROW)
    assert ran.rows[0]["call"]["name"] == "search"
    assert ran.rows[0]["call"]["text"] == "Ilde length"
