"""Exports of files: every document in one pack or aside with a reason, token by token; masks; mixtures; resuming."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthkit.core.errors import SpecError, StoreError
from synthkit.train import tokenizer as tokenizers
from synthkit.train.export import export
from synthkit.train.ingest import Ingest
from synthkit.train.prepare import prepare
from synthkit.train.store import TokenStore
from tests.train.corpus import recipe, sequences, write_jsonl

SEQUENCE = 256
DOCUMENT = "The harbour of Lisbon opened in 1887.\n"


def _export(path: Path, out: Path) -> dict[str, Any]:
    return dict(export(prepare(path), out, lambda line: None))


def _documents(out: Path, name: str, split: str = "train") -> list[list[int]]:
    """The documents of a source's packs, by the end that each has; padding left out."""
    tokenizer = orjson.loads((out / "manifest.json").read_bytes())["tokenizer"]
    found: list[list[int]] = []
    for pack in sequences(out / "megatron" / f"{name}_{split}"):
        assert len(pack) == orjson.loads((out / "manifest.json").read_bytes())["sequence"]
        ends = np.flatnonzero(pack == tokenizer["eod"]) + 1
        start = 0
        for end in ends.tolist():
            found.append(pack[start:end].tolist())
            start = end
        assert (pack[start:] == tokenizer["pad"]).all()
    return found


