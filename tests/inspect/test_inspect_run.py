from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from synthkit import inspect
from synthkit.core.errors import SpecError, StoreError, StoreLocked
from synthkit.core.ids import digest
from synthkit.core.store import StepLayout
from synthkit.core.types import Json, Str
from synthkit.inspect import tables
from synthkit.inspect.diff import diff
from synthkit.inspect.export import export
from synthkit.inspect.gc import collect_garbage
from synthkit.inspect.retry import raise_attempts, role_fields
from synthkit.inspect.tags import tag_run
from synthkit.store.run import LanceRun, open_run
from tests.inspect.small_run import DOCS, PARTS

Make = Callable[..., Path]


def test_a_run_is_read_without_its_spec(make_run: Make) -> None:
    run = inspect.open(make_run())
    assert run.tables == ["corpus", "docs", "parts", "judged", "good"]
    assert "corpus" in run and "nothing" not in run
    assert isinstance(run["corpus"], pl.LazyFrame)
    assert run["corpus"].collect().columns == ["_id", "part", "meta", "claims", "license"]
    seen = ["text", "license", "meta", "part", "claims", "score"]
    assert run["good"].collect_schema().names() == ["_id", "_parents", *seen]
    assert list(run.columns("good")) == list(run.columns("judged")) == seen
    assert run.ledger("good").keys() == {"judged"}
    assert run["judged"].select("score").collect()["score"].to_list() == [5] * 20
    assert dict(run.columns("corpus"))["meta"] == Json()
    assert run.rejects.collect().height == 11
    assert run.completions.collect().height == 14
    usage = run.usage.row(0, named=True)
    assert (usage["step"], usage["model"], usage["requests"], usage["samples"]) == ("parts", "writer", 13, 24)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (120, 44)
    assert "corpus, docs" in repr(run)
    with pytest.raises(StoreError, match=r"no table 'corps'; .* did you mean 'corpus'\?"):
        run["corps"]


def test_the_pace_of_a_run_is_that_of_its_completions(make_run: Make) -> None:
    run = inspect.open(make_run())
    asked = run.completions.filter(pl.col("kind") == "ask").collect()
    seconds = asked["at"].max() - (asked["at"] - asked["seconds"]).min()
    assert run.tokens_per_second() == pytest.approx(asked["completion_tokens"].sum() / seconds)


def test_tables_of_text(make_run: Make) -> None:
    run = inspect.open(make_run())
    lines = tables.counts(run).splitlines()
    assert next(line.split() for line in lines if line.startswith("parts"))[1:4] == ["12", "9", "1"]
    assert [line.split()[1:3] for line in lines if "corpus" in line] == [["corpus", "20"]]
    rates = next(line for line in tables.rates(run).splitlines() if "parts" in line)
    assert rates.split()[2:6] == ["81.8%", "11", "90.9%", "22"]
    schema = tables.schema(run, "judged")
    assert schema.startswith("judged: 20 rows\n") and "int(1..5)|none" in schema
    lengths = [line.split() for line in tables.lengths(run, "corpus").splitlines()]
    assert [line[1:4] for line in lengths if "claims" in line] == [["claims", "items", "0"]]
    assert [line[-2] for line in lengths if "claims" in line] == ["2"]
    assert tables.lengths(run, "corpus").count("characters") == 2
    assert not any("…" in line for line in lines)


def test_samples_show_whole_rows(make_run: Make) -> None:
    run = inspect.open(make_run())
    shown = tables.samples(run, "docs", 2)
    assert [line for line in shown.splitlines() if line.startswith("_id")] == [
        f"_id: {doc}" for doc in sorted(DOCS)[:2]
    ]
    one = tables.samples(run, "docs", rows=[DOCS[4][:12]])
    assert "text: text of 4" in one and '"tags": [' in one and "甲" in one
    with pytest.raises(StoreError, match="no row with id zz"):
        tables.samples(run, "docs", rows=["zz"])


def test_an_empty_run_has_empty_tables(tmp_path: Path) -> None:
    asyncio.run(open_run(tmp_path / "run", write=True).close())
    run = inspect.open(tmp_path / "run")
    assert tables.counts(run) == tables.rates(run) == "the run has no steps yet"
    assert run.usage.height == 0 and run.ledger() == {}


def test_exports_with_a_card(make_run: Make, tmp_path: Path) -> None:
    run = inspect.open(make_run())
    path = export(run, "corpus", "jsonl", tmp_path / "out").path
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 20 and {row["_id"] for row in rows} == set(PARTS[:20])
    assert rows[0]["meta"]["tags"] == ["甲", None]
    parquet = pl.read_parquet(export(run, "corpus", "parquet", tmp_path / "out").path)
    assert parquet.height == 20 and parquet.columns == ["_id", "part", "meta", "claims", "license"]
    assert json.loads(parquet["meta"][0])["tags"] == ["甲", None]
    card = (tmp_path / "out" / "corpus.md").read_text()
    for part in (
        "# small: corpus",
        "A small run.",
        "`corpus.parquet`, 20 rows",
        "- `claims`: `[{text: str}]`",
        "- `docs`, 8 rows: CC0-1.0",
        "- `docs`, 4 rows: licence not stated",
        "- `writer` (nano): 13 requests",
        "- `parts`: 12 in, 9 kept, 1 filtered, 1 failed, 1 pending; 27 out",
        "- `k`: `3`",
        "```yaml\nname: small",
    ):
        assert part in card, part
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "corpus.jsonl",
        "corpus.md",
        "corpus.parquet",
    ]
    assert export(run, "judged", "jsonl", tmp_path / "step").rows == 20
    with pytest.raises(StoreError, match="formats: jsonl, parquet"):
        export(run, "corpus", "csv", tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="not a published table"):
        export(run, "judged", "jsonl", tmp_path / "out", tag="v1")


