"""Shares, weights, held-out rows and budgets: what of each source is in the corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from tests.train.corpus import documents, exported, ledger, recipe, sequences, write_jsonl

DOCUMENT = "The harbour of Lisbon opened in 1887.\n"


def test_the_mixture_holds(tmp_path: Path, base: Path) -> None:
    """Weights make shares of tokens, packed rows make them too, held-out rows are held out everywhere."""
    for name, size in (("a", 200), ("b", 80)):
        write_jsonl(
            tmp_path / f"{name}.jsonl", [{"text": f"{name} {at} " + DOCUMENT * (1 + at % 5)} for at in range(size)]
        )
    sources = "\n".join(
        f"  {name}: {{path: {tmp_path}/{name}.jsonl, share: {share}, repeat: 9}}"
        for name, share in (("a", "75%"), ("b", "25%"))
    )
    file = recipe(
        tmp_path / "r.yaml", base, sources, budget="20K", holdout="10%", outputs="[megatron, packed, documents]",
        tokens_per_step=1024,
    )  # fmt: skip
    out = tmp_path / "out"
    manifest = exported(file, out)
    assert (manifest["global_batch"], manifest["iterations"]) == (4, 20)
    blend = orjson.loads((out / "megatron/blend.json").read_bytes())
    assert blend["train"][0] == ["megatron/a_train", "megatron/b_train"] and sum(blend["train"][1]) == pytest.approx(1)
    tokens = {}
    for name, weight in zip("ab", blend["train"][1], strict=True):
        train = manifest["sources"][name]["splits"]["train"]
        tokens[name] = weight * train["tokens"] / train["packs"]
    assert tokens["a"] / (tokens["a"] + tokens["b"]) == pytest.approx(0.75)
    order = pq.read_table(out / "ledger/packed.train.parquet").to_pylist()
    rows = pq.read_table(out / "packed/train-00000.idx.parquet").to_pylist()
    counted: Counter[str] = Counter()
    for where, row in zip(order, rows, strict=True):
        counted[where["source"]] += len(row["input_ids"])
    assert sum(counted.values()) == pytest.approx(20_000, rel=0.1)
    assert counted["a"] / sum(counted.values()) == pytest.approx(0.75, abs=0.02)
    for name in "ab":
        valid = [tuple(each) for each in documents(out, name, "valid")]
        train = [tuple(each) for each in documents(out, name, "train")]
        assert valid and not set(valid) & set(train)
        whole = [tuple(each.tolist()) for each in sequences(out / f"documents/{name}_train")]
        assert sorted(whole) == sorted(train)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rows_are_held_out_together(tmp_path: Path, base: Path, kind: str) -> None:
    """Rows of one question are on one side, in both sources."""
    for name in "ab":
        rows = [{"text": f"{name}{at} {DOCUMENT}", "q": at % 20} for at in range(100)]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    sources = "\n".join(
        f"  {name}: {{path: {tmp_path}/{name}.{kind}, share: 50%, repeat: 9, together: q}}" for name in "ab"
    )
    exported(recipe(tmp_path / "r.yaml", base, sources, budget="2K", holdout="30%"), tmp_path / "out")
    sides: dict[int, set[bool]] = {}
    for name in "ab":
        for line in ledger(tmp_path / "out", name):
            sides.setdefault((int(line["row"].rsplit(":", 1)[1]) - 1) % 20, set()).add(line["valid"])
    assert all(len(each) == 1 for each in sides.values()) and len(sides) == 20
    assert 2 <= sum(True in each for each in sides.values()) <= 10


def test_too_few_tokens_are_refused(tmp_path: Path, base: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": DOCUMENT}] * 20)
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 2}}", budget="1M")
    with pytest.raises(SpecError, match=r"tokens available, 1M wanted = \d+ epochs, and repeat allows 2") as caught:
        exported(file, tmp_path / "out")
    assert caught.value.problems[0].mark is not None and caught.value.problems[0].mark.line == 6
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_budget_reads_what_it_needs(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthkit.train.store.PART_TOKENS", 500)
    monkeypatch.setattr("synthkit.train.batch.BATCH_ROWS", 10)
    monkeypatch.setattr("synthkit.train.file_source.BATCH_ROWS", 10)
    for at in range(8):
        write_jsonl(tmp_path / f"{at}.jsonl", [{"text": f"{at} {DOCUMENT}"}] * 100)
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/*.jsonl, share: 100%}}", budget="2K")
    manifest = exported(file, tmp_path / "out")
    train = manifest["sources"]["a"]["splits"]["train"]["tokens"]
    assert 2000 <= train <= 2050
    assert (tmp_path / "out/tokens/a/tokens.bin").stat().st_size // 4 < 4000
