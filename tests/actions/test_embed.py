from __future__ import annotations

from typing import Any

import pytest

from synthkit.actions.embed import Embed
from synthkit.core.engine import Request, Role
from synthkit.core.errors import RequestRefused
from synthkit.core.types import Optional, Vector, parse_type
from synthkit.core.vector import from_text, to_text
from synthkit.testing import RecordingContext, ScriptedConfig, ScriptedEngine

from .fakes import FakeScope, types

COLUMNS = types({"text": "str|none", "tags": ["str"], "year": "int"})


def reply(request: Request) -> str:
    return to_text([len(request.messages[0].content), 1.0])


async def test_a_row_gets_the_vector_of_its_text_and_none_for_none() -> None:
    ctx = RecordingContext(ScriptedEngine(function=reply), columns=COLUMNS)
    action = Embed(model="e", text="'query: ' ~ text if text else none")
    assert (await ctx.run(action, {"text": "bridge"})).rows == [{"vector": [13.0, 1.0]}]
    assert (await ctx.run(action, {"text": None})).rows == [{"vector": None}]
    assert (await ctx.run(Embed(model="e", text="text"), {"text": ""})).rows == [{"vector": None}]
    assert [each.request.messages[0].content for each in ctx.asked] == ["query: bridge"], "none is not asked for"
    assert ctx.asked[0].request.embed


async def test_a_text_that_is_too_long_is_refused_and_never_cut() -> None:
    ctx = RecordingContext(ScriptedEngine(ScriptedConfig(context=10)), columns=COLUMNS)
    with pytest.raises(RequestRefused, match="takes 10"):
        await ctx.run(Embed(model="e", text="text"), {"text": "word " * 100})


async def test_what_is_no_text_is_said_so() -> None:
    ctx = RecordingContext(ScriptedEngine(function=reply), columns=COLUMNS)
    with pytest.raises(TypeError, match="takes text, not int"):
        await ctx.run(Embed(model="e", text="year"), {"year": 3})
    for text, wrong in (("tags", "must be text, not [str]"), ("year", "must be text, not int")):
        assert FakeScope(COLUMNS).told(Embed(model="writer", text=text)) == [f"'{text}' {wrong}"]
    assert FakeScope(COLUMNS).told(Embed(model="writer", text="text")) == []


def test_the_type_tells_models_apart_and_names_of_roles_do_not() -> None:
    def of(model: str = "a", **role: Any) -> Any:
        scope = FakeScope(COLUMNS, roles={"a": Role(engine="x", **role), "b": Role(engine="x", **role)})
        scope.identity = lambda _: {"vllm": "nano"}  # type: ignore[method-assign]
        return Embed(model=model, text="text").adds(scope)["vector"]

    assert of() == of("b") == of(temperature=0) != of(extra={"dimensions": 256})
    assert isinstance(of(), Optional) and isinstance(of().of, Vector)
    assert parse_type(str(of())) == of(), "run.json keeps it as text"


@pytest.mark.parametrize("wrong", ["", "AAAA", "no base64!", to_text([1.0])[:-4] + "AAAAfw==", "AACAfw=="])
def test_text_that_is_no_vector(wrong: str) -> None:
    """Nothing, three bytes, other letters, a cut number, infinity."""
    with pytest.raises(ValueError):
        from_text(wrong)


def test_every_bit_of_a_vector_comes_back() -> None:
    numbers = from_text(to_text([0.1, -3.5e-20, 7.0, 1e38]))
    assert from_text(to_text(numbers)) == numbers and numbers[2] == 7.0
    for bad in ([], [float("nan")], [float("inf")], [1e39]):
        with pytest.raises((ValueError, OverflowError)):
            to_text(bad)
