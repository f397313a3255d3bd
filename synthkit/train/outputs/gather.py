"""Tokens of packs, copied from the mapped store a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthkit.train.packs import Packs

BLOCK = 1 << 18
"""Tokens of a block: a megabyte stays in the cache on its way from one file to the other."""


def padded(packs: Packs, ids: NDArray[np.int32], sequence: int, pad: int) -> Iterator[NDArray[np.int32]]:
    """Blocks of whole packs, each `sequence` tokens: its documents, then `pad`; a block is good until the next."""
    import numpy as np

    step = max(1, BLOCK // sequence)
    block = np.empty(step * sequence, dtype=np.int32)
    for begin in range(0, len(packs), step):
        end = min(begin + step, len(packs))
        bounds = packs.first[begin : end + 1].tolist()
        for row, (low, high) in enumerate(pairwise(bounds)):
            at = row * sequence
            for start, length in zip(packs.starts[low:high].tolist(), packs.lengths[low:high].tolist(), strict=True):
                block[at : at + length] = ids[start : start + length]
                at += length
            block[at : (row + 1) * sequence] = pad
        yield block[: (end - begin) * sequence]
