from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.actions.dedup import Dedup
from synthkit.actions.near.bands import bands
from synthkit.actions.near.sketcher import Shingling
from synthkit.core.errors import SpecError
from synthkit.core.outcome import Outcome

from .fakes import FakeScope, FakeStore, FakeTable, types
from .near.twin import alike, hashed, jaccard

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


@pytest.mark.parametrize(
    ("settings", "kept", "clusters"),
    [
        ({}, 1, 0),
        ({"within": "entity"}, 200, 0),
        ({"apart": ["entity"]}, 200, 0),
        ({"apart": ["entity"], "cluster": "claim"}, 200, 1),
        ({"within": "entity", "cluster": "claim"}, 200, 200),
    ],
    ids=str,
)
async def test_what_is_found_does_not_depend_on_how_many_others_look_alike(
    settings: dict[str, object], kept: int, clusters: int
) -> None:
    """400 texts of one form, two of each entity and far from each other: more than the bound of a bucket."""
    form = " ".join(f"w{n}" for n in range(60))
    made, _ = await run([row(n, f"{form} {n}", f"E{n % 200}") for n in range(400)], **settings)
    assert [int(str(each["_id"]), 16) for each in made] == list(range(kept))
    assert len({each["claim"] for each in made if "claim" in each}) == clusters


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
    assert bands(0.8) == (18, 7)
    assert bands(0.9) == (16, 8)
    for threshold in (0.2, 0.3, 0.5, 0.6, 0.7):
        count, rows = bands(threshold)
        assert count * rows <= 128
        assert 1 - (1 - threshold**rows) ** count >= 0.98


def test_settings_that_exclude_each_other() -> None:
    scope = FakeScope(COLUMNS)
    assert scope.told(Dedup(by="text", words=3, chars=5)) == ["words and chars exclude each other"]
    assert FakeScope(COLUMNS).told(Dedup(by="figures")) == ["'figures' must be text or a vector, not [str]"]
    assert Dedup(by="text", within="entity", apart=["time"]).reads(FakeScope(COLUMNS)) == {"text", "entity", "time"}


def replaced(rng: random.Random, words: list[str], count: int) -> list[str]:
    """The words, so many of them replaced."""
    copy = list(words)
    for at in rng.sample(range(len(copy)), count):
        copy[at] = f"new{rng.randrange(10**6)}"
    return copy


async def found_pairs(texts: list[str], **more: object) -> set[tuple[int, int]]:
    """Pairs that the step says are the same."""
    _, table = await run([row(n, text) for n, text in enumerate(texts)], **more)
    return {(int(str(reject.detail["dup_of"]), 16), int(reject.row, 16)) for reject in table.rejects}


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("shingling", [Shingling(1), Shingling(3), Shingling(8, characters=True)], ids=str)
async def test_recall_and_precision_against_all_pairs(threshold: float, shingling: Shingling) -> None:
    """Pairs are planted at every Jaccard from 0.4 to 1; all others have nothing in common."""
    rng = random.Random(4)
    texts: list[str] = []
    for n in range(300):
        words = [f"{n}x{k}" for k in range(80)]
        most = 40 // shingling.size if not shingling.characters else 14
        texts += [" ".join(words), " ".join(replaced(rng, words, n % most))]
    unit = {"chars": shingling.size, "words": None} if shingling.characters else {"words": shingling.size}
    found = await found_pairs(texts, threshold=threshold, **unit)
    sets = [hashed(text, shingling) for text in texts]
    near = {(n, n + 1): jaccard(sets[n], sets[n + 1]) for n in range(0, len(texts), 2)}
    truth = {pair for pair, share in near.items() if share >= threshold}
    assert min(near.values()) < 0.5 and len(truth) >= 20
    assert found <= truth, "precision 1"
    assert len(found) / len(truth) >= 0.99


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


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.7, 0.8]))
async def test_sets_are_the_closure_of_all_pairs_and_stay_together_as_rows_come(key: int, threshold: float) -> None:
    rng = random.Random(key)
    texts = variants(rng, 40)
    few = await found_pairs(texts[:25], threshold=threshold)
    many = await found_pairs(texts, threshold=threshold)
    sets = list(range(len(texts)))
    for one, other in alike(texts, Shingling(3), threshold):
        low, high = sorted((sets[one], sets[other]))
        sets = [low if each == high else each for each in sets]
    together = {copy: first for first, copy in many}
    assert all(sets[first] == sets[copy] for first, copy in many)
    missed = [n for n, first in enumerate(sets) if first != together.get(n, n)]
    assert len(missed) <= 8, "a pair right at the threshold may be missed, and what it ties with it"
    assert all(together.get(first, first) == together.get(copy, copy) for first, copy in few)


