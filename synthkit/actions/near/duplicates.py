"""Which rows are alike: equal sets of shingles first, then pairs that share a band, each verified by exact Jaccard.

Two bands' keys are in memory at a time, and the shingles of at most some 10^5 pairs, read back from Lance: so memory
follows the number of rows and never what is in them. Bands are chosen for recall, verification makes precision 1. In
a bucket of more than 64 each member is paired with the first and with the next 64, which bounds the work. Rows that
are never duplicates of each other share no bucket (where they are clustered, they come after those that may be), so
what is found among some rows does not depend on how many others look like them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from synthkit.actions.near.rows import Rows

if TYPE_CHECKING:
    from numpy import float64, int64, uint64
    from numpy.typing import NDArray

    from synthkit.actions.near.sketched import Sketched

_NEIGHBOURS = 64
"""Members of a bucket that each is paired with, beside the first: this bounds the work, and what a bucket can find."""
_PAIRS = 1 << 20
_SHINGLES = 1 << 25
"""Shingles in memory at once: 128 MB."""


class Duplicates:
    """Sets of rows that are the same, and of rows that are alike but for figures; the smallest row stands for each."""

    def __init__(self, rows: Rows, before: int, exact: Sketched, loose: Sketched, threshold: float) -> None:
        """Rows below `before` are of other tables: they are compared with the others only.

        `exact` has the sketches that decide what is the same, `loose` those by which candidates are found; one object
        where rows are not clustered.
        """
        import numpy as np

        self._rows = rows
        self._before = before
        self._exact, self._loose = exact, loose
        self._at = rows.texts[0], rows.texts[-1]
        self._threshold = threshold
        self._sizes = {id(each): each.column("size") for each in (exact, loose)}
        self._first = self._copies()
        """The first row of the same set of shingles, group and `apart`."""
        self._same = np.arange(len(rows), dtype=np.int64)
        self._alike = self._same if exact is loose else self._same.copy()
        self._compared = np.empty(0, dtype=np.int64)
        """Pairs that were compared and joined nothing, ascending."""

    def find(self, bands: int) -> None:
        """Compare the candidates of all bands."""
        import numpy as np

        some = np.flatnonzero(self._first == np.arange(len(self._rows)))
        some = some[np.lexsort((self._rows.apart[some], self._rows.groups[some]))]
        with ThreadPoolExecutor(1, "synthkit-bands") as ahead:  # sorts a band while the one before is compared
            coming = [ahead.submit(self._sorted, 0, some)]
            for band in range(bands):
                keys, order = coming.pop().result()
                if band + 1 < bands:
                    coming.append(ahead.submit(self._sorted, band + 1, some))
                self._band(keys, order, some)

    def firsts(self) -> tuple[NDArray[int64], NDArray[int64]]:
        """For each row the first of those that are the same, and of those that are alike."""
        from synthkit.actions.near.sets import firsts

        same = firsts(self._same)
        alike = same if self._alike is self._same else firsts(self._alike)
        return same[self._first], alike[self._first]

    def similarities(self, ones: NDArray[int64], others: NDArray[int64]) -> NDArray[float64]:
        """The exact Jaccard of pairs of rows."""
        import numpy as np

        found = np.ones(len(ones))
        unlike = np.flatnonzero(self._first[ones] != self._first[others])
        for part in self._parts(ones[unlike] << 32 | others[unlike], self._exact, self._at[0]):
            found[unlike[part]] = self._jaccards(ones[unlike[part]] << 32 | others[unlike[part]], exact=True)
        return found

    def _copies(self) -> NDArray[int64]:
        import numpy as np
        import polars as pl

        content = self._exact.content()[self._at[0]]
        columns = {"high": content[:, 0], "low": content[:, 1], "group": self._rows.groups, "apart": self._rows.apart}
        frame = pl.DataFrame({**columns, "row": np.arange(len(self._rows), dtype=np.int64)})
        return frame.select(pl.col("row").min().over("high", "low", "group", "apart")).to_series().to_numpy()

    def _sorted(self, band: int, some: NDArray[int64]) -> tuple[NDArray[uint64], NDArray[int64]]:
        """Keys of some rows, and these rows (as positions in `some`) by key and position."""
        import numpy as np

        from synthkit.actions.near import sets

        keys = self._loose.column(f"band_{band:02}")[self._at[1][some]]
        order = np.argsort(keys)
        sets.sort_buckets(keys, order)
        return keys, order

    def _band(self, keys: NDArray[uint64], order: NDArray[int64], some: NDArray[int64]) -> None:
        """Compare the candidates of one band, as `_sorted` gives it."""
        import numpy as np

        from synthkit.actions.near import sets

        groups, apart, theirs = self._rows.groups[some], self._rows.apart[some], some < self._before
        tied = self._exact is not self._loose
        pairs = np.empty(_PAIRS, dtype=np.int64)
        begin = own = at = 0
        unlike = [self._compared]
        while at < len(order):
            begin, own, at, count = sets.bucket_pairs(
                keys, order, groups, apart, theirs, tied, _NEIGHBOURS, begin, own, at, pairs
            )
            ones, others = some[pairs[:count] >> 32], some[pairs[:count] & 0xFFFFFFFF]
            found = np.minimum(ones, others) << 32 | np.maximum(ones, others)
            known = np.searchsorted(self._compared, found)
            known[known == len(self._compared)] = 0
            fresh = found[self._compared[known] != found] if len(self._compared) else found
            unlike.extend(self._compare(fresh))
        self._compared = np.sort(np.concatenate(unlike))

    def _compare(self, pairs: NDArray[int64]) -> Iterator[NDArray[int64]]:
        """Join those that are alike; gives those that joined nothing."""
        from synthkit.actions.near import sets

        for part in self._parts(pairs, self._exact, self._at[0]):
            waiting = self._open(pairs[part])
            jaccards = self._jaccards(waiting, exact=True)
            sets.join_same(waiting, jaccards, self._threshold, self._same, self._alike, self._rows.apart)
            if self._exact is not self._loose:
                waiting = self._open(waiting)
                sets.join_alike(waiting, self._jaccards(waiting, exact=False), self._threshold, self._alike)
            yield self._open(waiting)

    def _open(self, pairs: NDArray[int64]) -> NDArray[int64]:
        """Pairs that are not in one set yet."""
        from synthkit.actions.near import sets

        found: NDArray[int64] = pairs[sets.open_pairs(pairs, self._same, self._alike, self._rows.apart)]
        return found

    def _parts(self, pairs: NDArray[int64], sketched: Sketched, at: NDArray[int64]) -> Iterator[slice]:
        """Slices of pairs whose shingles are few enough to be in memory at once."""
        import numpy as np

        sizes = self._sizes[id(sketched)]
        ends = np.cumsum(sizes[at[pairs >> 32]] + sizes[at[pairs & 0xFFFFFFFF]], dtype=np.int64)
        first = 0
        while first < len(pairs):
            taken = int(ends[first - 1]) if first else 0
            end = max(first + 1, int(np.searchsorted(ends, taken + _SHINGLES, side="right")))
            yield slice(first, end)
            first = end

    def _jaccards(self, pairs: NDArray[int64], *, exact: bool) -> NDArray[float64]:
        import numpy as np

        from synthkit.actions.near import sets

        sketched, at = (self._exact, self._at[0]) if exact else (self._loose, self._at[1])
        texts = np.stack([at[pairs >> 32], at[pairs & 0xFFFFFFFF]])
        found = np.zeros(len(pairs))
        wanted, where = np.unique(texts, return_inverse=True)
        flat, bounds = sketched.shingles(wanted)
        ones, others = where.reshape(2, -1)
        sets.similarities(pairs, flat, bounds, ones, others, found)
        return found