def test_an_export_of_a_tag_is_of_that_version(make_run: Make, tmp_path: Path) -> None:
    async def change(run: LanceRun) -> None:
        run.tag("v1")
        await run.table("judged").write([], [], PARTS[:5])
        run.publish("corpus", "judged", ["part"], {})

    run = inspect.open(make_run(change=change))
    assert len(export(run, "corpus", "jsonl", tmp_path / "new").path.read_text().splitlines()) == 15
    old = export(run, "corpus", "jsonl", tmp_path / "old", tag="v1").path.read_text().splitlines()
    assert len(old) == 20 and "meta" in json.loads(old[0])
    assert "version tagged `v1`" in (tmp_path / "old" / "corpus.md").read_text()


def test_two_runs_side_by_side(make_run: Make) -> None:
    one = inspect.open(make_run("one"))
    assert str(diff(one, inspect.open(make_run("same")))) == "no differences"

    async def change(run: LanceRun) -> None:
        layouts = dict(run.layouts)
        layouts["parts"] = StepLayout("parts", digest("new"), {"part": Str(), "figure": Str()}, ("docs",))
        layouts["extra"] = StepLayout("extra", digest("extra"), {}, ("docs",), keeps_id=True)
        run.describe(list(layouts.values()))
        run.table("parts")
        await run.table("docs").write([], [], DOCS[:1])
        run.state["vars"] = {"k": 4}
        run.state["definitions"] = {"parts": {"prompt": "two"}}

    found = diff(one, inspect.open(make_run("two", change)), examples=1)
    text = str(found)
    assert found.settings == ["vars.k: 3 -> 4"]
    assert "docs: 12 -> 11 rows\n  1 ids only in the first: " + DOCS[0] in text
    parts = next(table for table in found.tables if table.name == "parts")
    assert parts.rows == (27, 0) and parts.only == (27, 0)
    assert parts.changed == [
        "adds.claims: [{text: str}] -> none",
        "adds.figure: none -> str",
        "prompt: one -> two",
    ]
    extra = next(table for table in found.tables if table.name == "extra")
    assert extra.rows == (None, 0) and not extra.same
    assert "judged" not in text


def test_cleaning_a_run(make_run: Make) -> None:
    path = make_run()
    (path / "docs.lance" / "data" / "0.lance").write_bytes(b"x" * 5000)
    told = collect_garbage(path, dry_run=True)
    assert collect_garbage(path, dry_run=True) == told > 5000
    freed = collect_garbage(path)
    assert freed >= told and freed > 0
    assert collect_garbage(path, dry_run=True) == collect_garbage(path) == 0
    assert inspect.open(path)["corpus"].collect().height == 20
    with pytest.raises(StoreError, match="is not a run"):
        collect_garbage(path.parent)
    writer = open_run(path, write=True)
    with pytest.raises(StoreLocked):
        collect_garbage(path)
    asyncio.run(writer.close())


def test_tagging_a_run(make_run: Make, tmp_path: Path) -> None:
    path = make_run()
    assert set(tag_run(path, "v1")) == {"corpus"}
    assert tag_run(path, "v1") == tag_run(path, "v2")
    asyncio.run(open_run(tmp_path / "empty", write=True).close())
    with pytest.raises(StoreError, match="no published table to tag"):
        tag_run(tmp_path / "empty", "v1")


def test_retry_chooses_rows_that_failed_or_those_meant(make_run: Make) -> None:
    path = make_run()
    assert raise_attempts(path, dry_run=True) == {"parts": 1}
    assert raise_attempts(path, where="reason == 'not long' or detail.missing == 1", dry_run=True) == {"parts": 1}
    assert raise_attempts(path, where="sample == 1 and raw == '{'", dry_run=True) == {"parts": 1}
    assert raise_attempts(path, where="reason == 'dull'", dry_run=True) == {}, "its row was kept"
    assert raise_attempts(path, step="judged", where="outcome == 'filtered'", dry_run=True) == {"judged": 7}
    assert inspect.open(path).ledger()["parts"].failed == 1
    assert raise_attempts(path, sets=["max_tokens=4096", "temperature=0"]) == {"parts": 1}
    assert inspect.open(path).store.rejects().collect().height == 9
    counts = inspect.open(path).ledger()["parts"]
    assert (counts.failed, counts.pending) == (0, 2)
    assert raise_attempts(path) == {}
    run = open_run(path, write=False)
    assert run.attempts("parts") == {DOCS[10]: (1, {"max_tokens": 4096, "temperature": 0})}


def test_retry_names_everything_that_is_wrong(make_run: Make) -> None:
    with pytest.raises(SpecError) as raised:
        role_fields(["max_token=3", "seed", "temperature=9"])
    assert str(raised.value).splitlines() == [
        "--set: 'max_token' is no field of a role",
        str(raised.value).splitlines()[1],
        "",
        "--set: 'seed' is not FIELD=VALUE",
        str(raised.value).splitlines()[4],
        "",
        "--set temperature=9: Input should be less than or equal to 5",
    ]
    assert "did you mean 'max_tokens'?" in str(raised.value)
    path = make_run()
    with pytest.raises(SpecError, match="rejects have no 'raeson'"):
        raise_attempts(path, where="raeson == 'x'")
    with pytest.raises(SpecError, match="--where"):
        raise_attempts(path, where="reason ==")
    with pytest.raises(StoreError, match="no step 'prats'"):
        raise_attempts(path, step="prats")
