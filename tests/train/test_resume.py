"""An export that is repeated does nothing again, one that was stopped or killed comes to the same bytes."""

from __future__ import annotations

import contextlib
import csv
import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import StoreError
from synthkit.train.batch import Source
from synthkit.train.distinct import Distinct
from synthkit.train.ingest import Ingest
from synthkit.train.prepare import prepare
from synthkit.train.store import TokenStore
from tests.train.corpus import contents, exported, recipe, sequences, write_jsonl

DOCUMENT = "The harbour of Lisbon opened in 1887.\n"
CHILD = """
import sys
from pathlib import Path
import synthkit.train.store as store, synthkit.train.file_source as files
store.PART_TOKENS = 2000
files.BATCH_ROWS = 20
from synthkit.train.export import export
from synthkit.train.prepare import prepare
export(prepare(Path(sys.argv[1])), Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


def test_it_is_exported_once(tmp_path: Path, base: Path) -> None:
    """A second export reads nothing; another sequence reads anew; a foreign folder is left alone."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": DOCUMENT}] * 50)
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 9}}"
    file = recipe(tmp_path / "r.yaml", base, source, budget=1000)
    exported(file, tmp_path / "out")
    before = contents(tmp_path / "out")
    written = (tmp_path / "out/megatron/a_train.bin").stat().st_mtime_ns
    exported(file, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert (tmp_path / "out/megatron/a_train.bin").stat().st_mtime_ns == written
    exported(recipe(tmp_path / "r.yaml", base, source, budget=1000, sequence=64), tmp_path / "out")
    assert {len(each) for each in sequences(tmp_path / "out/megatron/a_train")} == {64}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(StoreError, match="is no export"):
        exported(file, tmp_path / "mine")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz", "txt", "csv"])
@pytest.mark.parametrize("copies", [[], [0, 3, 4, 5, 6, 7, 8, 9, 17, 28]], ids=["all", "distinct"])
def test_reading_goes_on_where_it_stopped(
    tmp_path: Path, base: Path, kind: str, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after every batch in turn, in the middle of files and of row groups: the same tokens as in one go, and
    with copies left out the same of them."""
    monkeypatch.setattr("synthkit.train.store.PART_TOKENS", 150)
    for module in ("batch", "file_source"):
        monkeypatch.setattr(f"synthkit.train.{module}.BATCH_ROWS", 4)
    texts: list[str | None] = [f"{at} {DOCUMENT * (at % 3)}" for at in range(30)]
    if kind == "parquet":
        texts[5] = None
        pq.write_table(pa.table({"n": range(30), "text": texts}), tmp_path / "a.parquet", row_group_size=7)
    elif kind == "txt":
        for at, text in enumerate(texts):
            (tmp_path / f"{at}.txt").write_text(str(text))
    elif kind == "csv":
        with (tmp_path / "a.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["text"], *[[text] for text in texts]])
    else:
        data = write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in texts]).read_bytes()
        if kind == "jsonl.gz":
            (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
            (tmp_path / "a.jsonl").unlink()
    file = recipe(tmp_path / "r.yaml", base, f'  a: {{path: "{tmp_path}/*.{kind}", share: 100%, repeat: 99}}')
    prepared = prepare(file)
    source: Source = prepared.sources["a"]
    if copies:
        source = Distinct(source, np.array(copies, dtype=np.int64))
    ingest = Ingest(prepared.recipe, source, prepared.tokenizer, None)

    class Stop(Exception):
        pass

    def store(name: str) -> TokenStore:
        return TokenStore(tmp_path / name, ingest.key(), masked=False)

    ingest.run(store("whole"), 10**9, lambda new: None)
    for last in range(40):
        calls = iter(range(last))

        def progress(new: int, calls: Iterator[int] = calls) -> None:
            if next(calls, None) is None:
                raise Stop

        with contextlib.suppress(Stop):
            ingest.run(store("stopped"), 10**9, progress)
    one, other = store("whole"), store("stopped")
    assert one.done and other.done
    assert one.ids().tolist() == other.ids().tolist() and len(one.ids())
    lines = [pa.concat_tables(each.parts()).to_pylist() for each in (one, other)]
    assert lines[0] == lines[1] and len(lines[0]) == 30
    reasons = {None, *(["duplicate"] if copies else []), *(["no text in 'text'"] if kind == "parquet" else [])}
    assert {line["aside"] for line in lines[0]} == reasons
    rows = [row for batch in prepared.sources["a"].batches({}) for row in batch.rows]
    gone = [line["row"] for line in lines[0] if line["aside"] == "duplicate"]
    assert gone == [rows[at] for at in copies]


def word(at: int) -> str:
    """Twelve words that no other document has."""
    return " ".join(f"w{at * 12 + each}" for each in range(12))


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"dedup": "{}", "decontaminate": "{against: '{folder}/bench.jsonl', fields: question}"},
        {"dedup": "{exact: true}"},
    ],
    ids=["plain", "near", "exact"],
)
def test_a_kill_changes_nothing(tmp_path: Path, base: Path, keys: dict[str, str]) -> None:
    """`kill -9` at many moments; what it comes to in the end is the same, byte for byte."""
    keys = {name: value.replace("{folder}", str(tmp_path)) for name, value in keys.items()}
    sources = "\n".join(f"  {name}: {{path: {tmp_path}/{name}.jsonl, share: 50%, repeat: 9}}" for name in "ab")
    for first, name in enumerate("ab"):
        texts = [
            {"text": f"{at} " + DOCUMENT * (1 + at % 9) + word(at)} for at in range(first * 500, first * 500 + 2000)
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", texts)
    write_jsonl(tmp_path / "bench.jsonl", [{"question": word(at)} for at in (7, 700, 2400)])
    file = recipe(
        tmp_path / "r.yaml", base, sources, budget="300K", holdout="5%", outputs="[megatron, packed, documents]", **keys
    )

    def start(out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    whole = start(tmp_path / "whole")
    assert whole.wait(120) == 0, whole.stderr and whole.stderr.read()
    kills = 0
    for pause in [0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3]:
        child = start(tmp_path / "killed")
        assert child.stdout is not None
        child.stdout.readline()  # reading has begun
        time.sleep(pause)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.wait(60)
    last = start(tmp_path / "killed")
    assert last.wait(120) == 0, last.stderr and last.stderr.read()
    assert kills >= 5
    ours, theirs = contents(tmp_path / "killed"), contents(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    aside = [each["aside"] for each in orjson.loads(ours["manifest.json"])["sources"].values()]
    assert [each.get("duplicate", 0) for each in aside] == ([0, 1500] if keys else [0, 0])
    if "decontaminate" in keys:
        assert [sum(count for why, count in each.items() if "in benchmark" in why) for each in aside] == [2, 1]
