"""A list taken apart and put together again: for any items, any of them rejected, in any order of the tables."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.fold import Fold
from synthkit.actions.unroll import Unroll
from synthkit.core.ids import mint
from synthkit.core.outcome import Outcome
from synthkit.core.row import Row
from synthkit.testing import RecordingContext

from .fakes import FakeScope, FakeTable, types

LIST = types({"q": "str", "steps": "[{thought: str|none, call: call}]"})
UNROLL = Unroll(over="steps", item="step", past="past", index="k")
STATES = {**LIST, **UNROLL.adds(FakeScope(LIST))}
GAINED = types({"options": "[str]|none", "n": "int"})


def call(text: str) -> dict[str, Any]:
    return {"name": "find", "arguments": {"words": text}, "final": None, "say": None, "text": text}


Steps = st.lists(
    st.fixed_dictionaries({"thought": st.none() | st.text(max_size=5), "call": st.builds(call, st.text())}), max_size=6
)


def clean(value: Any) -> Any:
    """As a table stores it."""
    from synthkit.core.types.arrow import decode, encode

    columns = {"x": LIST["steps"]}
    return decode(encode(columns, [{"x": value}]), columns)[0]["x"]


async def unrolled(lists: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Rows of the step, as its table and its ancestors give them."""
    context = RecordingContext(step="states")
    rows = []
    for parent, steps in lists.items():
        ran = await context.run(UNROLL, Row(parent, {"steps": steps}))
        assert (ran.reject is None) == bool(steps)
        for child in ran.children:
            ident = mint(parent, "states", *child.path)
            rows.append({"_id": ident, "_parents": [parent], "q": parent, "steps": steps, **child.columns})
    return rows


def table(rows: list[dict[str, Any]], kept: list[dict[str, Any]], of: dict[str, str] | None = None) -> FakeTable:
    columns = {**STATES, **GAINED}
    others = {"states": (STATES, rows)}
    return FakeTable(kept, columns, step="back", others=others, cut={"states": UNROLL.parts()}, of=of or {})


def fold(**more: Any) -> Fold:
    return Fold.model_validate({"unrolled": "states", "into": "steps", "add": ["options", "n"], **more})


@given(st.lists(Steps, max_size=4), st.integers(0, 2**16), st.data())
async def test_unroll_and_fold_are_inverse_for_any_rejected_steps(
    lists: list[Any], seed: int, data: st.DataObject
) -> None:
    named = {f"p{at}": clean(steps) for at, steps in enumerate(lists)}
    rows = await unrolled(named)
    kept = [dict(row) for row in rows if data.draw(st.booleans())]
    for at, row in enumerate(kept):
        row |= {"options": [str(at)], "n": at}
    for shuffled in (rows, kept):
        Random(seed).shuffle(shuffled)
    context = table(rows, kept)
    made = {row["_id"]: row for row in await context.run(fold())}

    decided = {row["_id"]: row for row in kept}
    assert made.keys() == {row["_parents"][0] for row in kept}, "each parent with a row left, under its own id"
    assert context.rejects == []
    for parent, row in made.items():
        plain = [{name: value for name, value in step.items() if name not in ("options", "n")} for step in row["steps"]]
        assert plain == named[parent], "no holes, and no other order"
        ids = [mint(parent, "states", number) for number in range(1, len(plain) + 1)]
        assert row["_parents"] == [ident for ident in ids if ident in decided]
        for ident, step in zip(ids, row["steps"], strict=True):
            gained = decided.get(ident, {"options": None, "n": None})
            assert (step["options"], step["n"]) == (gained["options"], gained["n"])


@given(Steps)
async def test_past_is_what_came_before_and_nothing_else(steps: list[Any]) -> None:
    for row in await unrolled({"p": steps}):
        assert [*row["past"], row["step"]] == steps[: row["k"]]


