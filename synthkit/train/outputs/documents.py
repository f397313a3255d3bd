"""Every document as a sequence of its own, for trainers that pack or mask by document themselves.

The whole order is sorted at once: about 50 bytes a document in memory, measured on 400,000.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthkit.train.indexed import IndexedWriter
from synthkit.train.outputs.gather import BLOCK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthkit.train.packs import Packs

FOLDER = "documents"


def write(prefix: Path, packs: Packs, ids: NDArray[np.int32]) -> None:
    """One source's documents of one split, in the order of the source."""
    import numpy as np

    order = np.argsort(packs.starts, kind="stable")
    starts, lengths = packs.starts[order], packs.lengths[order]
    sums = np.cumsum(lengths, dtype=np.int64)
    with IndexedWriter(prefix) as writer:
        at = 0
        while at < len(starts):
            end = int(np.searchsorted(sums, BLOCK + (sums[at - 1] if at else 0), side="right"))
            end = max(end, at + 1)
            parts = [ids[s : s + n] for s, n in zip(starts[at:end].tolist(), lengths[at:end].tolist(), strict=True)]
            writer.add(np.concatenate(parts), lengths[at:end])
            at = end
