"""`dedup` by vectors against all pairs in 64 bits, and what is `exact` or none."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.actions.dedup import Dedup
from synthkit.actions.vectors import cells, neighbours
from synthkit.core.errors import SpecError

from .fakes import FakeScope, FakeStore, FakeTable, types

COLUMNS = types({"text": "str|none", "vector": "vector(m1)|none", "entity": "str", "time": "date|none"})
Numbers = list[float]


def row(n: int, vector: Numbers | None, entity: str = "E", time: str | None = None) -> dict[str, Any]:
    return {"_id": f"{n:032x}", "vector": vector, "entity": entity, "time": time}


async def run(rows: list[dict[str, Any]], **more: Any) -> tuple[list[int], FakeTable]:
    """Kept rows by number, and the table with its rejects."""
    table = FakeTable(rows, COLUMNS)
    made = await table.run(Dedup.model_validate({"by": "vector", "threshold": 0.9, **more}))
    return [int(str(each["_id"]), 16) for each in made], table


def cosine(one: Numbers, other: Numbers) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def drawn(rng: random.Random, count: int, size: int = 8) -> list[Numbers]:
    """Vectors around a few directions, some equal, some scaled."""
    topics = [[rng.gauss(0, 1) for _ in range(size)] for _ in range(5)]
    found: list[Numbers] = []
    for _ in range(count):
        if found and rng.random() < 0.1:
            scale = rng.choice([1.0, 2.0])
            found.append([scale * each for each in rng.choice(found)])
        else:
            spread = rng.choice([0.05, 0.3, 1.0])
            found.append([each + rng.gauss(0, spread) for each in rng.choice(topics)])
    return found


def expected(rows: list[dict[str, Any]], threshold: float) -> list[int]:
    """The smallest of each set of the closure of all pairs."""
    parent = list(range(len(rows)))

    def root(at: int) -> int:
        while parent[at] != at:
            at = parent[at]
        return at

    rows = sorted(rows, key=lambda each: str(each["_id"]))
    for a, one in enumerate(rows):
        for b, other in enumerate(rows[:a]):
            if (one["entity"], one["time"]) != (other["entity"], other["time"]) or not one["vector"]:
                continue
            if other["vector"] and cosine(one["vector"], other["vector"]) >= threshold:
                first, second = sorted((root(a), root(b)))
                parent[second] = first
    return [int(str(each["_id"]), 16) for at, each in enumerate(rows) if root(at) == at]


@given(key=st.integers(0, 10**6), threshold=st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=15, deadline=None)
async def test_every_pair_is_found_within_its_group_and_no_other(key: int, threshold: float) -> None:
    rng = random.Random(key)
    vectors: list[Numbers | None] = [None if rng.random() < 0.05 else each for each in drawn(rng, 60)]
    rows = [row(n, each, rng.choice("AB"), rng.choice([None, "2020"])) for n, each in enumerate(vectors)]
    wanted = expected(rows, threshold)
    rng.shuffle(rows)
    kept, table = await run(rows, within="entity", apart=["time"], threshold=threshold)
    assert kept == wanted, "whatever order rows come in"
    by_id = {each["_id"]: each["vector"] for each in rows}
    for reject in table.rejects:
        told = dict(reject.detail)
        assert told["dup_of"] < reject.row
        assert told["similarity"] == pytest.approx(cosine(by_id[reject.row], by_id[told["dup_of"]]), abs=2e-4)


@pytest.mark.parametrize("threshold", [0.6, 0.9, 0.99])
async def test_cells_miss_nothing(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    rows = [row(n, each) for n, each in enumerate(drawn(rng, 800))]
    whole, _ = await run(rows, threshold=threshold)
    compared: list[int] = []
    find = neighbours.Neighbours.find

    def counted(self: neighbours.Neighbours) -> None:
        find(self)
        compared.append(self.compared)

    monkeypatch.setattr(neighbours.Neighbours, "find", counted)
    monkeypatch.setattr(cells, "_MEMBERS", 16)
    assert await run(rows, threshold=threshold) and compared
    monkeypatch.setattr(neighbours, "WHOLE", 0)
    monkeypatch.setattr(neighbours, "WORTH", 1.0)
    divided, _ = await run(rows, threshold=threshold)
    assert divided == whole
    assert threshold < 0.9 or compared[1] < compared[0] / 2, "and leave work out"


def test_cells_are_used_where_they_leave_much_out() -> None:
    """Of a few far topics most pairs are left out, of vectors in all directions none."""
    rng = np.random.default_rng(5)
    topics = rng.normal(size=(20, 32))
    far = topics[rng.integers(0, 20, 4000)] + 0.1 * rng.normal(size=(4000, 32))
    for numbers, least, most in ((far, 0.0, 0.1), (rng.normal(size=(4000, 32)), 0.7, 1.0)):
        units = (numbers / np.linalg.norm(numbers, axis=1)[:, None]).astype(np.float32)
        divided = cells.Cells(units, np.arange(4000), 0.4)
        told = divided.share()
        pairs = sum(len(a) * (len(b) - 1) / 2 if a is b else len(a) * len(b) for a, b in divided.blocks())
        assert least <= told <= most
        assert told == pytest.approx(pairs / (4000 * 3999 / 2), abs=0.1)


async def test_what_is_near_to_a_duplicate_is_one_too() -> None:
    steps = [[math.cos(at / 4), math.sin(at / 4)] for at in range(6)]
    kept, table = await run([row(n, each) for n, each in enumerate(steps)], threshold=0.96)
    assert kept == [0]
    assert [round(float(each.detail["similarity"]), 2) for each in table.rejects] == [0.97, 0.88, 0.73, 0.54, 0.32]


async def test_no_vector_and_one_without_direction_are_like_no_other() -> None:
    kept, _ = await run([row(1, None), row(2, None), row(3, [0.0, 0.0]), row(4, [0.0, 0.0]), row(5, [1.0, 0.0])])
    assert kept == [1, 2, 3, 4, 5]
    assert (await run([row(1, None)]))[0] == [1]
    assert (await run([]))[0] == []


async def test_vectors_of_two_lengths_are_an_error() -> None:
    with pytest.raises(SpecError, match=r"a vector of 2 numbers and one of 3"):
        await run([row(1, [1.0, 0.0]), row(2, [1.0, 0.0, 0.0])])


async def test_rows_of_another_run_make_ours_duplicates_and_are_never_given(tmp_path: Path) -> None:
    ours = [row(1, [1.0, 0.0]), row(2, [0.0, 1.0]), row(3, [0.1, 1.0])]
    theirs = [row(8, [0.02, 2.0]), row(9, [0.0, 1.0]), row(0, [-1.0, 0.0])]
    table = FakeTable(ours, COLUMNS, others={"notes": (COLUMNS, theirs)}, store=FakeStore(tmp_path / "new"))
    action = Dedup.model_validate({"by": "vector", "threshold": 0.9, "against": [{"run": "old", "table": "notes"}]})
    assert [int(str(each["_id"]), 16) for each in await table.run(action)] == [1]
    assert {str(each.detail["dup_of"])[-1] for each in table.rejects} == {"8"}
    assert all(each.detail["run"] == "old" for each in table.rejects)
    assert list((tmp_path / "new/artifacts/vectors").iterdir()) == [], "nothing is left"


def test_what_vectors_cannot_be_asked() -> None:
    def told(**more: Any) -> list[str]:
        scope = FakeScope(COLUMNS, others={"notes": types({"vector": "vector(m2)", "text": "str"})})
        return scope.told(Dedup.model_validate({"by": "vector", **more}))

    assert told() == ["near is another cosine for each model, so a vector needs a threshold"]
    assert told(threshold=0.9, words=3) == ["'vector' is a vector, so words has no meaning"]
    assert told(threshold=0.9, cluster="c") == ["'vector' is a vector, so cluster has no meaning"]
    assert told(threshold=0.9, exact=True) == [
        "exact compares whole texts, so threshold has no meaning",
        "exact compares texts, and vectors by a threshold",
    ]
    against = {"run": "old", "table": "notes"}
    other = "'vector' is vector(m2) in 'old' and 'vector' vector(m1) here: vectors of two models cannot be compared"
    assert told(threshold=0.9, against=[against]) == [other]
    assert told(threshold=0.9, against=[against | {"column": "text"}]) == ["'text' of 'old' must be a vector, not str"]
    assert FakeScope(COLUMNS).told(Dedup(by="text", exact=True, threshold=0.5)) == [
        "exact compares whole texts, so threshold has no meaning"
    ]
    numbers = types({"mine": ["float"]})
    assert FakeScope(numbers).told(Dedup(by="mine", threshold=0.9)) == [], "vectors from elsewhere"


async def test_exact_looks_at_every_character() -> None:
    texts = ["A river", "a river", "A river", None, None, "", ""]
    rows = [{"_id": f"{n:032x}", "text": each, "entity": "E"} for n, each in enumerate(texts)]
    table = FakeTable(rows, COLUMNS)
    made = await table.run(Dedup.model_validate({"by": "text", "exact": True}))
    assert [int(str(each["_id"]), 16) for each in made] == [0, 1, 3, 4, 5]
    assert not list(table.store.artifact("sketches").iterdir()), "no sketches are made"


@pytest.mark.parametrize("settings", [{}, {"cluster": "kind"}, {"within": "entity"}], ids=str)
async def test_no_text_is_like_no_other(settings: dict[str, Any]) -> None:
    """Of near copies, too: an empty text is one, and none is not."""
    texts = [None, "", "the river rose in the spring", None, "", "The river rose, in the spring"]
    rows = [{"_id": f"{n:032x}", "text": each, "entity": "E"} for n, each in enumerate(texts)]
    made = await FakeTable(rows, COLUMNS).run(Dedup.model_validate({"by": "text", "words": 2, **settings}))
    assert [int(str(each["_id"]), 16) for each in made] == [0, 1, 2, 3]
    if "cluster" in settings:
        assert [int(str(each["kind"]), 16) for each in made] == [0, 1, 2, 3]


@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1)])
async def test_a_vector_without_numbers_is_told(empty: tuple[int, ...]) -> None:
    rows = [row(n, [] if n in empty else [1.0, 0.0]) for n in range(2)]
    with pytest.raises(SpecError, match="a vector has no numbers"):
        await run(rows)


@pytest.mark.parametrize("seed", range(20))
def test_cells_of_close_centres_miss_no_pair(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    centre, way = (each / np.linalg.norm(each) for each in rng.normal(size=(2, 768)))
    close = np.stack([centre, centre + 0.0015 * way]).astype(np.float32)
    matrix = np.stack([centre - 0.2 * way, centre + 0.2 * way]).astype(np.float32)
    monkeypatch.setattr(cells, "_centres", lambda *_: close)
    divided = cells.Cells(matrix, np.arange(2), 0.4)  # the two are 0.4 apart
    given = [(ones.tolist(), others.tolist()) for ones, others in divided.blocks()]
    assert ([0], [1]) in given
