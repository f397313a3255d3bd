"""Which rows are near: equal vectors first, then all pairs at or above a cosine, exactly.

Matrix products in float32 find candidates a little below the threshold, a sum in 64 bits decides, so what is found
depends on two vectors alone and not on blocks, threads or other rows. Up to `WHOLE` rows of one group every pair is
multiplied; beyond, `Cells` leave out what cannot be near, where that is much. No pair is missed either way. Lance's
index (IVF_FLAT) took 6 to 40 times as long up to 20,000 rows, and its centres are drawn anew each time it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING

from synthkit.actions.near.rows import Rows

if TYPE_CHECKING:
    from numpy import float64, int64
    from numpy.typing import NDArray

    from synthkit.actions.vectors.kept import Vectors

WHOLE = 20_000
"""Rows of a group up to which dividing them costs more than it saves."""
WORTH = 0.25
"""Share of the pairs up to which comparing cell by cell is cheaper: small products take up to four times as long."""
_BLOCK = 2048
_MARGIN = 1e-4
"""Far above what a product of float32 is wrong by."""


class Neighbours:
    """Sets of rows whose vectors are near, the closure of all near pairs; the smallest row stands for each."""

    def __init__(self, rows: Rows, before: int, vectors: Vectors, threshold: float) -> None:
        """Rows below `before` are of other tables: they are compared with the others only."""
        import numpy as np

        from synthkit.actions.near.rows import first_copies

        self._rows, self._before, self._threshold = rows, before, threshold
        self._places = rows.texts[0]
        self._matrix = vectors.matrix
        self._first = first_copies(rows)
        self._same = np.arange(len(rows), dtype=np.int64)
        self.compared = 0
        """Products of two vectors."""

    def find(self) -> None:
        """Compare all rows that may be duplicates of each other."""
        import numpy as np

        some = np.flatnonzero(self._first == np.arange(len(self._rows)))
        groups, apart = self._rows.groups[some], self._rows.apart[some]
        some = some[np.lexsort((some, apart, groups))]
        groups, apart = self._rows.groups[some], self._rows.apart[some]
        ends = np.flatnonzero((groups[1:] != groups[:-1]) | (apart[1:] != apart[:-1])) + 1
        for begin, end in zip([0, *ends.tolist()], [*ends.tolist(), len(some)], strict=True):
            if end - begin > 1:
                self._within(some[begin:end])

    def firsts(self) -> tuple[NDArray[int64], NDArray[int64]]:
        """For each row the first of those that are the same, twice: what is near is the same."""
        from synthkit.actions.near.sets import firsts

        same = firsts(self._same)[self._first]
        return same, same

    def similarities(self, ones: NDArray[int64], others: NDArray[int64]) -> NDArray[float64]:
        """The cosine of pairs of rows."""
        import numpy as np

        from synthkit.actions.vectors.kernels import cosines

        found = np.empty(len(ones))
        cosines(self._places[ones], self._places[others], self._matrix, found)
        return found

    def _within(self, members: NDArray[int64]) -> None:
        """Compare rows of one group, which ascend."""
        for ones, others in self._blocks(members):
            for at in range(0, len(ones), _BLOCK):
                one = ones[at : at + _BLOCK]
                for to in range(at if ones is others else 0, len(others), _BLOCK):
                    self._compare(one, others[to : to + _BLOCK], same=ones is others and to == at)

    def _blocks(self, members: NDArray[int64]) -> Iterator[tuple[NDArray[int64], NDArray[int64]]]:
        from synthkit.actions.vectors.cells import Cells

        reach = sqrt(max(0.0, 2 - 2 * self._threshold))
        cells = Cells(self._matrix, self._places[members], reach) if len(members) > WHOLE else None
        if cells is None or cells.share() > WORTH:
            yield members, members
            return
        for ones, others in cells.blocks():
            mine = members[ones]
            yield mine, mine if ones is others else members[others]

    def _compare(self, ones: NDArray[int64], others: NDArray[int64], *, same: bool) -> None:
        import numpy as np

        from synthkit.actions.vectors.kernels import join_near

        if not len(ones) or not len(others) or max(ones.max(), others.max()) < self._before:
            return
        products = self._matrix[self._places[ones]] @ self._matrix[self._places[others]].T
        self.compared += products.size
        at, to = np.nonzero(products >= self._threshold - _MARGIN)
        if same:
            upper = at < to
            at, to = at[upper], to[upper]
        if len(at):
            given = (ones[at], others[to], self._places, self._matrix)
            join_near(*given, self._before, self._threshold, self._same)
