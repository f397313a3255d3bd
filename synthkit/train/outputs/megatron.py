"""Pack-aligned .bin/.idx by source and split, and the blend that mixes them.

Each sequence is exactly as long as the trainer's, so a stock GPTDataset, which shuffles sequences, joins them and cuts
every `sequence` tokens, cuts between packs and never within a document. Weights are those of sequences: a source whose
packs are less full gets a little more, so that shares hold for tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from synthkit.train.indexed import IndexedWriter
from synthkit.train.outputs.gather import padded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthkit.train.packs import Packs

FOLDER = "megatron"


def write(prefix: Path, packs: Packs, ids: NDArray[np.int32], sequence: int, pad: int) -> None:
    """One source's packs of one split."""
    import numpy as np

    with IndexedWriter(prefix) as writer:
        for block in padded(packs, ids, sequence, pad):
            writer.add(block, np.full(len(block) // sequence, sequence, dtype=np.int32))


def weights(shares: Mapping[str, float], fill: Mapping[str, float]) -> dict[str, float]:
    """Part of the sequences by source, so that its part of the tokens is its share; they make 1."""
    raw = {name: share / fill[name] for name, share in shares.items() if fill.get(name)}
    total = sum(raw.values())
    return {name: each / total for name, each in raw.items()}


def write_blend(path: Path, splits: Mapping[str, tuple[Sequence[str], Sequence[float]]]) -> None:
    """`{"train": [[prefix, ...], [weight, ...]], "valid": ...}`, prefixes relative to the export."""
    content = orjson.dumps({split: [list(names), list(each)] for split, (names, each) in splits.items()})
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content + b"\n")
    unfinished.replace(path)
