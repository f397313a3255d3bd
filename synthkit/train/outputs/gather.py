"""Tokens of packs, copied from the mapped store a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthkit.train.packs import Packs

BLOCK = 4 << 20
"""Tokens of a block."""


def padded(packs: Packs, ids: NDArray[np.int32], sequence: int, pad: int) -> Iterator[NDArray[np.int32]]:
    """Blocks of whole packs, each `sequence` tokens: its documents, then `pad`."""
    import numpy as np

    step = max(1, BLOCK // sequence)
    for begin in range(0, len(packs), step):
        end = min(begin + step, len(packs))
        block = np.full((end - begin) * sequence, pad, dtype=np.int32)
        bounds = packs.first[begin : end + 1].tolist()
        for row, (low, high) in enumerate(pairwise(bounds)):
            at = row * sequence
            for start, length in zip(packs.starts[low:high].tolist(), packs.lengths[low:high].tolist(), strict=True):
                block[at : at + length] = ids[start : start + length]
                at += length
        yield block
