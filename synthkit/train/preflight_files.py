"""Whether the files of an export are there and whole: indexes and metadata are read, tokens are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from synthkit.train.packs import SPLITS


class Finding(NamedTuple):
    """One thing that was found."""

    serious: bool
    message: str
    help: str = ""


def files(folder: Path, described: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the files of each output."""
    outputs = described["outputs"]
    if "megatron" in outputs:
        yield from _indexed(folder, described)
        yield from _blend(folder, described)
    if "packed" in outputs:
        yield from _packed(folder, described)
    if "datasets" in outputs:
        yield from _datasets(folder, described)
    if "chat" in outputs:
        yield from _chats(folder)


def _indexed(folder: Path, described: Mapping[str, Any]) -> Iterator[Finding]:
    """That every pair of files is there, whole, and of sequences of the right length."""
    from synthkit.train.indexed import read_index

    for each in described["sources"].values():
        for split in each["splits"].values():
            if split is None:
                continue
            prefix = folder / split["prefix"]
            try:
                lengths, _ = read_index(prefix)
                size = prefix.with_name(prefix.name + ".bin").stat().st_size
            except (OSError, ValueError) as error:
                yield Finding(True, f"{prefix}: {error}")
                continue
            sequence = described["sequence"]
            if len(lengths) != split["packs"] or (lengths != sequence).any():
                yield Finding(True, f"{prefix}.idx does not hold {split['packs']:,} sequences of {sequence:,} tokens")
            if size != 4 * split["packs"] * sequence:
                yield Finding(True, f"{prefix}.bin holds {size:,} bytes, not {4 * split['packs'] * sequence:,}")


def _blend(folder: Path, described: Mapping[str, Any]) -> Iterator[Finding]:
    """That each prefix of the blend has its weight, and the one that the manifest says."""
    file = folder / "megatron" / "blend.json"
    try:
        content = orjson.loads(file.read_bytes())
        prefixes, weights = content["train"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Finding(True, f"{file} is no blend: {error}", "export again")
        return
    if len(prefixes) != len(weights):
        yield Finding(True, f"{file} has {len(prefixes)} prefixes and {len(weights)} weights")
        return
    wanted = {
        each["splits"]["train"]["prefix"]: each["weight"]
        for each in described["sources"].values()
        if each["splits"]["train"]
    }
    for prefix, weight in dict(zip(prefixes, weights, strict=True)).items():
        known = wanted.pop(prefix, None)
        if known is None:
            yield Finding(True, f"{file} names {prefix}, which is not in the manifest")
        elif abs(known - weight) > 1e-6:
            yield Finding(True, f"{file} gives {prefix} the weight {weight:.6g}, and its share makes {known:.6g}")
    for prefix in wanted:
        yield Finding(True, f"{file} leaves {prefix} out")


def _packed(folder: Path, described: Mapping[str, Any]) -> Iterator[Finding]:
    """That packed Parquet holds the rows that were mixed."""
    from pyarrow.parquet import read_metadata

    for split in _there(described):
        rows = 0
        try:
            wanted = read_metadata(folder / "ledger" / f"packed.{split}.parquet").num_rows
            for file in sorted((folder / "packed").glob(f"{split}-*.idx.parquet")):
                rows += read_metadata(file).num_rows
        except (OSError, ValueError) as error:  # what Arrow raises
            yield Finding(True, f"{folder / 'packed'}: {error}", "export again")
            continue
        if rows != wanted:
            yield Finding(True, f"{folder / 'packed'} holds {rows:,} rows of {split}, not {wanted:,}", "export again")


def _datasets(folder: Path, described: Mapping[str, Any]) -> Iterator[Finding]:
    """That a dataset has its splits, and each of them its files."""
    from synthkit.train.outputs.datasets import FOLDER, NAMES

    path = folder / FOLDER
    for split in _there(described):
        try:
            known = orjson.loads((path / "dataset_dict.json").read_bytes())["splits"]
            state = orjson.loads((path / NAMES[split] / "state.json").read_bytes())
            names = [each["filename"] for each in state["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Finding(True, f"{path} is no dataset: {error}", "export again")
            return
        missing = [each for each in names if not (path / NAMES[split] / each).is_file()]
        if missing or NAMES[split] not in known:
            yield Finding(True, f"{path / NAMES[split]} lacks {', '.join(missing) or 'its name in dataset_dict.json'}")


def _there(described: Mapping[str, Any]) -> list[str]:
    """Splits that hold anything."""
    return [split for split in SPLITS if any(each["splits"].get(split) for each in described["sources"].values())]


def _chats(folder: Path) -> Iterator[Finding]:
    from synthkit.train.outputs.chat import FILES, FOLDER

    for split, name in FILES.items():
        file = folder / FOLDER / name
        if not file.is_file():
            yield Finding(True, f"there is no {file}")
        elif not file.stat().st_size:
            yield Finding(split == "train", f"{file} is empty")
