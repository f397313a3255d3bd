"""Shingles to signatures and band keys, and 128-bit hashes of bytes. 180 shingles take 3 us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.actions.near.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@compiled
def sign(flat: Array, bounds: Array, a: Array, b: Array, signatures: Array) -> None:
    """Write datasketch's `affine32` signature of each row's shingles."""
    width = len(a)
    least = np.empty(width, dtype=np.uint32)
    for row in range(len(bounds) - 1):
        least[:] = np.uint32(0xFFFFFFFF)
        for at in range(bounds[row], bounds[row + 1]):
            h = flat[at]
            h = np.uint32(h ^ (h >> np.uint32(16)))
            h = np.uint32(h * np.uint32(0x85EBCA6B))
            h = np.uint32(h ^ (h >> np.uint32(13)))
            h = np.uint32(h * np.uint32(0xC2B2AE35))
            h = np.uint32(h ^ (h >> np.uint32(16)))
            for k in range(width):
                value = np.uint32(np.uint32(h * a[k]) + b[k])
                least[k] = min(least[k], value)
        signatures[row] = least


@compiled
def band_keys(signatures: Array, bands: int, rows: int, keys: Array) -> None:
    """Write a 64-bit hash of each band of each signature, one band a row of `keys`."""
    for row in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band + 1)
            for k in range(band * rows, (band + 1) * rows):
                key = mixed(np.uint64(key ^ np.uint64(signatures[row, k])))
            keys[band, row] = key


@compiled
def mixed(x: Any) -> Any:
    """The finaliser of MurmurHash3: a bijection of 64 bits in which each input bit moves half the output's."""
    x = np.uint64(x ^ (x >> np.uint64(33)))
    x = np.uint64(x * np.uint64(0xFF51AFD7ED558CCD))
    x = np.uint64(x ^ (x >> np.uint64(33)))
    x = np.uint64(x * np.uint64(0xC4CEB9FE1A85EC53))
    return np.uint64(x ^ (x >> np.uint64(33)))


@compiled
def _rotated(x: Any, by: int) -> Any:
    return np.uint64((x << np.uint64(by)) | (x >> np.uint64(64 - by)))


@compiled
def _word(data: Array, at: int, count: int) -> Any:
    """Up to eight bytes as a little-endian number."""
    found = np.uint64(0)
    for k in range(count):
        found |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return found


@compiled
def hashes(data: Array, offsets: Array, found: Array) -> None:
    """Write MurmurHash3's x64 128 bits of each row's bytes, as two numbers."""
    c1, c2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        length = np.uint64(end - at)
        h1, h2 = np.uint64(0), np.uint64(0)
        while at + 16 <= end:
            k1, k2 = _word(data, at, 8), _word(data, at + 8, 8)
            h1 = np.uint64(h1 ^ np.uint64(_rotated(np.uint64(k1 * c1), 31) * c2))
            h1 = np.uint64(np.uint64(_rotated(h1, 27) + h2) * np.uint64(5) + np.uint64(0x52DCE729))
            h2 = np.uint64(h2 ^ np.uint64(_rotated(np.uint64(k2 * c2), 33) * c1))
            h2 = np.uint64(np.uint64(_rotated(h2, 31) + h1) * np.uint64(5) + np.uint64(0x38495AB5))
            at += 16
        if end - at > 8:
            k2 = _word(data, at + 8, end - at - 8)
            h2 = np.uint64(h2 ^ np.uint64(_rotated(np.uint64(k2 * c2), 33) * c1))
        if end > at:
            k1 = _word(data, at, min(end - at, 8))
            h1 = np.uint64(h1 ^ np.uint64(_rotated(np.uint64(k1 * c1), 31) * c2))
        h1, h2 = np.uint64(h1 ^ length), np.uint64(h2 ^ length)
        h1 = np.uint64(h1 + h2)
        h2 = np.uint64(h2 + h1)
        h1, h2 = mixed(h1), mixed(h2)
        h1 = np.uint64(h1 + h2)
        found[row, 0], found[row, 1] = h1, np.uint64(h2 + h1)
