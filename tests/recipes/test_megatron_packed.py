"""Packed Parquet read by Megatron-Bridge 0.6.2's own dataset: whole documents apart, each label with its loss.

The release wants Python 3.12 and TransformerEngine. Its dataset needs neither: the class is taken from the wheel as it
is, without the packages above it, and two modules that it imports for a type and for MPI stand in. How attention uses
`cu_seqlens` is a kernel's and stays unproven.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")

from tests.recipes.conftest import ROOT, export
from tests.train.corpus import write_jsonl

WHEELS = Path(os.environ.get("SYNTHKIT_WHEELS", ROOT / ".venv-recipes" / "wheels"))
WHEEL = next(WHEELS.glob("megatron_bridge-0.6.2-*.whl"), None)
if WHEEL is None:
    pytest.skip("the wheel of 0.6.2 is not there: `make test-recipes`", allow_module_level=True)

SHELLS = ("", ".data", ".data.datasets", ".data.packing", ".training", ".training.tokenizers", ".utils")
"""Packages whose own `__init__` would import the whole of Bridge."""
STAND_INS = ("utils.common_utils", "training.tokenizers.tokenizer")


class _Names(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`GPTSFTPackedParquetDataset` of 0.6.2."""
    folder = tmp_path_factory.mktemp("wheel")
    assert WHEEL is not None
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(folder)
    before = {name: each for name, each in sys.modules.items() if name.startswith("megatron.bridge")}
    for name in before:
        del sys.modules[name]
    for name in SHELLS:
        shell = ModuleType(f"megatron.bridge{name}")
        shell.__path__ = [str(folder / "megatron/bridge" / name.replace(".", "/").lstrip("/"))]
        sys.modules[shell.__name__] = shell
    for name in STAND_INS:
        sys.modules[f"megatron.bridge.{name}"] = _Names(f"megatron.bridge.{name}")
    from megatron.bridge.data.packing.parquet import GPTSFTPackedParquetDataset

    yield GPTSFTPackedParquetDataset
    for name in [each for each in sys.modules if each.startswith("megatron.bridge")]:
        del sys.modules[name]
    sys.modules |= before


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, questions that are read and not learned, several row groups."""
    folder = tmp_path_factory.mktemp("packed")
    for name in "ab":
        rows = []
        for at in range(80):
            question = f"{name}{at}: which harbour?"
            text = f"{question} The harbour of Lisbon opened in {1800 + at}. " * (1 + at % 4)
            rows.append({"text": text, "spans": [{"role": "question", "start": 0, "end": len(question)}]})
        write_jsonl(folder / f"{name}.jsonl", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synthkit.train.outputs.packed._GROUP", 1024)
        patch.setattr("synthkit.train.outputs.packed._FILE", 4096)
        return export(
            "tokenizer: nano\nsequence: 256\nbudget: 16K\nholdout: 10%\noutputs: [packed]\nloss: {question: 0}\n"
            "sources:\n"
            f"  a: {{path: {folder}/a.jsonl, share: 60%, repeat: 9}}\n"
            f"  b: {{path: {folder}/b.jsonl, share: 40%, repeat: 9}}\n",
            folder,
        )


def opened(dataset: Any, spec: str, samples: int | None, **more: Any) -> Any:
    """As Bridge's builder makes it from `apart.dataset`."""
    given: dict[str, Any] = {"max_seq_length": 256, "seed": 1, "pad_to_max_length": True, "pad_seq_to_mult": 1, **more}
    given |= {"label_key": "output", "truncation_field": "input", "prompt_template": "{input} {output}"}  # its defaults
    return dataset(spec, SimpleNamespace(eos_id=2), max_num_samples=samples, **given)


def documents(out: Path, split: str) -> Counter[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every document of the rows, with the weight of each token but its first."""
    found: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for file in sorted((out / "packed").glob(f"{split}-*.idx.parquet")):
        for row in pq.read_table(file).to_pylist():
            for start, end in pairwise([*row["seq_start_id"], len(row["input_ids"])]):
                found[tuple(row["input_ids"][start:end]), tuple(row["loss_mask"][start : end - 1])] += 1
    return found


@pytest.mark.parametrize("split", ["train", "valid"])
def test_each_segment_is_a_whole_document_with_its_loss(dataset: Any, corpus: Path, split: str) -> None:
    read = opened(dataset, f"{corpus}/packed/{split}-*.idx.parquet", None)
    manifest = orjson.loads((corpus / "manifest.json").read_bytes())
    assert manifest["tokenizer"]["eod"] == 2
    found: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for at in range(len(read)):
        dataset.validate_row(
            at, *(read[at][key] for key in ("input_ids", "loss_mask")), read[at]["seq_boundaries"][:-1]
        )
        batch = read.collate_fn([read[at]])
        tokens, labels, mask, places = (batch[key][0] for key in ("tokens", "labels", "loss_mask", "position_ids"))
        bounds = batch["cu_seqlens_q"][0].tolist()
        assert bounds[0] == 0 and bounds[-1] == 256 == len(tokens)
        used = batch["token_count"][0]
        assert not mask[used:].any()
        for start, end in pairwise([each for each in bounds if each <= used]):
            assert places[start:end].tolist() == list(range(end - start))
            assert tokens[start + 1 : end].tolist() == labels[start : end - 1].tolist()
            assert labels[end - 1] == 2  # where to stop
            found[(*tokens[start:end].tolist(), 2), tuple(mask[start:end].tolist())] += 1
    assert found == documents(corpus, split) and sum(found.values()) > 10
    weights = {weight for _, mask in found for weight in mask}
    assert weights == {0, 1}


def test_a_shuffled_epoch_is_each_row_once(dataset: Any, corpus: Path) -> None:
    """The library shuffles what was shuffled; the mixture stays as it was made."""
    spec = f"{corpus}/packed/train-*.idx.parquet"
    plain = opened(dataset, spec, None)
    read = opened(dataset, spec, len(plain))
    rows = [[tuple(each[at]["input_ids"]) for at in range(len(each))] for each in (plain, read)]
    assert rows[0] != rows[1] and sorted(rows[0]) == sorted(rows[1])
    assert len(list((corpus / "packed").glob("train-*"))) > 3


def test_a_row_at_random_reads_few_others(dataset: Any, tmp_path: Path) -> None:
    """Each row of a shuffled epoch decodes a whole row group: 13 ms of a processor for 32 rows of 32Ki, 147 for 256."""
    drawn = np.random.default_rng(1)
    texts = [" ".join(f"w{each}" for each in drawn.integers(0, 10**6, 4000).tolist()) for _ in range(90)]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    out = export(
        "tokenizer: nano\nsequence: 32Ki\nbudget: 2M\noutputs: [packed]\n"
        f"sources:\n  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 9}}\n",
        tmp_path,
    )
    read = opened(dataset, f"{out}/packed/train-*.idx.parquet", None, max_seq_length=32768)
    for at in range(0, len(read), 9):
        assert len(read[at]["input_ids"]) > 20_000
        assert len(read._cached_row_group_table) <= 32
    assert len(read) > 64
