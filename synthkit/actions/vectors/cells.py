"""A division of vectors into cells by which most pairs need not be compared, and none is missed.

Each vector belongs to the nearest of some centres. What lies on two sides of the plane between two centres is at
least as far apart as the sum of both distances to that plane; so two vectors nearer than `reach` are both nearer than
`reach` to the plane between their cells, and only those are compared. Centres decide the work and never the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

_ROUNDS = 4
_SAMPLE = 32
"""Vectors a centre is made from."""
_MEMBERS = 256
"""Mean size of a cell, at most twice the square root of the number of cells: smaller ones cost more than they save."""
_BLOCK = 1 << 13
_LOOKED_AT = 1000
_SLACK = 1e-3
"""What float32 may be wrong by, many times over; more of it costs work and no pair."""


class Cells:
    """Vectors by their nearest centre."""

    def __init__(self, matrix: NDArray[float32], numbers: NDArray[int64], reach: float) -> None:
        """`numbers` are the rows of `matrix` that are divided; pairs farther apart than `reach` are not wanted."""
        import numpy as np

        self._matrix, self._numbers, self._reach = matrix, numbers, reach + _SLACK
        self._centres = _centres(matrix, numbers)
        self._squares = np.einsum("ij,ij->i", self._centres, self._centres)
        self._gaps = _gaps(self._centres)
        nearest = _nearest(matrix, numbers, self._centres, self._squares)
        order = np.argsort(nearest, kind="stable")
        bounds = np.searchsorted(nearest[order], np.arange(len(self._centres) + 1))
        self._members = [order[bounds[at] : bounds[at + 1]] for at in range(len(self._centres))]

    def share(self) -> float:
        """About which share of all pairs `blocks` gives, from some of the vectors.

        A pair is given where both are near the plane between their cells, so its share is that of one, squared.
        """
        import numpy as np

        near = 0.0
        sizes = np.array([len(each) for each in self._members])
        looked = 0
        for at, members in enumerate(self._members):
            some = members[:: max(1, len(self._numbers) // _LOOKED_AT)]
            if len(some):
                away = self._away(some, self._centres, at) <= self._reach
                near += float(((away @ sizes) / len(self._numbers)).sum())
                looked += len(some)
        return (near / max(1, looked)) ** 2

    def blocks(self) -> Iterator[tuple[NDArray[int64], NDArray[int64]]]:
        """Positions in `numbers` to be compared, each with each; where both are the same array, with those after it."""
        import numpy as np

        for at, members in enumerate(self._members):
            if not len(members):
                continue
            yield members, members
            away = self._away(members, self._centres, at)
            for other in np.flatnonzero((away <= self._reach).any(axis=0)).tolist():
                theirs = self._members[other]
                if other <= at or not len(theirs):
                    continue
                pair = self._centres[[at, other]]
                back = self._back(theirs, pair, at, other)
                near = theirs[back <= self._reach]
                if len(near):
                    yield members[away[:, other] <= self._reach - max(0.0, float(back.min()))], near

    def _away(self, members: NDArray[int64], centres: NDArray[float32], own: int) -> NDArray[float32]:
        """[members, cells]: the distance of each to the plane between its cell and each other."""
        import numpy as np

        products = self._matrix[self._numbers[members]] @ centres.T
        squares = self._squares[None, :] - 2 * products
        found = (squares - squares[:, own, None]) / (2 * self._gaps[own][None, :])
        return np.asarray(found)

    def _back(self, members: NDArray[int64], pair: NDArray[float32], one: int, other: int) -> NDArray[float32]:
        """The same for members of cell `other` and the plane between it and cell `one`."""
        import numpy as np

        products = self._matrix[self._numbers[members]] @ pair.T
        squares = self._squares[[one, other]][None, :] - 2 * products
        return np.asarray((squares[:, 0] - squares[:, 1]) / (2 * self._gaps[one, other]))


def _gaps(centres: NDArray[float32]) -> NDArray[float32]:
    """[n, n]: how far centres are apart, in 64 bits: float32 finds close ones too close, and pairs would be missed."""
    import numpy as np

    exact = centres.astype(np.float64)
    squares = np.einsum("ij,ij->i", exact, exact)
    found = np.empty((len(centres), len(centres)), dtype=np.float32)
    for at, centre in enumerate(exact):
        found[at] = np.sqrt(np.maximum(squares + squares[at] - 2 * exact @ centre, 1e-6))
    return found


def _centres(matrix: NDArray[float32], numbers: NDArray[int64]) -> NDArray[float32]:
    """Means of a sample, by some rounds of k-means; ids are hashes, so rows at equal distances are a fair sample."""
    import numpy as np

    count = max(2, min(len(numbers) // _MEMBERS, 2 * isqrt(len(numbers))))
    sample = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), count * _SAMPLE)).astype(np.int64)]
    centres = np.array(matrix[sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)]])
    for _ in range(_ROUNDS):
        nearest = _nearest(matrix, sample, centres, np.einsum("ij,ij->i", centres, centres))
        counts = np.bincount(nearest, minlength=count)
        order = np.argsort(nearest, kind="stable")
        begins = np.cumsum(counts) - counts
        full = counts > 0
        sums = np.add.reduceat(matrix[sample[order]], begins[full], axis=0)
        centres[full] = sums / counts[full, None]
    return centres


def _nearest(
    matrix: NDArray[float32], numbers: NDArray[int64], centres: NDArray[float32], squares: NDArray[float32]
) -> NDArray[int64]:
    """The nearest centre of each."""
    import numpy as np

    found = np.empty(len(numbers), dtype=np.int64)
    for at in range(0, len(numbers), _BLOCK):
        part = matrix[numbers[at : at + _BLOCK]]
        found[at : at + _BLOCK] = np.argmax(part @ centres.T - squares / 2, axis=1)
    return found