async def test_rows_are_named_by_their_number() -> None:
    short = await unrolled({"p": [{"thought": "a", "call": call("a")}]})
    longer = await unrolled({"p": [{"thought": "b", "call": call("b")}, {"thought": "a", "call": call("a")}]})
    assert [row["_id"] for row in short] == [longer[0]["_id"]] == [mint("p", "states", 1)]


async def test_a_list_without_items_is_set_aside() -> None:
    context = RecordingContext()
    for nothing in ([], None):
        ran = await context.run(UNROLL, {"steps": nothing})
        assert ran.children == ()
        assert ran.reject is not None
        assert ran.reject.reason == "no items"


async def test_too_few_decisions_and_holes_are_said() -> None:
    rows = await unrolled({p: [{"thought": t, "call": call(t)} for t in "abc"] for p in ("p", "q")})
    kept = [
        {**row, "options": ["x"] if row["k"] == 1 else None, "n": 0} for row in rows if row["q"] == "p" or row["k"] < 3
    ]
    context = table(rows, kept)
    assert {row["_id"] for row in await context.run(fold(missing="drop"))} == {"p"}
    assert context.gone() == {"items missing": 2}
    context = table(rows, kept)
    assert len(await context.run(fold(add=["n"], at_least=3))) == 1
    assert context.gone() == {"fewer than 3": 2}
    context = table(rows, [{**row, "n": None, "options": None} for row in kept])
    assert await context.run(fold()) == []
    assert context.gone() == {"fewer than 1": 5}, "a row that `when` left untouched is no decision"


async def test_two_rows_of_one_item_are_one() -> None:
    rows = await unrolled({"p": [{"thought": "a", "call": call("a")}]})
    kept = [{**rows[0], "_id": ident, "options": [ident], "n": 1} for ident in ("b", "a")]
    context = table(rows, kept, of=dict.fromkeys("ab", rows[0]["_id"]))
    (made,) = await context.run(fold())
    assert made["steps"][0]["options"] == ["a"]
    assert [(r.row, r.outcome, r.reason) for r in context.rejects] == [("b", Outcome.DUPLICATE, "same item")]


def test_types_of_the_list() -> None:
    scope = FakeScope({**STATES, **GAINED}, others={"states": STATES}, parts={"states": UNROLL.parts()})
    made = fold().adds(scope)["steps"]
    assert str(made) == "[{thought: str|none, call: call, options: [str]|none, n: int|none}]"
    assert fold().hides(scope) == {"step", "past", "k", "options", "n"}
    assert fold().reads_of("states", scope) == {"step", "k"}
    scalars = types({"xs": "[int]"})
    unroll = Unroll(over="xs", item="x")
    columns = {**scalars, **unroll.adds(FakeScope(scalars))}
    scope = FakeScope(columns, others={"s": columns}, parts={"s": unroll.parts()})
    assert str(Fold(unrolled="s", into="xs").adds(scope)["xs"]) == "[int]"
    assert "an item is int and can gain no fields" in scope.told(Fold(unrolled="s", into="xs", add=["x"]))


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Unroll(over="q", item="x"), "'q' is str, not a list"),
        (Unroll(over="steps", item="x", past="x"), "'x' is the name of two columns"),
        (Unroll(over="steps", item="index"), "'index' is the name of two columns"),
        (Fold(unrolled="other", into="steps"), "'other' unrolls no list"),
        (Fold(unrolled="states", into="q"), "'q' is not the list that was unrolled, 'steps'"),
        (Fold(unrolled="states", into="steps", add=["thought"]), "an item has a field 'thought' already"),
        (Fold(unrolled="states", into="steps"), "the rows here do not come from single rows of 'states'"),
    ],
)
def test_what_check_says(action: Any, said: str) -> None:
    columns = {**STATES, **types({"thought": "str"})}
    scope = FakeScope(columns, others={"states": STATES, "other": LIST}, parts={"states": UNROLL.parts()})
    assert said in scope.told(action)
