"""Which texts are known, by 128 bits of their bytes: an open table of row numbers, 24 to 32 bytes a text.

A hash is found in one or two steps of memory, and texts that come twice in a batch are told as such, which sorted
arrays would need a merge for. Both halves are compared: among 10^10 texts the odds of one mistake are below 10^-18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.actions.near.compiled import compiled

if TYPE_CHECKING:
    from numpy import bool_, int64, uint64
    from numpy.typing import NDArray

    Array = NDArray[Any]

_LEAST = 1 << 12


class Places:
    """Row numbers of texts by their hashes, in the order the texts came."""

    def __init__(self) -> None:
        """Empty."""
        self._hashes = np.empty((_LEAST, 2), dtype=np.uint64)
        self._slots = np.full(2 * _LEAST, -1, dtype=np.int32)
        self.count = 0
        """Rows: texts, and those that were added with `again`."""

    def add(self, hashes: NDArray[uint64], *, again: bool = False) -> tuple[NDArray[int64], NDArray[bool_]]:
        """The row of each text, and whether it is new; with `again` a text that is known takes a row, too."""
        self._grow(self.count + len(hashes))
        rows = np.empty(len(hashes), dtype=np.int64)
        new = np.zeros(len(hashes), dtype=np.bool_)
        self.count = _place(hashes, self._hashes, self._slots, self.count, again, rows, new)
        return rows, new

    def _grow(self, count: int) -> None:
        if count > len(self._hashes):
            larger = np.empty((1 << (count - 1).bit_length(), 2), dtype=np.uint64)
            larger[: self.count] = self._hashes[: self.count]
            self._hashes = larger
            self._slots = np.full(2 * len(larger), -1, dtype=np.int32)
            _settle(self._hashes, self.count, self._slots)


@compiled
def _slot(high: Any, low: Any, hashes: Array, slots: Array) -> Any:
    """The slot of a hash, or the empty one where it would stand."""
    mask = len(slots) - 1
    at = np.int64(low & np.uint64(mask))
    while slots[at] >= 0 and (hashes[slots[at], 0] != high or hashes[slots[at], 1] != low):
        at = (at + 1) & mask
    return at


@compiled
def _settle(hashes: Array, count: int, slots: Array) -> None:
    for row in range(count):
        at = _slot(hashes[row, 0], hashes[row, 1], hashes, slots)
        if slots[at] < 0:
            slots[at] = row


@compiled
def _place(wanted: Array, hashes: Array, slots: Array, count: int, again: bool, rows: Array, new: Array) -> int:
    for k in range(len(wanted)):
        at = _slot(wanted[k, 0], wanted[k, 1], hashes, slots)
        new[k] = slots[at] < 0
        if new[k] or again:
            hashes[count, 0], hashes[count, 1] = wanted[k, 0], wanted[k, 1]
            if new[k]:
                slots[at] = count
            count += 1
        rows[k] = slots[at]
    return count
