"""Kernels that join what is near; see `near.compiled`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.actions.near.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@compiled
def _first(parent: Array, member: Any) -> Any:
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@compiled
def cosine(one: Array, other: Array) -> float:
    """Of two vectors of length 1, summed in one order in 64 bits: it depends on these two and on nothing else."""
    total = 0.0
    for at in range(len(one)):
        total += np.float64(one[at]) * np.float64(other[at])
    return min(max(total, -1.0), 1.0)


@compiled
def join_near(
    ones: Array, others: Array, places: Array, matrix: Array, before: int, threshold: float, parent: Array
) -> None:
    """Join pairs of rows of this cosine; those that are in one set already are not looked at, nor two of `before`."""
    for k in range(len(ones)):
        one, other = ones[k], others[k]
        if one < before and other < before:
            continue
        first, second = _first(parent, one), _first(parent, other)
        if first != second and cosine(matrix[places[one]], matrix[places[other]]) >= threshold:
            parent[max(first, second)] = min(first, second)


@compiled
def cosines(ones: Array, others: Array, matrix: Array, found: Array) -> None:
    """Write the cosine of pairs of vectors."""
    for k in range(len(ones)):
        found[k] = 1.0 if ones[k] == others[k] else cosine(matrix[ones[k]], matrix[others[k]])