def _ledger(out: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(out / "ledger" / f"{name}.parquet").to_pylist()


def test_hard_documents(tmp_path: Path, base: Path) -> None:
    """Empty, one token, exactly a sequence, one more, special text, NUL, broken lines, a line of 5 MB."""
    loaded = tokenizers.load(str(base))
    word = next(t for t in (" the", " of", " a") if len(loaded.reference.encode(t, add_special_tokens=False).ids) == 1)
    texts = {
        "empty": "",
        "one": word,
        "exact": word * (SEQUENCE - 1),
        "longer": word * SEQUENCE,
        "special": "before<|endoftext|>after <|im_end|>",
        "nul": "a\0b",
        "chinese": "长江是中国最长的河流。",
        "combining": "e\u0301 \u212b",
        "huge": "x" * 5_000_000,
    }
    lines = [json.dumps({"text": text}) for text in texts.values()]
    lines += ['{"text": "half \\ud800"}', '{"text": 7}', "{broken", '{"other": "x"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99}}", budget=5000)
    out = tmp_path / "out"
    manifest = _export(file, out)
    names = [*texts, "surrogate", "number", "broken", "missing"]
    ledger = {names[int(line["row"].rsplit(":", 1)[1]) - 1]: line for line in _ledger(out, "a")}
    assert len(ledger) == len(names)
    aside = {name: line["aside"] for name, line in ledger.items() if line["aside"]}
    assert aside == {
        "empty": "empty",
        "longer": "longer than 256 tokens",
        "huge": "longer than 256 tokens",
        "surrogate": "broken JSON",
        "number": "no text in 'text'",
        "broken": "broken JSON",
        "missing": "no text in 'text'",
    }
    assert ledger["exact"]["tokens"] == SEQUENCE and ledger["longer"]["tokens"] == SEQUENCE + 1
    wanted = [
        [*loaded.reference.encode(text, add_special_tokens=False).ids, loaded.eod]
        for name, text in texts.items()
        if name not in aside
    ]
    assert sorted(_documents(out, "a")) == sorted(wanted)
    assert manifest["sources"]["a"]["documents"] == len(wanted)
    assert sum(manifest["sources"]["a"]["aside"].values()) == len(aside)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=1, max_size=40),
    holdout=st.sampled_from(["0%", "30%"]),
    over=st.sampled_from(["aside", "split", "next"]),
)
def test_nothing_is_lost(
    base: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[str], holdout: str, over: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    texts = [*texts, DOCUMENT * 3]
    write_jsonl(folder / "a.jsonl", [{"text": text} for text in [*texts, *[DOCUMENT] * 40]])
    source = f"  a: {{path: {folder}/a.jsonl, share: 100%, repeat: 9999}}"
    file = recipe(folder / "r.yaml", base, source, holdout=holdout, over=over, sequence=64, budget="2K")
    out = folder / "out"
    manifest = _export(file, out)
    loaded = tokenizers.load(str(base))
    ledger = _ledger(out, "a")
    assert {line["row"].rsplit(":", 1)[1] for line in ledger} == {str(at) for at in range(1, len(texts) + 41)}
    wanted: Counter[tuple[int, ...]] = Counter()
    pieces: Counter[tuple[int, ...]] = Counter()
    by_row: dict[str, list[dict[str, Any]]] = {}
    for line in ledger:
        assert (line["pack"] is None) == (line["aside"] is not None)
        by_row.setdefault(line["row"], []).append(line)
    for row, lines in by_row.items():
        text = [*texts, *[DOCUMENT] * 40][int(row.rsplit(":", 1)[1]) - 1]
        ids = loaded.reference.encode(text, add_special_tokens=False).ids
        if lines[0]["aside"] is not None:
            assert len(lines) == 1
            continue
        assert sum(line["tokens"] for line in lines) == len(ids) + len(lines), "each piece has an end of its own"
        start = 0
        for line in sorted(lines, key=lambda each: each["piece"]):
            wanted[(*ids[start : start + line["tokens"] - 1], loaded.eod)] += 1
            start += line["tokens"] - 1
        if len(lines) > 1:
            assert over == "split"
    for split in ("train", "valid"):
        if manifest["sources"]["a"]["splits"][split]:
            pieces.update(map(tuple, _documents(out, "a", split)))
    assert pieces == wanted


def test_roles_make_exact_masks(tmp_path: Path, base: Path) -> None:
    loaded = tokenizers.load(str(base))
    rows = []
    for at in range(30):
        parts = [("question", f"Question {at}: which harbour?"), ("call", "search: harbour"), ("response", f"No. {at}")]
        text, spans = "", []
        for role, said in parts:
            spans.append({"role": role, "start": len(text), "end": len(text) + len(said)})
            text += said + "\n\n"
        rows.append({"text": text.strip(), "spans": spans})
    write_jsonl(tmp_path / "a.jsonl", rows)
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%}}"
    total = sum(len(loaded.reference.encode(row["text"]).ids) + 1 for row in rows)
    loss = "{all: 1, question: 0, response: 0}"
    file = recipe(tmp_path / "r.yaml", base, source, outputs="[packed]", budget=total, loss=loss, sequence=128)
    _export(file, tmp_path / "out")
    seen = 0
    for row in pq.read_table(tmp_path / "out/packed/train-00000.idx.parquet").to_pylist():
        ids, mask, starts = row["input_ids"], row["loss_mask"], row["seq_start_id"]
        assert len(ids) == len(mask) <= 128
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            assert ids[end - 1] == loaded.eod and mask[end - 1] == 0
            text = loaded.reference.decode(ids[start : end - 1], skip_special_tokens=False)
            source_row = next(each for each in rows if each["text"] == text)
            roles = {span["role"]: span for span in source_row["spans"]}
            offsets = loaded.reference.encode(text, add_special_tokens=False).offsets
            for at, (begin, stop) in enumerate(offsets):
                hidden = any(
                    roles[name]["start"] <= begin and stop <= roles[name]["end"] for name in ("question", "response")
                )
                if at:  # position t has the label t + 1
                    assert mask[start + at - 1] == (not hidden)
            assert mask[end - 2] == 0, "the end follows a response, which is not learned"
            seen += 1
    assert seen == 30


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
    manifest = _export(file, out)
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
        valid = [tuple(each) for each in _documents(out, name, "valid")]
        train = [tuple(each) for each in _documents(out, name, "train")]
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
    _export(recipe(tmp_path / "r.yaml", base, sources, budget="2K", holdout="30%"), tmp_path / "out")
    sides: dict[int, set[bool]] = {}
    for name in "ab":
        for line in _ledger(tmp_path / "out", name):
            sides.setdefault((int(line["row"].rsplit(":", 1)[1]) - 1) % 20, set()).add(line["valid"])
    assert all(len(each) == 1 for each in sides.values()) and len(sides) == 20
    assert 2 <= sum(True in each for each in sides.values()) <= 10


