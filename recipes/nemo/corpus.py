"""The exported folder as a trainer sees it: `manifest.json`, `blend.json` and the indexes, checked before anything
starts.

Of the indexes only the header and the lengths are read: 4 bytes a pack, 6 MB for 200B tokens in packs of 32Ki.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.nemo.errors import LaunchError

FORMAT = 1
Blend = tuple[list[str], list[float]]
"""Prefixes without suffix, and their weights: the one shape that Megatron takes."""

_MAGIC = b"MMIDIDX\x00\x00"
_INT32 = 4


@dataclass(frozen=True)
class Corpus:
    """A whole export."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def sequence(self) -> int:
        """Tokens of a sequence."""
        return int(self.manifest["sequence"])

    @property
    def train(self) -> Mapping[str, Any]:
        """The corpus recipe's `train:`; empty where it has none."""
        return self.manifest["train"] or {}

    def blend(self, split: str) -> Blend | None:
        """Absolute prefixes and weights of a split; None where it holds no pack."""
        file = self.folder / "megatron" / "blend.json"
        if not file.is_file():
            raise LaunchError(f"{file} is missing", "put megatron into the corpus recipe's outputs and export again")
        found = json.loads(file.read_text(encoding="utf-8")).get(split)
        match found:
            case [list(prefixes), list(weights)] if len(prefixes) == len(weights):
                pass
            case _:
                raise LaunchError(f"{file}: {split} is no [prefixes, weights] of one length", "export again")
        if not prefixes:
            return None
        if not math.isclose(sum(weights), 1.0, abs_tol=1e-6) or min(weights) <= 0:
            raise LaunchError(f"{file}: weights of {split} are {weights}; they must be above 0 and sum to 1")
        return [str((self.folder / each).resolve()) for each in prefixes], [float(each) for each in weights]

    def packs(self, prefix: str) -> int:
        """Packs of an indexed file; LaunchError unless each is exactly one sequence, so that Megatron cuts nothing."""
        index, data = Path(f"{prefix}.idx"), Path(f"{prefix}.bin")
        for file in (index, data):
            if not file.is_file():
                raise LaunchError(f"{file} is missing", "export again: it goes on from what is there")
        with index.open("rb") as header:
            if header.read(9) != _MAGIC:
                raise LaunchError(f"{index} is no index of Megatron's")
            sizes = header.read(25)
            if len(sizes) < 25:
                raise LaunchError(f"{index} is cut off", "export again")
            _, dtype, count, _ = struct.unpack("<QBQQ", sizes)
            lengths = header.read(4 * count)
        whole = struct.pack("<i", self.sequence) * count
        if dtype != _INT32 or lengths != whole:
            raise LaunchError(f"{index} is not made of packs of {self.sequence} int32 tokens", "export again")
        if data.stat().st_size != 4 * self.sequence * count:
            raise LaunchError(f"{data} has {data.stat().st_size} bytes, and its index says {4 * self.sequence * count}")
        return int(count)

    def short(self, iterations: int, batch: int) -> Iterator[str]:
        """Sources that so many steps would repeat more often than the corpus recipe allows."""
        blend = self.blend("train")
        assert blend is not None  # `read` refuses an export without a pack to train on
        for prefix, weight in zip(*blend, strict=True):
            name = Path(prefix).name.removesuffix("_train")
            packs, repeat = self.packs(prefix), float(self.manifest["sources"][name]["repeat"])
            epochs = iterations * batch * weight / packs
            # The last step is whole, and a source is rounded to whole packs; `synthkit preflight` allows the same.
            if epochs > repeat + (batch * weight + 1) / packs:
                yield f"{name}: {packs} packs would be seen {epochs:.1f} times, and its repeat is {repeat:g}"


def read(folder: Path, stage: str, documents: str = "together") -> Corpus:
    """The export in a folder, with its files checked; LaunchError says what is missing or wrong."""
    file = folder / "manifest.json"
    if not file.is_file():
        raise LaunchError(f"{folder} holds no whole export: manifest.json is missing", "run `synthkit export RECIPE`")
    manifest = json.loads(file.read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise LaunchError(f"{file} has format {manifest.get('format')!r}; these recipes read {FORMAT}")
    corpus = Corpus(folder, manifest)
    if stage == "sft":
        _chats(folder)
        return corpus
    if documents == "apart":
        if not list((folder / "packed").glob("train-*.idx.parquet")):
            raise LaunchError(
                f"{folder} holds no packed Parquet", "put packed into the corpus recipe's outputs and export again"
            )
        return corpus
    blend = corpus.blend("train")
    if blend is None:
        raise LaunchError(f"{folder} holds no pack to train on", "the corpus is smaller than one sequence")
    for prefixes, _ in (blend, corpus.blend("valid") or ([], [])):
        for prefix in prefixes:
            corpus.packs(prefix)
    return corpus


def _chats(folder: Path) -> None:
    """The two files of chats, under the names that the libraries look for."""
    for name in ("training.jsonl", "validation.jsonl"):
        file = folder / "chat" / name
        if not file.is_file() or not file.stat().st_size:
            raise LaunchError(
                f"{file} is missing or empty", "outputs: [chat] and a holdout of at least a row in the corpus recipe"
            )
