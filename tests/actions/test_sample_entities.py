from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.clusters import Clusters, Entity
from synthkit.actions.mentions import NameIndex
from synthkit.actions.sample_entities import SampleEntities
from synthkit.core.ids import mint
from synthkit.core.outcome import Outcome
from synthkit.core.sizes import Range

from .fakes import FakeScope, FakeTable, types

COLUMNS = types(
    {
        "entity": "str",
        "aliases": ["str"],
        "statements": [
            {"id": "str", "statement": "str", "time": "date|none", "figures": ["str"], "claim": "str", "source": "str"}
        ],
    }
)
NAMES = [
    "River Ilde",
    "Port Velmar",
    "Kestrel Bridge",
    "Norvane Energy",
    "Lake Osmund",
    "Tamsin Dam",
    "Brennick",
    "青岚市",
]


def statement(key: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "statement": text, "time": None, "figures": [], "claim": key, "source": "d", **more}


def entity(key: str, name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    return {"_id": key, "entity": name, "aliases": [], "statements": list(statements)}


def memory(count: int = 8, each: int = 6) -> list[dict[str, Any]]:
    rng = random.Random(1)
    rows = []
    for n, name in enumerate(NAMES[:count]):
        others = [rng.choice(NAMES[:count]) for _ in range(each)]
        statements = [statement(f"{n}-{k}", f"{name} opened gate {k} near {other}.") for k, other in enumerate(others)]
        rows.append({"_id": mint("", "memory", name), "entity": name, "aliases": [], "statements": statements})
    return rows


def action(**more: Any) -> SampleEntities:
    return SampleEntities.model_validate({"count": 20, "seed": 7, **more})


async def draw(rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    return await FakeTable(rows, COLUMNS).run(action(**more))


async def test_clusters_are_as_wanted() -> None:
    made = await draw(memory())
    assert len(made) == 20
    for row in made:
        assert 4 <= len(row["statements"]) <= 8
        assert {each["entity"] for each in row["statements"]} == set(row["entities"])
        assert len(row["entities"]) == 1 if row["sampler"] == "single" else 2 <= len(row["entities"]) <= 3
        assert row["_id"] == mint("", "step", sorted(row["_parents"]), sorted(each["id"] for each in row["statements"]))
    samplers = [row["sampler"] for row in made]
    assert {name: samplers.count(name) for name in set(samplers)} == {"co_mention": 12, "single": 4, "walk": 4}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 5))
async def test_a_larger_count_adds_and_changes_nothing(small: int, large: int, seed: int) -> None:
    small, large = sorted((small, large))
    few, many = await draw(memory(), count=small, seed=seed), await draw(memory(), count=large, seed=seed)
    assert many[: len(few)] == few


@given(st.randoms())
async def test_order_of_the_input_does_not_matter(rng: random.Random) -> None:
    rows = memory()
    assert await draw(rng.sample(rows, len(rows))) == await draw(rows)


async def test_a_new_entity_steps_in_without_moving_the_others() -> None:
    before = {row["_id"] for row in await draw(memory(7), count=7, by={"single": "100%"})}
    after = {row["_id"] for row in await draw(memory(8), count=8, by={"single": "100%"})}
    assert len(before & after) == 7


async def test_links_hold_what_they_say() -> None:
    rows = [
        {
            "_id": "a",
            "entity": "Ilde",
            "aliases": [],
            "statements": [statement(f"a{k}", f"Ilde has {k}.") for k in range(5)],
        },
        {
            "_id": "b",
            "entity": "Osmund",
            "aliases": ["Big Lake"],
            "statements": [statement("b0", "Ilde ends in Osmund.")],
        },
        {"_id": "c", "entity": "Alone", "aliases": [], "statements": [statement("c0", "Alone is far away.")]},
    ]
    table = FakeTable(rows, COLUMNS)
    made = await table.run(action(by={"co_mention": "100%"}, count=5))
    assert all(set(row["entities"]) == {"Ilde", "Osmund"} for row in made)
    assert all("b0" in {each["id"] for each in row["statements"]} for row in made)
    assert [(reject.row, reject.outcome, reject.reason) for reject in table.rejects] == [
        ("c", Outcome.UNUSED, "not sampled")
    ]


