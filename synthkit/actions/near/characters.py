"""What each character is to a sketch: a class, and what it folds to (NFKC, then case), as tables for the kernels.

A table can fold a text only if no character acts on its neighbours. So characters that reorder or compose
(and those of very long foldings) are marked, and a text that has one is folded by `unicodedata`; all others, of Chinese
and English alike, never touch Python. Tests compare every character and made-up texts with `unicodedata`.
The tables take 20 ms and 5.5 MB, once a process.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import uint8, uint32
    from numpy.typing import NDArray

CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
"""Characters that are words by themselves, as they stand within the brackets of a pattern."""
LETTER, DIGIT, SINGLE = 1, 2, 3
"""Classes: part of a word, one that is a decimal digit, a word by itself; 0 is between words."""
MARKED = 0xFFFFFFFF
"""The folding of a character that only `unicodedata` can fold in its place."""
LONGER = 0x80000000
"""Bit of a folding that is several characters: 16 bits of their place in the pool, and below them 8 of their number."""

_CODES = 0x110000
_KNOWN = 0x40000
"""No character beyond is a letter or a digit."""
_LOOKED_UP = ((0, 0x3400), (0xA000, 0xAC00), (0xF900, 0x10000), (0x1F000, 0x1FB00), (0x2F800, 0x2FA20))
_THEMSELVES = ((0x3400, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xF900), (0x20000, 0x2F800))
"""Ideographs, whole Hangul syllables and private use: normal as they are."""
_HANGUL = frozenset(map(chr, [*range(0x1100, 0x1200), *range(0xA960, 0xA980)]))
"""Parts of syllables, which compose by arithmetic."""


@dataclass(frozen=True, slots=True)
class Characters:
    """The tables, by code point."""

    classes: NDArray[uint8]
    folds: NDArray[uint32]
    pool: NDArray[uint32]


@cache
def characters() -> Characters:
    """The tables of this Python's Unicode."""
    import numpy as np

    classes = np.zeros(_CODES, dtype=np.uint8)
    every = "".join(" " if 0xD800 <= code < 0xE000 else chr(code) for code in range(_KNOWN))
    for pattern, number in ((r"[^\W_]+", LETTER), (r"\d+", DIGIT), (rf"[{CJK}]+", SINGLE)):
        for match in re.finditer(pattern, every):
            classes[slice(*match.span())] = number
    folds = np.full(_CODES, MARKED, dtype=np.uint32)
    for first, end in _THEMSELVES:
        folds[first:end] = np.arange(first, end, dtype=np.uint32)
    pool: list[int] = []
    joining = frozenset(_joining())
    for first, end in _LOOKED_UP:
        folds[first:end] = [_fold(chr(code), joining, pool) for code in range(first, end)]
    return Characters(classes, folds, np.array(pool, dtype=np.uint32))


def folded(text: str) -> str:
    """A text as it is compared: NFKC, then folded case."""
    return unicodedata.normalize("NFKC", text).casefold()


def _joining() -> Iterator[str]:
    """Characters that compose with the one before them."""
    for first, end in _LOOKED_UP:
        for code in range(first, end):
            parts = unicodedata.decomposition(chr(code)).split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                yield chr(int(parts[1], 16))


def _fold(character: str, joining: frozenset[str], pool: list[int]) -> int:
    normal = unicodedata.normalize("NFKC", character)
    if any(unicodedata.combining(each) or each in joining or each in _HANGUL for each in (character, *normal)):
        return MARKED
    found = normal.casefold()
    if len(found) == 1:
        return ord(found)
    if len(found) > 2 * len(character.encode()):
        return MARKED
    pool.extend(map(ord, found))
    return LONGER | (len(pool) - len(found)) << 8 | len(found)