async def test_texts_that_are_known_are_not_sketched_again(tmp_path: Path) -> None:
    rng = random.Random(2)
    rows = [row(n, text) for n, text in enumerate(variants(rng, 300))]
    store = FakeStore(tmp_path)

    async def once(some: list[dict[str, object]], **more: object) -> tuple[object, int]:
        table = FakeTable(some, COLUMNS, store=store)
        made = await table.run(Dedup.model_validate({"by": "text", "words": 3, **more}))
        return (made, table.rejects), sum(count(path) for path in (tmp_path / "artifacts/sketches").iterdir())

    whole, texts = await once(rows)
    again, more = await once(rows)
    assert (again, more) == (whole, texts), "nothing was added, and the result is the same"
    changed = [*rows[:-3], *(row(900 + n, f"{each['text']} new") for n, each in enumerate(rows[-3:]))]
    assert (await once(changed))[1] == texts + 3
    assert (await once(rows, threshold=0.82))[1] == texts + 3, "the same bands"
    assert (await once(rows)) == (whole, texts + 3), "what other rows left there changes nothing"


def count(path: Path) -> int:
    import lance

    return int(lance.dataset(str(path)).count_rows())


async def test_rows_of_another_run_make_ours_duplicates_and_are_never_given(tmp_path: Path) -> None:
    theirs = [row(2, BASE, "A"), row(3, BASE + " too", "A"), row(4, "a text of its own that ours do not have", "A")]
    ours = [row(1, BASE.upper(), "A"), row(5, BASE, "B"), row(6, "ours alone, every word", "A"), row(2, BASE, "A")]
    against = [{"run": "old@v1", "table": "notes", "column": "body"}]
    columns = types({"body": "str", "entity": "str"})
    others = {"notes": (columns, [{"_id": r["_id"], "body": r["text"], "entity": r["entity"]} for r in theirs])}
    table = FakeTable(ours, COLUMNS, others=others, store=FakeStore(tmp_path / "new"))
    action = Dedup.model_validate({"by": "text", "words": 3, "within": "entity", "against": against})
    made = await table.run(action)
    assert [int(str(each["_id"]), 16) for each in made] == [5, 6]
    assert table.read == [("old@v1", "notes")]
    first = {"dup_of": f"{2:032x}", "similarity": 1.0, "run": "old@v1", "table": "notes"}
    assert [(int(r.row, 16), r.detail) for r in table.rejects] == [(1, first), (2, first)]
    assert count(next((tmp_path / "new/artifacts/sketches").iterdir())) == 5

    # Sketches that the other run keeps are used where they lie.
    (tmp_path / "new/artifacts").rename(tmp_path / "kept")
    (tmp_path / "old").mkdir()
    (tmp_path / "kept").rename(tmp_path / "old/artifacts")
    again = FakeTable(ours, COLUMNS, others=others, store=FakeStore(tmp_path / "new"))
    assert (await again.run(action), again.rejects) == (made, table.rejects)
    assert list((tmp_path / "new/artifacts/sketches").iterdir()) == []


async def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    others = {"notes": (COLUMNS, [row(1, BASE)])}
    table = FakeTable([row(1, BASE)], COLUMNS, others=others, store=FakeStore(tmp_path / "own"))
    with pytest.raises(SpecError, match="against the run itself"):
        await table.run(Dedup.model_validate({"by": "text", "against": [{"run": "own", "table": "notes"}]}))


def test_a_table_to_compare_with_has_the_columns_that_decide() -> None:
    def told(columns: dict[str, object], **more: object) -> list[str]:
        scope = FakeScope(COLUMNS, others={"notes": types(columns)})
        against = [{"run": "old", "table": "notes"}]
        return scope.told(Dedup.model_validate({"by": "text", "against": against, **more}))

    assert told({"text": "str", "entity": "str"}, within="entity") == []
    assert told({"body": "str"}) == ["'notes' of 'old' has no column 'text'"]
    assert told({"text": ["str"]}) == ["'text' of 'old' must be text, not [str]"]
    assert told({"text": "str"}, within="entity") == ["'notes' of 'old' has no column 'entity', which decides here"]
    wrong = "'time' is int in 'old' and date|none here, so no two values would be equal"
    assert told({"text": "str", "time": "int"}, apart=["time"]) == [wrong]