async def test_contested_statements_are_left_out() -> None:
    statements = [
        statement("x", "Ilde handled 1,436 in 2023.", time="2023", figures=["1436"], claim="x"),
        statement("y", "Ilde handled 1,412 in 2023.", time="2023", figures=["1412"], claim="x"),
        statement("z", "Ilde handled 1,240 in 2021.", time="2021", figures=["1240"], claim="x"),
        *[statement(f"s{k}", f"Ilde has gate {k}.") for k in range(3)],
    ]
    rows = [{"_id": "a", "entity": "Ilde", "aliases": [], "statements": statements}]
    made = await draw(rows, by={"single": "100%"}, statements="4..8")
    assert [{each["id"] for each in row["statements"]} for row in made] == [{"z", "s0", "s1", "s2"}]
    kept = await draw(rows, by={"single": "100%"}, statements="6..8", contested="keep")
    assert {each["id"] for each in kept[0]["statements"]} >= {"x", "y"}


async def test_a_sampler_that_finds_nothing_leaves_its_share_to_the_others() -> None:
    rows = [entity("a", "Ilde", *[statement(str(k), f"Ilde {k}.") for k in range(20)])]
    made = await draw(rows, count=3)
    assert [row["sampler"] for row in made] == ["single"] * 3
    assert await draw([], count=6) == []


async def test_later_rounds_bring_new_statements_or_nothing() -> None:
    rows = [entity("a", "Ilde", *[statement(str(k), f"Ilde {k}.") for k in range(11)])]
    made = await draw(rows, count=50, by={"single": "100%"}, statements="4..4")
    seen: set[str] = set()
    for row in made:
        ids = {each["id"] for each in row["statements"]}
        assert len(ids - seen) >= 2
        seen |= ids
    assert len(made) == 3
    assert seen == {str(k) for k in range(11)}


def test_walks_visit_no_entity_twice() -> None:
    chain = [Entity(f"{n}", (f"Name{n}",), (statement(f"{n}", f"Name{n} borders Name{n + 1}."),)) for n in range(6)]
    clusters = Clusters(chain, Range(3, 4), Range(2, 8), 0)
    drawn = list(clusters.draw({"walk": 1.0}, 6))
    assert drawn
    for cluster in drawn:
        path = [int(entity.id) for entity in cluster.entities]
        assert len(set(path)) == len(path) >= 3
        assert all(abs(a - b) == 1 for a, b in pairwise(path))


def test_names_are_found_as_whole_words_and_longest_first() -> None:
    index = NameIndex({0: ["Port"], 1: ["Port Velmar", "the Port"], 2: ["青岚市"], 3: ["Ilde"], 4: ["Ilde"]})
    assert index.find("Port Velmar is not portable; the PORT is.") == [1]
    assert index.find("Sport and ports") == []
    assert index.find("位于青岚市的港口, Port.") == [2, 0]
    assert index.find("Ilde belongs to two") == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"by": {"single": "50%"}}, "the shares of `by` make 50%, not 100%"),
        ({"entities": 1}, "co_mention and walk need two entities or more"),
        ({"statements": "4.."}, "statements needs an upper end"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    assert FakeScope(COLUMNS).told(action(**settings)) == [said]


def test_unknown_samplers_are_refused() -> None:
    with pytest.raises(ValueError, match="co_mention"):
        action(by={"neighbours": "100%"})


def test_contested_needs_claims_and_figures() -> None:
    columns = COLUMNS | types({"statements": [{"id": "str", "statement": "str"}]})
    assert FakeScope(columns).told(action()) == ["'statements' lacks claim, figures (it has: id, statement)"]
    assert FakeScope(columns).told(action(contested="keep")) == []
    assert str(action().adds(FakeScope(columns))["statements"]) == "[{id: str, entity: str, statement: str}]"
