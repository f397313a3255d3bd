from __future__ import annotations

from typing import Any

import pytest

from synthkit.actions.join import Join
from synthkit.core.ids import mint
from synthkit.core.outcome import Outcome

from .fakes import FakeScope, FakeTable, types

LEFT = types({"title": "str|none", "n": "int"})
RIGHT = types({"title": "str", "about": {"size": "int"}, "note": "json|none"})
ROWS = [{"_id": "a", "title": "X", "n": 1}, {"_id": "b", "title": "Y", "n": 2}, {"_id": "c", "title": None, "n": 3}]
OTHERS = [
    {"_id": "r1", "title": "X", "about": {"size": 3}, "note": {"k": [1]}},
    {"_id": "r2", "title": "X", "about": {"size": 4}, "note": None},
    {"_id": "r3", "title": "Z", "about": {"size": 5}, "note": None},
]


def table() -> FakeTable:
    return FakeTable(ROWS, LEFT, others={"other": (RIGHT, OTHERS)})


def action(**more: Any) -> Join:
    return Join.model_validate({"with": "other", "on": "title", **more})


async def test_every_match_is_a_row_named_by_both() -> None:
    context = table()
    made = await context.run(action())
    assert [(row["_id"], row["about"], row["note"]) for row in made] == [
        (mint(["a", "r1"], "step"), {"size": 3}, {"k": [1]}),
        (mint(["a", "r2"], "step"), {"size": 4}, None),
    ]
    assert [row["_parents"] for row in made] == [["a", "r1"], ["a", "r2"]]
    assert [(r.row, r.outcome, r.reason) for r in context.rejects] == [
        ("b", Outcome.UNUSED, "unmatched"),
        ("c", Outcome.UNUSED, "unmatched"),
    ]


async def test_a_left_join_keeps_what_has_no_match() -> None:
    context = table()
    made = await context.run(action(how="left", take=["about"]))
    assert [row["_parents"] for row in made] == [["a", "r1"], ["a", "r2"], ["b"], ["c"]]
    assert made[2] == {"_id": mint(["b"], "step"), "_parents": ["b"], "about": None}
    assert context.rejects == []


def test_types_and_places() -> None:
    scope = FakeScope(LEFT, others={"other": RIGHT})
    assert {name: str(each) for name, each in action(how="left").adds(scope).items()} == {
        "about": "{size: int}|none",
        "note": "json|none",
    }
    assert action().reads(scope) == {"title"}
    assert list(action().mentions()) == [("step", ("with",), "other"), ("column", ("on",), "title")]


@pytest.mark.parametrize("more", [{"on": "n"}, {"take": ["nothing"]}])
def test_columns_the_other_step_lacks(more: dict[str, Any]) -> None:
    scope = FakeScope(LEFT, others={"other": RIGHT})
    assert "'other' has no column" in scope.told(action(**more))[0]
