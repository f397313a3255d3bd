"""Megatron-Bridge 0.6.2 read, not run: each section, field and value of a plan against the dataclasses in its wheel.

It wants Python 3.12 and TransformerEngine, so its source is parsed. What stays unproven: that its `validate` accepts
the whole, that a loop runs, and everything of kernels; docs/nemo.md says so.
"""

from __future__ import annotations

import ast
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from recipes.nemo import apart, bridge
from tests.recipes.conftest import ROOT, Planned

WHEELS = Path(os.environ.get("SYNTHKIT_WHEELS", ROOT / ".venv-recipes" / "wheels"))
BRIDGE, CORE = "megatron_bridge-0.6.2-*.whl", "megatron_core-0.19.2-*.whl"

pytestmark = pytest.mark.skipif(
    not (list(WHEELS.glob(BRIDGE)) and list(WHEELS.glob(CORE))),
    reason="the wheels of 0.6.2 are not there: `make test-recipes`",
)

FILES = (
    "config.py",
    "data/base.py",
    "gpt_provider.py",
    "gpt_dataset.py",
    "gpt_sft.py",
    "sft_processing.py",
    "packing/config.py",
)
"""Endings of the files with the dataclasses that are looked at and their bases."""

SECTIONS = {
    "model": "GPTModelProvider",
    "train": "TrainingConfig",
    "validation": "ValidationConfig",
    "optimizer": "OptimizerConfig",
    "scheduler": "SchedulerConfig",
    "dataset": "GPTDatasetConfig",
    "checkpoint": "CheckpointConfig",
    "logger": "LoggerConfig",
    "rng": "RNGConfig",
    "ddp": "DistributedDataParallelConfig",
    "tokenizer": "TokenizerConfig",
}
"""Class of the recipe's object in a section; its bases are followed by name."""


@cache
def classes() -> dict[str, list[ast.ClassDef]]:
    """Every class of the files that hold configurations, in both wheels, by name."""
    found: dict[str, list[ast.ClassDef]] = {}
    for pattern in (BRIDGE, CORE):
        with zipfile.ZipFile(next(WHEELS.glob(pattern))) as wheel:
            for name in wheel.namelist():
                if name.endswith(FILES):
                    for node in ast.parse(wheel.read(name)).body:
                        if isinstance(node, ast.ClassDef):
                            found.setdefault(node.name, []).append(node)
    return found


@cache
def annotations(name: str) -> dict[str, str]:
    """Field -> annotation of a dataclass, with those of its bases (`MCoreX` and `MTrainX` are imported names of
    `X`)."""
    found: dict[str, str] = {}
    for node in classes().get(name, []):
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id != name:
                found |= (
                    annotations(base.id.removeprefix("MCore").removeprefix("MTrain")) if _other(base.id, name) else {}
                )
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                found[each.target.id] = ast.unparse(each.annotation)
    return found


def _other(base: str, name: str) -> bool:
    """Not the class of the same name in the other package: `classes` has merged both already."""
    return base.removeprefix("MCore").removeprefix("MTrain") != name


def fits(value: Any, annotation: str) -> bool:
    """Whether a plain value may stand in a field, by the names in its annotation."""
    names = {each.id for each in ast.walk(ast.parse(annotation)) if isinstance(each, ast.Name)}
    constants = {each.value for each in ast.walk(ast.parse(annotation)) if isinstance(each, ast.Constant)}
    if value is None:
        return "Optional" in names or None in constants
    if "Literal" in names and isinstance(value, str):
        return value in constants or "str" in names
    wanted = {
        "bool": {"bool"},
        "int": {"int", "float"},
        "float": {"float"},
        "str": {"str", "Path"},
        "list": {"list", "List"},
    }
    return bool(wanted.get(type(value).__name__, set()) & names)


@pytest.mark.parametrize(
    ("stage", "sets"),
    [("stage1", []), ("stage2", ["rope.known=128"]), ("stage2", ["rope.known=128", "rope.kind=yarn"]), ("sft", [])],
    ids=["stage1", "stage2", "stage2-yarn", "sft"],
)
def test_every_field_is_there_and_takes_our_value(planned: Planned, stage: str, sets: list[str]) -> None:
    sections = set(annotations("ConfigContainer"))
    for section, fields in bridge.values(planned(stage, *sets), "0.6").items():
        assert section in sections
        known = annotations(SECTIONS[section])
        for name, value in fields.items():
            assert name in known, (section, name, sorted(known))
            assert fits(value, known[name]), (section, name, value, known[name])


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_the_recipes_are_there(stage: str) -> None:
    module, _, function = bridge.RECIPES["0.6", stage].partition(":")
    with zipfile.ZipFile(next(WHEELS.glob(BRIDGE))) as wheel:
        tree = ast.parse(wheel.read(module.replace(".", "/") + ".py"))
    assert function in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_what_the_dataset_of_documents_apart_is_made_of(planned: Planned) -> None:
    plan = planned("stage1", "documents=apart", "parallel.context=1")
    assert "dataset" not in bridge.values(plan, "0.6")
    given = apart.dataset(plan)
    for name, fields in (
        ("GPTSFTDatasetConfig", {key: each for key, each in given.items() if key != "offline_packing_specs"}),
        ("PackedSequenceSpecs", given["offline_packing_specs"]),
    ):
        known = annotations(name)
        for key, value in fields.items():
            assert key in known, (key, sorted(known))
            assert isinstance(value, dict) or fits(value, known[key]), (key, value, known[key])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("GPTSFTDatasetConfig", {"dataset_root", "seq_length", "seed", "num_workers", "do_test", "preprocessing",
        "dataset_kwargs", "enable_offline_packing", "offline_packing_specs"}),
        ("PackedSequenceSpecs", {"packed_sequence_size", "pad_seq_to_mult"}),
        ("ChatSFTPreprocessingConfig", {"loss_mode"}),
    ],
)  # fmt: skip
def test_what_the_dataset_of_chats_is_made_of(name: str, given: set[str]) -> None:
    assert given <= set(annotations(name))


def test_a_wrong_value_would_be_seen() -> None:
    known = annotations("GPTModelProvider")
    assert "create_atention_mask" not in annotations("GPTDatasetConfig")
    assert not fits(5e6, known["rotary_base"])
    assert not fits("spiral", known["position_embedding_type"])
    assert not fits(None, known["seq_length"])
