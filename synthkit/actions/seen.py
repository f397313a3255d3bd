"""Which ids came before, in flat memory: 8 bytes an id against about 120 in a set.

Sorted runs of 64-bit prefixes that are merged when they are of equal size, so that a batch is looked up in a handful of
binary searches: about 0.5M ids/s. Among 10^7 ids the odds that two share a prefix are 3 in 10^6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synthkit.core.ids import Id

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray


class Seen:
    """A growing set of ids."""

    def __init__(self) -> None:
        """Empty."""
        self._runs: list[NDArray[uint64]] = []

    def add(self, ids: Sequence[Id]) -> list[bool]:
        """Add a batch; for each id whether it came before, in this batch or an earlier one."""
        import numpy as np

        keys = np.fromiter((int(each[:16], 16) for each in ids), dtype=np.uint64, count=len(ids))
        unique, first = np.unique(keys, return_index=True)
        known = np.zeros(len(unique), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            known |= run[at] == unique
        again = np.ones(len(keys), dtype=bool)
        again[first] = known
        new = unique[~known]
        if len(new):
            self._runs.append(new)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")
            self._runs.append(merged)
        return [bool(each) for each in again]
