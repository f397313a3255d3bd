from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.resolve import Names, Resolve, normal

from .fakes import FakeTable, types

COLUMNS = types({"entity": "str|none", "aliases": ["str"]})


def table(*given_rows: tuple[str | None, list[str]]) -> FakeTable:
    rows = [{"_id": f"{n:032x}", "entity": e, "aliases": a} for n, (e, a) in enumerate(given_rows)]
    return FakeTable(rows, COLUMNS)


async def names(*given_rows: tuple[str | None, list[str]]) -> list[str]:
    made = await table(*given_rows).run(Resolve(name="entity", aliases="aliases"))
    return [row["entity"] for row in sorted(made, key=lambda row: row["_id"])]


async def test_case_width_spaces_and_article_do_not_tell_names_apart() -> None:
    assert (
        await names(("Kestrel Bridge", []), ("the Kestrel  bridge", []), ("Ｋestrel Bridge", []))
        == ["Kestrel Bridge"] * 3
    )


async def test_an_alias_joins_two_names_and_the_most_frequent_is_canonical() -> None:
    given_rows = [("PVA", []), ("Port Velmar Authority", ["PVA"]), ("Port Velmar Authority", [])]
    assert await names(*given_rows) == ["Port Velmar Authority"] * 3
    made = await table(*given_rows).run(Resolve(name="entity", aliases="aliases"))
    assert all(row["aliases"] == ["PVA"] for row in made)


async def test_spellings_of_one_name_are_no_aliases_of_it() -> None:
    rows = [("The Ilde", []), ("River Ilde", ["Ilde"]), ("River Ilde", []), ("RIVER ILDE", ["Big River"])]
    made = await table(*rows).run(Resolve(name="entity", aliases="aliases"))
    assert {(row["entity"], *row["aliases"]) for row in made} == {("River Ilde", "Big River", "The Ilde")}


async def test_ties_go_to_the_longest_then_the_smallest() -> None:
    assert set(await names(("Old Bridge", ["Kestrel Bridge"]), ("Kestrel Bridge", []))) == {"Kestrel Bridge"}
    assert set(await names(("Bank A", ["Bank B"]), ("Bank B", []))) == {"Bank A"}


@pytest.mark.parametrize("alias", ["it", "MB", "the bank", "Bank", "大桥", "old crossing", "桥"])
async def test_what_is_no_name_joins_nothing(alias: str) -> None:
    assert await names(("Meridian", [alias]), (alias, [])) == ["Meridian", alias]


async def test_an_alias_that_two_names_claim_joins_neither() -> None:
    rows = [("Sarrow Observatory", ["The Dome"]), ("Wangshu Observatory", ["The Dome"]), ("The Dome", [])]
    assert await names(*rows) == ["Sarrow Observatory", "Wangshu Observatory", "The Dome"]


async def test_two_claims_count_once_their_names_are_one() -> None:
    rows = [("Harrowmere Uni", ["UHM"]), ("University of Harrowmere", ["UHM", "Harrowmere Uni"]), ("UHM", [])]
    assert set(await names(*rows)) == {"University of Harrowmere"}


async def test_chinese_names_need_two_characters() -> None:
    assert await names(("沧浪大桥", ["白鹭桥"]), ("白鹭桥", []), ("沧浪大桥", [])) == ["沧浪大桥"] * 3


async def test_rows_without_a_name_stay_as_they_are() -> None:
    made = await table((None, ["X Y Z"]), ("", [])).run(Resolve(name="entity", aliases="aliases"))
    assert [row["entity"] for row in made] == [None, ""]
    assert [row["aliases"] for row in made] == [[], []]


def test_replaces_what_it_names() -> None:
    assert Resolve(name="entity", aliases="aliases").replaces() == {"entity", "aliases"}
    assert Resolve(name="entity").replaces() == {"entity"}


SPELLINGS = st.sampled_from(["Ilde", "River Ilde", "ILDE", "Ilde river", "Osmund", "Lake Osmund", "the lake", "Lake"])


@given(st.lists(st.tuples(SPELLINGS, st.lists(SPELLINGS, max_size=3)), max_size=10), st.randoms())
def test_order_does_not_matter_and_a_second_pass_changes_nothing(
    rows: list[tuple[str, list[str]]], rng: random.Random
) -> None:
    def resolved(order: list[tuple[str, list[str]]]) -> dict[str, tuple[str, list[str]]]:
        known = Names()
        for name, aliases in order:
            known.add(name, aliases)
        return known.entities()

    once = resolved(rows)
    assert once == resolved(rng.sample(rows, len(rows)))
    assert all(normal(canonical) in once for canonical, _ in once.values())
    assert all(once[normal(canonical)][0] == canonical for canonical, _ in once.values())
