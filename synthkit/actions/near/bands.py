"""Bands of a signature: rows that share all values of one band are candidates for exact comparison."""

from __future__ import annotations

PERMUTATIONS = 128
_RECALL = 0.94


def bands(threshold: float) -> tuple[int, int]:
    """Number of bands and rows of each: the longest rows that still find 94 % of the pairs right at the threshold."""
    for rows in (8, 7, 6, 5, 4, 3, 2):
        count = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** count >= _RECALL:
            return count, rows
    return PERMUTATIONS, 1