def test_too_few_tokens_are_refused(tmp_path: Path, base: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": DOCUMENT}] * 20)
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 2}}", budget="1M")
    with pytest.raises(SpecError, match=r"tokens available, 1M wanted = \d+ epochs, and repeat allows 2") as caught:
        _export(file, tmp_path / "out")
    assert caught.value.problems[0].mark is not None and caught.value.problems[0].mark.line == 6
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_budget_reads_what_it_needs(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthkit.train.store.PART_TOKENS", 500)
    monkeypatch.setattr("synthkit.train.batch.BATCH_ROWS", 10)
    monkeypatch.setattr("synthkit.train.file_source.BATCH_ROWS", 10)
    for at in range(8):
        write_jsonl(tmp_path / f"{at}.jsonl", [{"text": f"{at} {DOCUMENT}"}] * 100)
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/*.jsonl, share: 100%}}", budget="2K")
    manifest = _export(file, tmp_path / "out")
    train = manifest["sources"]["a"]["splits"]["train"]["tokens"]
    assert 2000 <= train <= 2050
    assert (tmp_path / "out/tokens/a/tokens.bin").stat().st_size // 4 < 4000


def test_it_is_exported_once(tmp_path: Path, base: Path) -> None:
    """A second export reads nothing; another sequence reads anew; a foreign folder is left alone."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": DOCUMENT}] * 50)
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 9}}"
    file = recipe(tmp_path / "r.yaml", base, source, budget=1000)
    _export(file, tmp_path / "out")
    before = _bytes(tmp_path / "out")
    written = (tmp_path / "out/megatron/a_train.bin").stat().st_mtime_ns
    _export(file, tmp_path / "out")
    assert _bytes(tmp_path / "out") == before
    assert (tmp_path / "out/megatron/a_train.bin").stat().st_mtime_ns == written
    _export(recipe(tmp_path / "r.yaml", base, source, budget=1000, sequence=64), tmp_path / "out")
    assert {len(each) for each in sequences(tmp_path / "out/megatron/a_train")} == {64}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(StoreError, match="is no export"):
        _export(file, tmp_path / "mine")


def _bytes(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz", "txt", "csv"])
def test_reading_goes_on_where_it_stopped(
    tmp_path: Path, base: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after every batch in turn, in the middle of files and of row groups: the same tokens as in one go."""
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
    ingest = Ingest(prepared.recipe, prepared.sources["a"], prepared.tokenizer, None)

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
    assert lines[0] != [] and {line["aside"] for line in lines[0]} == ({None, "empty"} if kind == "parquet" else {None})


def test_spans_that_are_wrong_are_told(tmp_path: Path, base: Path) -> None:
    good = {"text": DOCUMENT, "spans": [{"role": "a", "start": 0, "end": 3}]}
    rows = [
        good,
        {"text": DOCUMENT, "spans": [{"role": "a", "start": 0, "end": 999}]},
        {"text": DOCUMENT, "spans": [{"role": "a"}]},
        {"text": DOCUMENT, "spans": "none"},
        {"text": DOCUMENT},
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99}}"
    file = recipe(tmp_path / "r.yaml", base, source, outputs="[packed]", loss="{a: 0}", budget=100)
    manifest = _export(file, tmp_path / "out")
    assert manifest["sources"]["a"]["aside"] == {
        "role spans outside of the text": 1,
        "spans that are not {role, start, end}": 2,
    }
    pq.write_table(pa.table({"text": ["x"], "spans": ["y"]}), tmp_path / "b.parquet")
    file = recipe(tmp_path / "s.yaml", base, f"  b: {{path: {tmp_path}/b.parquet, share: 100%}}")
    with pytest.raises(SpecError, match=r"column 'spans' of .* is string, not a list of role, start and end"):
        prepare(file)
    pq.write_table(pa.table({"text": [1]}), tmp_path / "b.parquet")
    with pytest.raises(SpecError, match=r"column 'text' of .* is int64, not text"):
        prepare(file)


def test_special_tokens_of_templates_are_tokens(tmp_path: Path, base: Path, chatty: Path) -> None:
    text = "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>"
    write_jsonl(tmp_path / "a.jsonl", [{"text": text}])
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99}}"
    special = "[<|im_start|>, <|im_end|>]"
    _export(recipe(tmp_path / "r.yaml", base, source, special=special, budget=40), tmp_path / "out")
    (document,) = _documents(tmp_path / "out", "a")
    eod = tokenizers.load(str(base)).eod
    assert document[0] == eod + 1 and eod + 2 in document and document.count(eod) == 1
    with pytest.raises(SpecError, match=r"ends documents with <\|im_end\|>, so none may hold it"):
        prepare(recipe(tmp_path / "r.yaml", chatty, source, special=special))


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


@pytest.mark.slow
def test_a_kill_changes_nothing(tmp_path: Path, base: Path) -> None:
    """`kill -9` at many moments; what it comes to in the end is the same, byte for byte."""
    texts = [{"text": f"{at} " + DOCUMENT * (1 + at % 9)} for at in range(4000)]
    write_jsonl(tmp_path / "a.jsonl", texts)
    sources = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 9}}"
    file = recipe(
        tmp_path / "r.yaml", base, sources, budget="300K", holdout="5%", outputs="[packed]", loss="{all: 1, x: 0}"
    )
    text = file.read_text().replace(", x: 0", "")
    file.write_text(text.replace("[packed]", "[megatron, packed, documents]"))

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
    ours, theirs = _bytes(tmp_path / "killed"), _bytes(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
