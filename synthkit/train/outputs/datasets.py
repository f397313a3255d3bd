"""A folder that `datasets.load_from_disk` maps: packs with labels and positions, or messages (`messages.py`).

The format is Arrow streams beside three small JSON files, so it is written here, without the library: the same export
has the same bytes, where the library would stamp a fingerprint, and tokens never become Python numbers. A row of packs
is what `DataCollatorWithFlattening` of transformers makes: `position_ids` begin anew with each document, by which its
attention tells documents apart, and `labels` are -100 where a token is not learned and where a document begins.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from synthkit.core.ids import digest
from synthkit.train.outputs.packed import Part, lists, mixture, write_order

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "datasets"
NAMES = {"train": "train", "valid": "validation"}
"""What the library calls our splits."""
_UNLEARNED = -100
_BATCH = 1 << 20
"""Tokens of a record batch: what a trainer that reads a row at random maps."""
_FILE = 64 << 20
"""Tokens of a file: 768 MB."""


def begin(folder: Path) -> None:
    """Remove what an earlier export wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def finish(folder: Path, splits: Iterable[str]) -> None:
    """Say which splits there are; the folder is a dataset from then on."""
    (folder / "dataset_dict.json").write_bytes(orjson.dumps({"splits": [NAMES[split] for split in splits]}) + b"\n")


def write_packs(folder: Path, ledger: Path, split: str, parts: Mapping[str, Part], sequence: int, seed: int) -> bool:
    """The packs of a split, mixed as packed Parquet is; whether there are any."""
    sources, numbers = mixture(parts, seed)
    write_order(ledger, split, parts, sources, numbers)
    listed = list(parts.values())
    batch, rows = max(1, _BATCH // sequence), max(1, _FILE // sequence)

    def tables(begin: int) -> Iterable[pa.Table]:
        for at in range(begin, min(begin + rows, len(sources)), batch):
            last = min(at + batch, begin + rows)
            chosen = zip(sources[at:last].tolist(), numbers[at:last].tolist(), strict=True)
            yield _table([(listed[source], pack) for source, pack in chosen])

    files = [tables(begin) for begin in range(0, len(sources), rows)]
    return write_split(folder, split, _schema(), files, [seed, sequence, split])


def write_split(folder: Path, split: str, schema: pa.Schema, files: Sequence[Iterable[pa.Table]], what: Any) -> bool:
    """The Arrow files of a split, and what the library wants to know of them; whether there are any.

    `what` tells the dataset from others in the library's caches.
    """
    import pyarrow as pa

    if not files:
        return False
    path = folder / NAMES[split]
    path.mkdir()
    names = [f"data-{number:05d}-of-{len(files):05d}.arrow" for number in range(len(files))]
    for name, tables in zip(names, files, strict=True):
        with pa.ipc.new_stream(str(path / name), schema) as writer:
            for table in tables:
                writer.write_table(table)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": digest([what, names, schema.to_string()])[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": NAMES[split],
    }
    # without features, which releases 3 and 4 write in two ways, the library takes those of the files
    info = {"citation": "", "description": "", "homepage": "", "license": ""}
    for name, content in (("state.json", state), ("dataset_info.json", info)):
        (path / name).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    return True


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.list_(pa.int32())) for name in ("input_ids", "labels", "position_ids")])


def _table(rows: list[tuple[Part, int]]) -> pa.Table:
    """A record batch of packs."""
    import numpy as np
    import pyarrow as pa

    columns: list[list[Any]] = [[], [], []]
    for part, number in rows:
        packs = part.packs
        low, high = int(packs.first[number]), int(packs.first[number + 1])
        lengths = packs.lengths[low:high]
        places = list(zip(packs.starts[low:high].tolist(), lengths.tolist(), strict=True))
        ids = np.concatenate([part.ids[start : start + length] for start, length in places])
        begins = np.cumsum(lengths, dtype=np.int64) - lengths
        labels = ids.copy()
        if part.mask is not None:
            learned = np.concatenate([part.mask[start : start + length] for start, length in places])
            labels[learned == 0] = _UNLEARNED
        labels[begins] = _UNLEARNED
        positions = np.arange(len(ids), dtype=np.int32) - np.repeat(begins, lengths).astype(np.int32)
        for column, values in zip(columns, (ids, labels, positions), strict=True):
            column.append(values)
    return pa.table([lists(column, pa.int32()) for column in columns], schema=_schema())
