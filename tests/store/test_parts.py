"""Columns that are cut from a list on reading: with joins, unions, hidden columns and other fingerprints in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthkit.core.ids import digest, mint
from synthkit.core.part import Part
from synthkit.core.store import StepLayout
from synthkit.core.types import Bool, Int, parse_type
from synthkit.store.layouts import dump, load, visible
from synthkit.store.run import open_run

LIST = parse_type("[{a: str, b: int|none}]")
P0, P1, P2, P3, NONE, BEYOND = (mint("", "runs", name) for name in ("p0", "p1", "p2", "p3", "none", "beyond"))
PARTS = {"item": Part("items", "k", "item"), "past": Part("items", "k", "before")}
LAYOUTS = [
    StepLayout("runs", digest("runs"), {"items": LIST, "q": Int()}),
    StepLayout("kept", digest("kept"), {}, ("runs",), keeps_id=True),
    StepLayout("states", digest("states"), {"k": Int(1)}, ("kept",), parts=PARTS),
    StepLayout("marked", digest("marked"), {"m": Bool()}, ("states",), keeps_id=True, hidden=frozenset({"items", "k"})),
    StepLayout("both", digest("both"), {}, ("marked", "states"), union=True),
]


async def written(path: Path) -> Any:
    store = open_run(path, write=True)
    store.describe(LAYOUTS)
    lists = {P0: [], P1: [("x", 1)], P2: [("y", None), ("z", 2), ("w", 3)], P3: None}
    runs = [
        {"_id": p, "_parents": [], "_in": "", "q": at, "items": items and [{"a": a, "b": b} for a, b in items]}
        for at, (p, items) in enumerate(lists.items())
    ]
    await store.table("runs").write(runs, [])
    await store.table("kept").write([{"_id": p, "_parents": [p], "_in": ""} for p in lists], [])
    states = [
        {"_id": mint(p, "states", k), "_parents": [p], "_in": "", "k": k}
        for p, items in lists.items()
        for k in range(1, len(items or ()) + 1)
    ]
    states.append({"_id": NONE, "_parents": [P2], "_in": "", "k": None})
    states.append({"_id": BEYOND, "_parents": [P1], "_in": "", "k": 9})
    await store.table("states").write(states, [])
    assert "item" not in store.table("states").dataset.schema.names  # type: ignore[attr-defined]
    await store.table("marked").write(
        [{"_id": s["_id"], "_parents": [s["_id"]], "_in": "", "m": True} for s in states], []
    )
    branches = [(s, name) for name in ("marked", "states") for s in states]
    rows = [{"_id": mint(s["_id"], "both", n), "_parents": [s["_id"]], "_in": "", "_branch": n} for s, n in branches]
    await store.table("both").write(rows, [])
    return store


WANTED = {
    mint(P1, "states", 1): ({"a": "x", "b": 1}, []),
    mint(P2, "states", 1): ({"a": "y", "b": None}, []),
    mint(P2, "states", 2): ({"a": "z", "b": 2}, [{"a": "y", "b": None}]),
    mint(P2, "states", 3): ({"a": "w", "b": 3}, [{"a": "y", "b": None}, {"a": "z", "b": 2}]),
    NONE: (None, None),
    BEYOND: (None, [{"a": "x", "b": 1}]),
}


@pytest.mark.parametrize("columns", [["item", "past"], ["past", "q", "item"], ["item"], ["k", "past", "items"]])
async def test_parts_are_cut_whatever_else_is_read(tmp_path: Path, columns: list[str]) -> None:
    store = await written(tmp_path / "run")
    found = store.scan("states", columns).collect()
    assert found.columns == ["_id", "_parents", *columns]
    for row in found.to_dicts():
        item, past = WANTED[row["_id"]]
        assert row.get("item", item) == item
        assert row.get("past", past) == past
    assert found.height == len(WANTED)
    await store.close()


async def test_parts_carry_past_hidden_lists_and_through_unions(tmp_path: Path) -> None:
    store = await written(tmp_path / "run")
    found = store.scan("marked").collect()
    assert found.columns == ["_id", "_parents", "q", "item", "past", "m"]
    assert {row["_id"]: (row["item"], row["past"]) for row in found.to_dicts()} == WANTED
    both = store.scan("both", ["_branch", "item", "past", "k"]).collect().to_dicts()
    assert len(both) == 2 * len(WANTED)
    for row in both:
        assert (row["item"], row["past"]) == WANTED[row["_parents"][0]]
        assert (row["k"] is None) == (row["_branch"] == "marked" or row["_parents"] == [NONE])
    await store.close()
    again = open_run(tmp_path / "run", write=False)
    assert again.scan("states", ["item"]).collect().height == len(WANTED)
    assert str(again.columns("states")["past"]) == "[{a: str, b: int|none}]"


def test_layouts_are_kept_with_their_parts() -> None:
    layouts = {layout.name: load(dump(layout)) for layout in LAYOUTS}
    assert list(layouts.values()) == LAYOUTS
    assert {name: str(each) for name, each in visible(layouts, "states").items()} == {
        "items": str(LIST),
        "q": "int",
        "k": "int(1..)",
        "item": "{a: str, b: int|none}",
        "past": str(LIST),
    }
    old = {name: value for name, value in dump(LAYOUTS[0]).items() if name != "parts"}
    assert load(old) == LAYOUTS[0]
