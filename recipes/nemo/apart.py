"""Documents apart: packed Parquet as Megatron-Bridge 0.6 reads it, with attention inside each document alone.

The library shuffles the rows and hands their `seq_start_id` to the attention kernel. The mixture was made at export, so
there is no blend; a row is one micro batch. With context ranks the kernel wants every document padded to a multiple of
twice their number, which the export does not do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.nemo.corpus import Corpus
from recipes.nemo.errors import LaunchError

if TYPE_CHECKING:
    from recipes.nemo.plan import Plan

FOLDER = "packed"


def files(corpus: Corpus, split: str) -> list[Path]:
    """The rows of a split."""
    return sorted((corpus.folder / FOLDER).glob(f"{split}-*.idx.parquet"))


def check(plan: Plan, library: str) -> None:
    """LaunchError where the library would stop, or do something else than is meant."""
    if library != "bridge":
        raise LaunchError("NeMo 2 reads no packed Parquet", "--library bridge, or documents: together")
    if plan.context > 1:
        raise LaunchError(
            f"documents apart and {plan.context} context ranks: each document would have to be padded for them",
            "parallel: {context: 1}, or documents: together",
        )
    if plan.micro_batch > 1:
        raise LaunchError(
            f"documents apart and a micro batch of {plan.micro_batch}: the library takes a row at a time",
            "micro_batch: 1 in the corpus recipe's `train:`",
        )


def dataset(plan: Plan) -> dict[str, Any]:
    """Fields of the library's GPTSFTDatasetConfig; `offline_packing_specs` those of its PackedSequenceSpecs."""
    folder = (plan.corpus.folder / FOLDER).resolve()
    held = bool(files(plan.corpus, "valid"))
    return {
        "dataset_root": str(folder),
        "seq_length": plan.sequence,
        "seed": plan.settings.seed,
        "num_workers": plan.settings.workers,
        "do_validation": held,
        "do_test": False,
        "dataset_kwargs": {"pad_to_max_length": True},  # pipeline stages exchange tensors of one shape
        "enable_offline_packing": True,
        "offline_packing_specs": {
            "packed_sequence_size": plan.sequence,
            "pad_seq_to_mult": 1,
            "packed_train_data_path": f"{folder}/train-*.idx.parquet",
            "packed_val_data_path": f"{folder}/valid-*.idx.parquet" if held else None,
        },
    }
