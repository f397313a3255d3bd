"""Lists taken apart in a run: through unions, conditions, barriers and growing inputs, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.execute.options import RunOptions
from synthkit.inspect.bounds import check_bounds

HEAD = """
name: small
engines: {e: {scripted: auto}}
models: {writer: {engine: e}}
tokenizer: nano
steps:
  runs:
    read: {path: runs.jsonl, key: id, columns: {id: str, items: "[{a: str}]"}}
  states:
    from: runs
    unroll: {over: items, item: item, past: past, index: k}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(sizes: list[int]) -> None:
    rows = [
        {"id": f"r{at}", "items": [{"a": f"{at}.{k}"} for k in range(1, size + 1)]} for at, size in enumerate(sizes)
    ]
    Path("runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(steps: str, **options: Any) -> api.RunResult:
    Path("small.yaml").write_text(HEAD + steps)
    result = api.run("small.yaml", out="runs/small", options=RunOptions(**options))
    assert result.stopped is None, result.stopped
    assert result.problems == []
    assert all(counts.balanced() for counts in result.ledger.values())
    return result


def rows(step: str, *columns: str) -> list[dict[str, Any]]:
    return api.open("runs/small").store.scan(step, list(columns)).collect().sort("_id").to_dicts()


def test_rank_and_fold_find_their_origin_through_a_union(folder: Path) -> None:
    runs([3, 5, 1])
    run("""
  odd:
    from: states
    filter: {odd: "k % 2 == 1"}
  second:
    from: states
    filter: {second: k == 2}
  ranked:
    from: [odd, second]
    rank: {by: k, order: descending, per: runs, into: place}
  best:
    from: ranked
    filter: {best: place <= 2}
  back:
    from: best
    fold: {unrolled: states, into: items, add: [place]}
""")
    found = {row["id"]: [each["place"] for each in row["items"]] for row in rows("back", "id", "items")}
    assert found == {"r0": [None, 2, 1], "r1": [None, None, 2, None, 1], "r2": [1]}
    assert [row["_id"] for row in rows("back")] == [row["_id"] for row in rows("runs")]
    assert list(api.open("runs/small").store.columns("back")) == ["id", "items"]


def test_past_is_read_again_after_a_barrier_and_is_the_same(folder: Path) -> None:
    runs([4, 2])
    run("""
  at_once:
    from: states
    let: {one: "past | map(attribute='a') | join(' ')", item_a: item.a}
  ranked:
    from: at_once
    rank: {by: k}
  later:
    from: ranked
    let: {other: "past | map(attribute='a') | join(' ')", item_b: item.a}
""")
    for row in rows("later", "k", "one", "other", "item_a", "item_b", "id"):
        run_of = row["id"][1:]
        assert row["one"] == row["other"] == " ".join(f"{run_of}.{k}" for k in range(1, row["k"]))
        assert row["item_a"] == row["item_b"] == f"{run_of}.{row['k']}"


STEPS = """
  marked:
    from: states
    let: {said: "item.a ~ ' after ' ~ (past | length)"}
  back:
    from: marked
    fold: {unrolled: states, into: items, add: [said]}
"""


def test_more_runs_and_longer_ones_only_add(folder: Path) -> None:
    runs([2, 1])
    run(STEPS)
    before = {row["_id"] for row in rows("states")}
    runs([2, 3, 2])
    result = run(STEPS)
    assert before < {row["_id"] for row in rows("states")}
    assert result.ledger["states"].output == 7
    said = {row["id"]: [each["said"] for each in row["items"]] for row in rows("back", "id", "items")}
    assert said["r1"] == ["1.1 after 0", "1.2 after 1", "1.3 after 2"]
    runs([1])
    result = run(STEPS)
    assert (result.ledger["states"].output, result.ledger["back"].output) == (1, 1)


def test_a_changed_item_that_no_row_reads_still_comes_back(folder: Path) -> None:
    steps = STEPS.replace("item.a ~ ' after ' ~ (past | length)", "k ~ ''")
    runs([3])
    run(steps)
    Path("runs.jsonl").write_text(Path("runs.jsonl").read_text().replace('"0.2"', '"new"'))
    run(steps)
    (row,) = rows("back", "items")
    assert [each["a"] for each in row["items"]] == ["0.1", "new", "0.3"]


def test_a_conditional_unroll_and_its_fold(folder: Path) -> None:
    runs([2, 3])
    head = HEAD.replace("    unroll:", '    when: id == "r1"\n    unroll:')
    Path("small.yaml").write_text(
        head + STEPS.replace("item.a ~", "(item.a if item else '') ~").replace("past |", "(past or []) |")
    )
    result = api.run("small.yaml", out="runs/small")
    assert result.problems == []
    assert result.ledger["states"].output == 4
    assert result.ledger["back"].reasons == {"of no list": 1}
    assert [row["id"] for row in rows("back", "id")] == ["r1"]
    untouched = [row for row in rows("states", "k", "item", "past") if row["k"] is None]
    assert [(row["item"], row["past"]) for row in untouched] == [(None, None)]


def test_branches_have_tables_ledger_lines_and_consumers_of_their_own(folder: Path) -> None:
    runs([1, 2, 3, 9])
    steps = """
  sized:
    from: runs
    let: {n: items | length}
  stage:
    from: sized
    route: {by: n, into: {small: ..1, large: 2..4}}
  small:
    from: stage.small
    let: {m: n + 100}
  all:
    from: [stage.large, small]
    let: {seen: n > 1}
publish:
  large: {from: stage.large, columns: [id, n, range]}
  small: {from: small, columns: [id, m]}
audit: {stage.small.rows: 1..1, stage.large.n: 2..3}
"""
    result = run(steps)
    assert result.tables == {"large": 2, "small": 1}
    assert result.ledger["stage"].reasons == {"fits no range": 1}
    assert (result.ledger["stage.large"].kept, result.ledger["stage.large"].unused) == (2, 1)
    assert sorted(row["id"] for row in rows("all", "id")) == ["r0", "r1", "r2"]
    assert {row["range"] for row in rows("stage.large", "range")} == {"large"}
    found = api.open("runs/small")
    assert check_bounds(found, found.ledger()) == []
    run(steps, until="stage.large")


def test_limit_and_then_the_rest(folder: Path) -> None:
    runs([2, 3, 4])
    assert run(STEPS, limit=1).ledger["back"].output == 1
    assert run(STEPS).ledger["back"].output == 3
