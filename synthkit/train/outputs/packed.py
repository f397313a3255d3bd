"""Packed Parquet with document boundaries and loss masks, for trainers that mask across documents exactly.

There is no blending behind it, so the mixture is made here: each source's packs as often as its share of the budget
takes, whole epochs and a part of one, in one seeded order. `loss_mask[t]` says whether the label at position `t`, which
is token `t + 1` of the same document, is learned; the last token of a document has no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from synthkit.train.packs import Packs

FOLDER = "packed"
_GROUP = 1 << 20
"""Tokens of a row group: 8 rows at 128K, 32 at 32K. A reader that shuffles decodes a whole one for each row."""
_FILE = 256 << 20
"""Tokens of a file."""


class Part(NamedTuple):
    """One source in the mixture."""

    packs: Packs
    ids: NDArray[np.int32]
    mask: NDArray[np.uint8] | None
    taken: int
    """Packs taken in all, epochs counted."""


def mixture(parts: Mapping[str, Part], seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Source number and pack of every row, in order."""
    import numpy as np

    random = np.random.default_rng([seed, 0x5EED])
    sources, numbers = [], []
    for at, part in enumerate(parts.values()):
        whole, rest = divmod(part.taken, len(part.packs)) if len(part.packs) else (0, 0)
        some = random.permutation(len(part.packs))[:rest]
        numbers.append(np.concatenate([*[np.arange(len(part.packs))] * whole, some]).astype(np.int64))
        sources.append(np.full(len(numbers[-1]), at, dtype=np.int16))
    order = random.permutation(sum(map(len, numbers)))
    return np.concatenate(sources)[order], np.concatenate(numbers)[order]


def write(folder: Path, ledger: Path, split: str, parts: Mapping[str, Part], sequence: int, seed: int) -> None:
    """The rows of a split in files `<split>-NNNNN.idx.parquet`; the source and pack of each into the ledger."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{split}-*"):
        old.unlink()
    sources, numbers = mixture(parts, seed)
    group, rows = max(1, _GROUP // sequence), max(1, _FILE // sequence)
    listed = list(parts.values())
    for number, begin in enumerate(range(0, len(sources), rows)):
        unfinished = folder / f"{split}-{number:05d}.part"
        end = min(begin + rows, len(sources))
        with pq.ParquetWriter(unfinished, _schema(), compression="zstd") as writer:
            for at in range(begin, end, group):
                last = min(at + group, end)
                chosen = zip(sources[at:last].tolist(), numbers[at:last].tolist(), strict=True)
                writer.write_table(_table([(listed[source], pack) for source, pack in chosen]))
        unfinished.replace(folder / f"{split}-{number:05d}.idx.parquet")
    write_order(ledger, split, parts, sources, numbers)


def write_order(
    ledger: Path, split: str, parts: Mapping[str, Part], sources: NDArray[np.int16], numbers: NDArray[np.int64]
) -> None:
    """The source and pack of each row, for `trace`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.DictionaryArray.from_arrays(pa.array(sources), pa.array(list(parts), pa.string()))
    order = ledger / f"packed.{split}.parquet"  # no source's ledger is called so: their names have no dot
    pq.write_table(pa.table({"source": names, "pack": numbers}), order)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("input_ids", pa.list_(pa.int32())),
            pa.field("seq_start_id", pa.list_(pa.int32())),
            pa.field("loss_mask", pa.list_(pa.int8())),
        ]
    )


def _table(rows: list[tuple[Part, int]]) -> pa.Table:
    """A row group."""
    import numpy as np
    import pyarrow as pa

    ids: list[NDArray[np.int32]] = []
    starts: list[NDArray[np.int32]] = []
    masks: list[NDArray[np.int8]] = []
    for part, number in rows:
        packs = part.packs
        low, high = int(packs.first[number]), int(packs.first[number + 1])
        lengths = packs.lengths[low:high]
        places = list(zip(packs.starts[low:high].tolist(), lengths.tolist(), strict=True))
        ids.append(np.concatenate([part.ids[start : start + length] for start, length in places]))
        ends = np.cumsum(lengths, dtype=np.int32)
        starts.append(ends - lengths)
        learned = np.ones(len(ids[-1]), dtype=np.int8)
        if part.mask is not None:
            whole = np.concatenate([part.mask[start : start + length] for start, length in places])
            learned[:-1] = whole[1:]
        learned[ends - 1] = 0
        masks.append(learned)
    columns = [lists(ids, pa.int32()), lists(starts, pa.int32()), lists(masks, pa.int8())]
    return pa.table(columns, schema=_schema())


def lists(parts: list[NDArray[np.int32]] | list[NDArray[np.int8]], kind: pa.DataType) -> pa.ListArray:
    """A column of lists."""
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(parts) + 1, dtype=np.int32)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(parts), kind))
