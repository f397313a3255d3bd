"""Identity: 128-bit blake2b over unambiguous bytes, written as 32 hex digits.

Ids are made of what a row *is* (its parent, step and path), never of where it stands, so that a
killed, resumed, local or distributed run mints the same ones. 128 bits keep the odds of one collision
among 10^10 rows below 10^-18. Canonical bytes are JSON with sorted keys: 1-2 us a row with orjson.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

Id = str
"""32 lower-case hex digits."""

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY


def canonical(value: Any) -> bytes:
    """One byte string for one JSON-like value; equal values give equal bytes whatever their key order."""
    return orjson.dumps(value, option=_OPTIONS)


def digest(value: Any) -> Id:
    """The 128-bit content hash of a JSON-like value."""
    return blake2b(canonical(value), digest_size=16).hexdigest()


def mint(parent: Id | Iterable[Id], step: str, *path: Any) -> Id:
    """The id of a row made at `step` from `parent` (one id, or the ordered ids of a join or cluster).

    `path` tells the children of one parent apart: `each` values, sample index, item index, group key.
    """
    parents = parent if isinstance(parent, str) else list(parent)
    return digest([parents, step, list(path)])


def unordered(digests: Iterable[Id]) -> Id:
    """An order-free digest of many ids: their sum modulo 2^128 and their number."""
    total = count = 0
    for each in digests:
        total += int(each, 16)
        count += 1
    return digest([f"{total % (1 << 128):032x}", count])


def seed(*parts: Any) -> int:
    """A 31-bit seed drawn from `parts`; fits every engine's seed field."""
    return int.from_bytes(blake2b(canonical(list(parts)), digest_size=4).digest(), "big") >> 1
