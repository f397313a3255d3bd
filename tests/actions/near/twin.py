"""What the kernels must give, in plain Python."""

from __future__ import annotations

from itertools import combinations
from zlib import crc32

from synthkit.actions.near.sketcher import Shingling
from synthkit.actions.near.words import words


def shingles(text: str, shingling: Shingling) -> list[bytes]:
    """The texts of the shingles."""
    said = words(text, figures=shingling.figures)
    units = list(" ".join(said)) if shingling.characters else said
    between = "" if shingling.characters else " "
    runs = max(1, len(units) - shingling.size + 1)
    return [between.join(units[at : at + shingling.size]).encode() for at in range(runs)]


def hashed(text: str, shingling: Shingling) -> list[int]:
    """Distinct hashes, ascending."""
    return sorted({crc32(each) for each in shingles(text, shingling)})


def jaccard(one: list[int], other: list[int]) -> float:
    return len(set(one) & set(other)) / len(set(one) | set(other))


def alike(texts: list[str], shingling: Shingling, threshold: float) -> set[tuple[int, int]]:
    """All pairs at or above the threshold."""
    sets = [hashed(text, shingling) for text in texts]
    return {(a, b) for a, b in combinations(range(len(sets)), 2) if jaccard(sets[a], sets[b]) >= threshold}
