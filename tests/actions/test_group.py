from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.group import Group
from synthkit.core.ids import mint
from synthkit.core.outcome import Outcome

from .fakes import FakeScope, FakeTable, types

COLUMNS = types({"entity": "str|none", "aliases": ["str"], "statement": "str", "time": "date|none"})


def row(n: int, entity: str | None, aliases: list[str] | None = None, time: str | None = None) -> dict[str, object]:
    return {"_id": f"{n:032x}", "entity": entity, "aliases": aliases or [], "statement": f"s{n}", "time": time}


def action(**more: object) -> Group:
    return Group.model_validate(
        {
            "by": "entity",
            "carry": ["aliases"],
            "collect": {"statements": ["statement", "time"]},
            "order": "time",
            **more,
        }
    )


async def test_rows_of_one_value_become_one_row_in_order() -> None:
    rows = [row(1, "A", ["a"], "2021-03"), row(2, "B"), row(3, "A", ["x", "a"], "2020"), row(4, "A", [], None)]
    made = await FakeTable(rows, COLUMNS).run(action())
    first = next(each for each in made if each["entity"] == "A")
    assert first["_id"] == mint("", "step", "A")
    assert [each["statement"] for each in first["statements"]] == ["s3", "s1", "s4"]
    assert first["_parents"] == [each["id"] for each in first["statements"]]
    assert first["aliases"] == ["x", "a"]


async def test_groups_outside_of_the_size_are_set_aside_with_all_their_rows() -> None:
    table = FakeTable([row(1, "A"), row(2, "A"), row(3, "B"), row(4, None)], COLUMNS)
    made = await table.run(action(size="2.."))
    assert [each["entity"] for each in made] == ["A"]
    assert table.gone() == {"group too small": 1, "no entity": 1}
    assert {reject.outcome for reject in table.rejects} == {Outcome.FILTERED}
    table = FakeTable([row(1, "A"), row(2, "A")], COLUMNS)
    assert await table.run(action(size="..1")) == []
    assert table.gone() == {"group too large": 2}


async def test_several_columns_are_one_key() -> None:
    columns = types({"a": "str", "b": "int"})
    rows = [{"_id": str(n), "a": a, "b": b} for n, (a, b) in enumerate([("x", 1), ("x", 2), ("x", 1)])]
    made = await FakeTable(rows, columns).run(Group(by=["a", "b"]))
    assert {(each["a"], each["b"]): len(each["_parents"]) for each in made} == {("x", 1): 2, ("x", 2): 1}
    assert made[0]["_id"] == mint("", "step", "x", 1)


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.none() | st.sampled_from(["2020", "2021"])), max_size=12),
    st.randoms(),
)
async def test_order_of_the_input_does_not_matter(given_rows: list[tuple[str, str | None]], rng: random.Random) -> None:
    rows = [row(n, entity, [entity.lower()], time) for n, (entity, time) in enumerate(given_rows)]
    shuffled = rng.sample(rows, len(rows))
    assert await FakeTable(rows, COLUMNS).run(action()) == await FakeTable(shuffled, COLUMNS).run(action())


def test_names_given_twice_are_refused() -> None:
    told = FakeScope(COLUMNS).told(action(collect={"aliases": ["statement"], "x": ["id"]}))
    assert any("'aliases' is already" in each for each in told)
    assert any("`id` already" in each for each in told)


def test_what_it_gives_and_reads() -> None:
    scope = FakeScope(COLUMNS)
    group = action(order="time")
    assert group.reads(scope) == {"entity", "aliases", "statement", "time"}
    assert str(group.adds(scope)["statements"]) == "[{id: str, statement: str, time: date|none}]"
    assert group.carries is False
