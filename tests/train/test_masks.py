"""Role spans become loss masks, exact to the token; wrong ones are told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from synthkit.train import tokenizer as tokenizers
from synthkit.train.prepare import prepare
from tests.train.corpus import exported, recipe, write_jsonl

DOCUMENT = "The harbour of Lisbon opened in 1887.\n"


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
    exported(file, tmp_path / "out")
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
    manifest = exported(file, tmp_path / "out")
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
