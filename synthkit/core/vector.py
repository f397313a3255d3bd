"""Vectors as text: base64 of little-endian float32, as the OpenAI protocol sends them and the journal keeps them.

1,024 numbers take 5.5 KB this way, and 12 to 20 KB as JSON; every bit of a number comes back.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable
from math import isfinite


def to_text(values: Iterable[float]) -> str:
    """Numbers as text; ValueError where there are none, or one is not finite."""
    numbers = array("f", values)
    _check(numbers)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


def from_text(text: str) -> list[float]:
    """The numbers of a text; ValueError where it is none of a vector."""
    numbers = array("f")
    numbers.frombytes(b64decode(text, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    _check(numbers)
    return numbers.tolist()


def _check(numbers: array[float]) -> None:
    if not numbers:
        raise ValueError("a vector without numbers")
    if not all(map(isfinite, numbers)):
        raise ValueError("a vector with numbers that are not finite")
