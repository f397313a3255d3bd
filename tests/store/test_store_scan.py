from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.core.ids import digest, mint
from synthkit.core.store import StepLayout
from synthkit.core.types import Int
from synthkit.store.run import open_run

STEP = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["filter", "add", "many", "union", "replace"]),
        "parent": st.integers(0, 5),
        "other": st.integers(0, 5),
        "hide": st.booleans(),
    }
)

Rows = list[dict[str, Any]]


class Model:
    """Steps as plain lists of whole rows: what reading must come to."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        docs = [{"_id": mint("", "s0", n), "_parents": [], "s0": n} for n in range(self.rng.randrange(6))]
        self.layouts = [StepLayout("s0", digest("s0"), {"s0": Int()})]
        self.rows: dict[str, Rows] = {"s0": docs}
        self.stored: dict[str, Rows] = {"s0": docs}
        self.seen: dict[str, list[str]] = {"s0": ["s0"]}

    def add(self, kind: str, parent: int, other: int, hide: bool) -> None:
        name = f"s{len(self.layouts)}"
        chosen = self.layouts[parent % len(self.layouts)].name
        second = self.layouts[other % len(self.layouts)].name
        union = kind == "union" and second != chosen
        parents = (chosen, second) if union else (chosen,)
        column = self.rng.choice(self.seen[chosen]) if kind == "replace" and self.seen[chosen] else name
        adds = {column: Int()} if kind in ("add", "many", "replace") else {}
        seen = list(dict.fromkeys([c for p in parents for c in self.seen[p]] + list(adds)))
        hidden = frozenset(seen[:1]) if hide and len(seen) > 1 else frozenset()
        keeps = not union and kind != "many"
        self.layouts.append(StepLayout(name, digest(name), adds, parents, keeps_id=keeps, union=union, hidden=hidden))
        self.rows[name], self.stored[name] = [], []
        self.seen[name] = [c for c in seen if c not in hidden]
        for branch in parents:
            for row in self.rows[branch]:
                if self.rng.random() < 0.3:
                    continue
                for n in range(2 if kind == "many" else 1):
                    added = {c: self.rng.randrange(99) for c in adds}
                    path = (branch,) if union else (n,)
                    child = row["_id"] if keeps else mint(row["_id"], name, *path)
                    whole = {**row, **added, "_id": child, "_parents": [row["_id"]]}
                    self.rows[name].append({c: whole.get(c) for c in ("_id", "_parents", *self.seen[name])})
                    kept = {"_id": child, "_parents": [row["_id"]], "_in": digest(0), **added}
                    self.stored[name].append({**kept, "_branch": branch} if union else kept)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.lists(STEP, min_size=1, max_size=6))
def test_reading_equals_joining_by_hand(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[dict[str, Any]]
) -> None:
    model = Model(seed)
    for step in steps:
        model.add(**step)

    async def check() -> None:
        run = open_run(tmp_path_factory.mktemp("run"), write=True)
        run.describe(model.layouts)
        for layout in model.layouts:
            for row in model.stored[layout.name]:
                if not layout.parents or model.rng.random() < 0.3:
                    await run.table(layout.name).write([row], [])
                    model.stored[layout.name] = [r for r in model.stored[layout.name] if r is not row]
            await run.table(layout.name).write(model.stored[layout.name], [])
        for layout in model.layouts:
            seen = model.seen[layout.name]
            assert list(run.columns(layout.name)) == seen
            for wanted in (None, [], seen[-1:], model.rng.sample(seen, model.rng.randrange(len(seen) + 1))):
                names = ["_id", "_parents", *(seen if wanted is None else wanted)]
                frame = run.scan(layout.name, wanted).collect()
                assert frame.columns == names
                expected = [{name: row[name] for name in names} for row in model.rows[layout.name]]
                assert sorted(frame.to_dicts(), key=lambda r: r["_id"]) == sorted(expected, key=lambda r: r["_id"])
                by_id = run.scan(layout.name, wanted, ordered=True).collect()
                assert by_id.equals(frame.sort("_id"))
                if not any(each.union for each in model.layouts):
                    assert frame["_id"].to_list() == run.table(layout.name).ids().to_list()
        await run.close()

    asyncio.run(check())
