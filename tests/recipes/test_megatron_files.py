"""What the exporter wrote, read back by megatron-core itself: nothing is cut, weights hold, pads cost no loss."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")

import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDataset

from recipes.nemo import corpus
from tests.recipes.conftest import NANO
from tests.recipes.cpu import one_process, tokenizer

SAMPLES = 400


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with one_process(tmp_path_factory.mktemp("group")):
        yield


def built(exported: Path, cache: Path, **changed: Any) -> Any:
    """Train and validation as Bridge builds them, with the fields that `bridge.values` sets."""
    read = corpus.read(exported, "pretrain")
    fields: dict[str, Any] = {
        "random_seed": 1,
        "sequence_length": read.sequence,
        "blend_per_split": [read.blend("train"), read.blend("valid"), None],
        "split": None,
        "tokenizer": tokenizer(NANO),
        "path_to_cache": str(cache),
        "reset_position_ids": False,
        "reset_attention_mask": False,
        "eod_mask_loss": True,
        "create_attention_mask": False,
        "add_extra_token_to_sequence": False,
    }
    config = GPTDatasetConfig(**fields | changed)
    return BlendedMegatronDatasetBuilder(GPTDataset, [SAMPLES, 8, 0], lambda: True, config).build()


def packs(exported: Path, source: str) -> list[bytes]:
    """Tokens of each pack of a source, by megatron-core's reader."""
    indexed = IndexedDataset(str(exported / "megatron" / f"{source}_train"))
    return [np.asarray(indexed[i]).tobytes() for i in range(len(indexed))]


def test_the_reader_sees_packs_of_one_sequence(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    for name, source in manifest["sources"].items():
        for split, counts in source["splits"].items():
            indexed = IndexedDataset(str(exported / "megatron" / f"{name}_{split}"))
            assert len(indexed) == counts["packs"]
            assert set(indexed.sequence_lengths.tolist()) == {manifest["sequence"]}
            tokens = np.concatenate([indexed[i] for i in range(len(indexed))])
            kept = tokens[tokens != manifest["tokenizer"]["pad"]]
            assert len(kept) == counts["tokens"]
            assert (kept == manifest["tokenizer"]["eod"]).sum() == counts["documents"]


def test_each_sample_is_one_whole_pack_at_the_weights_of_the_blend(exported: Path, tmp_path: Path) -> None:
    train, valid, test = built(exported, tmp_path)
    assert test is None
    assert len(valid) > 0
    by_source = [set(packs(exported, name)) for name in ("world", "cities")]
    counts = [0, 0]
    for i in range(SAMPLES):
        sample = train[i]
        source = int(sample["dataset_id"])
        tokens = sample["tokens"].numpy().astype(np.int32)
        assert tokens.tobytes() in by_source[source]
        counts[source] += 1
        assert (sample["labels"][:-1] == sample["tokens"][1:]).all()
        assert sample["loss_mask"][-1] == 0  # no label is taken from another pack
    weights = json.loads((exported / "megatron" / "blend.json").read_text())["train"][1]
    assert [count / SAMPLES for count in counts] == pytest.approx(weights, abs=1 / SAMPLES)


def test_each_pack_comes_up_equally_often(exported: Path, tmp_path: Path) -> None:
    train, _, _ = built(exported, tmp_path)
    for dataset, name in zip(train.datasets, ("world", "cities"), strict=True):
        seen = Counter(dataset[i]["tokens"].numpy().astype(np.int32).tobytes() for i in range(len(dataset)))
        known = packs(exported, name)
        assert seen == dict.fromkeys(known, len(dataset) // len(known))


def test_only_pads_and_what_follows_the_end_of_a_document_are_not_learned(exported: Path, tmp_path: Path) -> None:
    train, _, _ = built(exported, tmp_path)
    manifest = json.loads((exported / "manifest.json").read_text())["tokenizer"]
    assert {each._pad_token_id for each in train.datasets} == {manifest["pad"]}
    ends = padded = 0
    for i in range(60):
        sample = train[i]
        pads = sample["labels"] == manifest["pad"]
        pads[-1] = True  # the last label would be another pack's
        after = sample["tokens"] == manifest["eod"]
        assert torch.equal(sample["loss_mask"] == 0, pads | after)
        ends += int(((sample["labels"] == manifest["eod"]) & (sample["loss_mask"] == 1)).sum())
        padded += int(pads.sum())
        assert int(sample["tokens"].min()) >= 0  # an embedding takes no -1
    assert ends >= 60  # where to stop is learned
    assert padded > 60


def test_without_eod_mask_loss_the_pads_of_the_first_sample_are_masked_in_all(exported: Path, tmp_path: Path) -> None:
    """Why `eod_mask_loss` is True: megatron-core then keeps no mask, and the one it keeps it has written the first
    sample's pads into.

    A worker whose first pack is a half-empty one trains on half of every pack after it.
    """
    train, _, _ = built(exported, tmp_path, eod_mask_loss=False)
    pad = train.datasets[0]._pad_token_id
    lost = 0
    for dataset in train.datasets:
        first = int((dataset[0]["loss_mask"] == 0).sum())
        for i in range(1, 20):
            sample = dataset[i]
            assert int((sample["loss_mask"] == 0).sum()) >= first
            lost += int(((sample["loss_mask"] == 0) & (sample["labels"] != pad)).sum())
    assert lost > 0


def test_with_the_extra_token_a_label_leaks_and_a_pack_is_lost(exported: Path, tmp_path: Path) -> None:
    """Why `add_extra_token_to_sequence` is False: megatron-core's default reads one token into the next pack."""
    train, _, _ = built(exported, tmp_path, add_extra_token_to_sequence=True)
    assert any(train[i]["loss_mask"][-1] == 1 for i in range(60))
    for dataset, name in zip(train.datasets, ("world", "cities"), strict=True):
        assert len(dataset) % len(packs(exported, name)) == len(packs(exported, name)) - 1


class Tokens:
    """The ids of a tokenizer, all that the dataset asks of one."""

    vocab_size = 151936
    special_tokens_dict: dict[str, int]

    def __init__(self, eod: int, pad: int) -> None:
        self.eod = self.eos = eod
        self.pad = pad
        self.special_tokens_dict = {"eos_token": eod, "pad_token": pad}
        self.unique_identifiers = {"eod": eod, "pad": pad}


@pytest.mark.parametrize(("eod", "masked"), [(151643, -1), (151645, 151643)])
def test_a_base_tokenizer_masks_minus_one_and_a_chat_tokenizer_every_end_of_document(
    exported: Path, tmp_path: Path, eod: int, masked: int
) -> None:
    """Qwen's two tokenizers: the pad is 151643 in both, and in the base's it also ends documents."""
    train, _, _ = built(exported, tmp_path, tokenizer=Tokens(eod, 151643))
    assert train.datasets[0]._pad_token_id == masked
