from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.actions.dedup import Dedup
from synthkit.actions.near.bands import bands
from synthkit.core.outcome import Outcome

from .fakes import FakeScope, FakeTable, types

COLUMNS = types({"text": "str", "entity": "str", "time": "date|none", "figures": ["str"]})
BASE = "the quick brown fox jumps over the lazy dog near the old stone bridge at noon on a cold day in the far north"


def row(
    n: int, text: str, entity: str = "E", time: str | None = None, figures: list[str] | None = None
) -> dict[str, object]:
    return {"_id": f"{n:032x}", "text": text, "entity": entity, "time": time, "figures": figures or []}


async def run(rows: list[dict[str, object]], **more: object) -> tuple[list[dict[str, object]], FakeTable]:
    table = FakeTable(rows, COLUMNS)
    made = await table.run(Dedup.model_validate({"by": "text", "words": 3, **more}))
    return made, table


async def test_the_smallest_id_stays_and_the_others_name_it() -> None:
    made, table = await run(
        [row(7, BASE), row(3, BASE + "."), row(5, BASE.upper()), row(9, "something else altogether")]
    )
    assert [each["_id"] for each in made] == [f"{3:032x}", f"{9:032x}"]
    assert {reject.outcome for reject in table.rejects} == {Outcome.DUPLICATE}
    assert all(reject.detail == {"dup_of": f"{3:032x}", "similarity": 1.0} for reject in table.rejects)


async def test_only_rows_of_one_group_are_compared() -> None:
    made, _ = await run([row(1, BASE, "A"), row(2, BASE, "B"), row(3, BASE, "A")], within="entity")
    assert [each["_id"] for each in made] == [f"{1:032x}", f"{2:032x}"]


async def test_other_dates_and_figures_stay_and_share_a_cluster() -> None:
    rows = [
        row(1, "Port Velmar handled 1,436 thousand containers in the year 2023.", time="2023", figures=["1436000"]),
        row(2, "Port Velmar handled 1,240 thousand containers in the year 2021.", time="2021", figures=["1240000"]),
        row(3, "Port Velmar handled 1,412 thousand containers in the year 2023.", time="2023", figures=["1412000"]),
        row(4, "Port Velmar handled 1,412 thousand containers in the year 2023", time="2023", figures=["1412000"]),
        row(5, "The first tram line of the city returned to the streets in 2007.", time="2007", figures=["2007"]),
    ]
    made, table = await run(rows, apart=["time", "figures"], cluster="claim")
    assert [int(each["_id"], 16) for each in made] == [1, 2, 3, 5]
    assert [int(each["claim"], 16) for each in made] == [1, 1, 1, 5]
    assert table.gone() == {"duplicate": 1}


async def test_chinese_is_compared_by_characters() -> None:
    made, _ = await run(
        [
            row(1, "沧浪大桥于2006年5月通车，把青岚市的南北两岸连接起来。"),
            row(2, "沧浪大桥于2006年5月通车,把青岚市的南北两岸连接起来"),
        ]
    )
    assert len(made) == 1


async def test_what_is_alike_to_a_duplicate_is_one_too() -> None:
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(words[n : n + 30]) for n in range(0, 8, 2)]
    made, _ = await run([row(n, text) for n, text in enumerate(texts)], threshold=0.8, words=1)
    assert len(made) == 1


def test_bands_find_the_threshold() -> None:
    assert bands(0.8) == (16, 8)
    assert bands(0.9) == (16, 8)
    for threshold in (0.2, 0.3, 0.5, 0.6, 0.7):
        count, rows = bands(threshold)
        assert count * rows <= 128
        assert 1 - (1 - threshold**rows) ** count >= 0.94


def test_settings_that_exclude_each_other() -> None:
    scope = FakeScope(COLUMNS)
    assert scope.told(Dedup(by="text", words=3, chars=5)) == ["words and chars exclude each other"]
    assert FakeScope(COLUMNS).told(Dedup(by="figures")) == ["'figures' must be text, not [str]"]
    assert Dedup(by="text", within="entity", apart=["time"]).reads(FakeScope(COLUMNS)) == {"text", "entity", "time"}


def variants(rng: random.Random, count: int) -> list[str]:
    """Texts of which many are near copies of each other."""
    vocabulary = [f"word{n}" for n in range(200)]
    texts: list[str] = []
    while len(texts) < count:
        words = [rng.choice(vocabulary) for _ in range(rng.randint(20, 60))]
        texts.append(" ".join(words))
        for _ in range(rng.randint(0, 3)):
            copy = list(words)
            for _ in range(rng.randint(0, 3)):
                copy[rng.randrange(len(copy))] = rng.choice(vocabulary)
            texts.append(" ".join(copy))
    return texts[:count]


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.7, 0.8, 1.0]))
async def test_a_second_pass_finds_nothing_and_order_does_not_matter(key: int, threshold: float) -> None:
    rng = random.Random(key)
    rows = [row(n, text, rng.choice("AB"), rng.choice([None, "2020"])) for n, text in enumerate(variants(rng, 30))]
    wanted = {"within": "entity", "apart": ["time"], "threshold": threshold, "cluster": "claim"}
    once, table = await run(rows, **wanted)
    shuffled, _ = await run(rng.sample(rows, len(rows)), **wanted)
    assert once == shuffled
    kept = {each["_id"] for each in once}
    assert all(reject.detail["dup_of"] in kept and reject.detail["dup_of"] < reject.row for reject in table.rejects)
    twice, again = await run([each for each in rows if each["_id"] in kept], **wanted)
    assert [each["_id"] for each in twice] == [each["_id"] for each in once]
    assert again.rejects == []
