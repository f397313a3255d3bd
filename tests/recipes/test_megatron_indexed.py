"""Our .bin and .idx are, byte for byte, what megatron-core's own builder writes for the same documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")

import torch
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
from tokenizers import Tokenizer

from synthkit.train.indexed import IndexedWriter
from tests.recipes.conftest import NANO, export

TEXTS = [f"{at}: the harbour of Lisbon opened in {1800 + at}. " * (1 + at % 7) for at in range(90)]


def built(prefix: Path, sequences: list[NDArray[np.int32]]) -> tuple[bytes, bytes]:
    """The .bin and .idx of megatron-core's builder, a document a sequence."""
    builder: Any = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
    for sequence in sequences:
        builder.add_document(torch.from_numpy(sequence), [len(sequence)])
    builder.finalize(f"{prefix}.idx")
    return _pair(prefix)


def _pair(prefix: Path) -> tuple[bytes, bytes]:
    return Path(f"{prefix}.bin").read_bytes(), Path(f"{prefix}.idx").read_bytes()


@pytest.mark.parametrize("lengths", [[1], [3, 1, 500, 2], [7] * 4000, []], ids=["one", "some", "many", "none"])
def test_the_writer(tmp_path: Path, lengths: list[int]) -> None:
    """With pads of -1 and the largest id; in however many calls they come."""
    drawn = np.random.default_rng(1)
    sequences = [drawn.integers(-1, 2**31 - 1, size, dtype=np.int32) for size in lengths]
    for step in (1, 3, 5000):
        with IndexedWriter(tmp_path / "ours") as writer:
            for at in range(0, len(sequences), step):
                part = sequences[at : at + step]
                writer.add(np.concatenate(part), np.array([len(each) for each in part], dtype=np.int32))
        assert _pair(tmp_path / "ours") == built(tmp_path / "theirs", sequences)


def test_an_export(tmp_path: Path) -> None:
    """Documents and packs of texts, encoded here once more by Hugging Face's tokenizer."""
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    out = export(
        f"tokenizer: nano\nsequence: 256\nbudget: 4K\nholdout: 20%\noutputs: [megatron, documents]\n"
        f"sources:\n  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 9}}\n",
        tmp_path,
    )
    tokenizer = Tokenizer.from_file(str(NANO / "tokenizer.json"))
    special = json.loads((out / "manifest.json").read_bytes())["tokenizer"]
    lines = pq.read_table(out / "ledger" / "a.parquet").to_pylist()
    kept = {"train": 0, "valid": 0}
    for split in kept:
        mine = [line for line in lines if line["pack"] is not None and line["valid"] == (split == "valid")]
        documents = []
        packs = [np.full(256, special["pad"], np.int32) for _ in range(1 + max(line["pack"] for line in mine))]
        for line in mine:
            text = TEXTS[int(line["row"].rsplit(":", 1)[1]) - 1]
            ids = [*tokenizer.encode(text, add_special_tokens=False).ids, special["eod"]]
            documents.append(np.array(ids, dtype=np.int32))
            packs[line["pack"]][line["at"] : line["at"] + len(ids)] = ids
        assert built(tmp_path / f"documents_{split}", documents) == _pair(out / "documents" / f"a_{split}")
        assert built(tmp_path / f"packs_{split}", packs) == _pair(out / "megatron" / f"a_{split}")
        kept[split] = len(documents)
    assert kept["train"] > 30 and kept["valid"] > 5
