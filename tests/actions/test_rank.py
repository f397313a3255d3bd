from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.rank import Rank

from .fakes import FakeScope, FakeTable, types

COLUMNS = types({"v": "float|none", "g": "str|none"})
Rows = st.dictionaries(
    st.text("abcdef0123456789", min_size=4, max_size=4),
    st.tuples(st.none() | st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["x", "y", None])),
    max_size=12,
)


def rows(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"_id": ident, "v": value, "g": group} for ident, (value, group) in given.items()]


@given(Rows, st.sampled_from(["descending", "ascending"]), st.randoms())
async def test_places_are_those_of_a_sort_whatever_the_order_of_arrival(found: Any, order: Any, random: Any) -> None:
    given = rows(found)
    sign = -1 if order == "descending" else 1
    wanted: dict[str, int] = {}
    for group in ("x", "y", None):
        mine = [row for row in given if row["g"] == group]
        mine.sort(key=lambda row: (row["v"] is None, sign * (row["v"] or 0), row["_id"]))
        wanted |= {row["_id"]: place for place, row in enumerate(mine, 1)}
    random.shuffle(given)
    made = await FakeTable(given, COLUMNS).run(Rank(by="v", order=order, per="g"))
    assert {row["_id"]: row["place"] for row in made} == wanted


async def test_rows_of_one_origin_are_ranked_among_themselves() -> None:
    given = [{"_id": ident, "v": value, "g": None} for ident, value in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 4.0))]
    table = FakeTable(given, COLUMNS, of={"a": "p", "b": "p", "c": "q", "d": "q"})
    made = await table.run(Rank(by="0 - v", per="runs", into="at"))
    assert {row["_id"]: row["at"] for row in made} == {"a": 1, "b": 2, "c": 1, "d": 2}
    everyone = await FakeTable(given, COLUMNS).run(Rank(by="v"))
    assert {row["_id"]: row["place"] for row in everyone} == {"d": 1, "b": 2, "c": 3, "a": 4}


async def test_a_row_without_a_value_of_the_expression_is_dropped_with_the_reason() -> None:
    given = [{"_id": "a", "v": 1.0, "g": None}, {"_id": "b", "v": None, "g": None}]
    table = FakeTable(given, COLUMNS)
    assert [row["_id"] for row in await table.run(Rank(by="1 + v"))] == ["a"]
    assert table.gone() == {"expression has no value": 1}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Rank(by="[v]"), "rows cannot be put in the order of '[v]', which is [float|none]"),
        (Rank(by="j"), "rows cannot be put in the order of 'j', which is json"),
        (Rank(by="v", per="nowhere"), "a row here does not come from one row of 'nowhere'"),
        (Rank(by="v +"), "unexpected"),
    ],
)
def test_what_check_says(action: Rank, said: str) -> None:
    told = FakeScope(COLUMNS | types({"j": "json"}), origins=["runs"]).told(action)
    assert any(said in each for each in told), told


@pytest.mark.parametrize(
    ("action", "reads"), [(Rank(by="v", per="g"), {"v", "g"}), (Rank(by="g", per="runs", order="ascending"), {"g"})]
)
def test_what_is_right_passes(action: Rank, reads: set[str]) -> None:
    scope = FakeScope(COLUMNS, origins=["runs"])
    assert scope.told(action) == []
    assert action.reads(scope) == reads
