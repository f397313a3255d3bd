"""Texts to shingles in one pass over the Arrow buffer: code points, folding, tokens, hashes.

The hash of a shingle is the CRC-32 of its text (tokens with one space between), so datasketch's
`MinHash(hashfunc=zlib.crc32)` gives the same signatures. CRCs are linear: that of a run of tokens follows from the
register before and after it, so a word is read once however many shingles it is in. A document of 1.1 KB takes 10 us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.actions.near.characters import DIGIT, LONGER, MARKED, SINGLE
from synthkit.actions.near.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

STEPS = 255
"""Bytes that `zeros` can go on at once."""
_POLYNOMIAL = 0xEDB88320
_FIRST = np.uint32(0xFFFFFFFF)
_FEW = 2048
"""Hashes that are sorted by their first byte: with more, too many share one."""


def crc_table() -> Array:
    """The CRC-32 register after one byte, from an empty one."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def zeros_table() -> Array:
    """[n, k, x]: the register x << 4k after n zero bytes."""
    table = crc_table()
    found = np.empty((STEPS + 1, 8, 16), dtype=np.uint32)
    found[0] = np.arange(16, dtype=np.uint32) << np.arange(0, 32, 4, dtype=np.uint32)[:, None]
    for n in range(STEPS):
        found[n + 1] = (found[n] >> 8) ^ table[found[n] & 255]
    return found


@compiled
def _zeros(register: Any, count: Any, table: Array) -> Any:
    """The register after so many zero bytes."""
    while count > 0:
        step = min(count, STEPS)
        row = table[step]
        found = np.uint32(0)
        for k in range(8):
            found ^= row[k, (register >> np.uint32(4 * k)) & np.uint32(15)]
        register = found
        count -= step
    return register


@compiled
def _byte(register: Any, byte: Any, table: Array) -> Any:
    return np.uint32((register >> np.uint32(8)) ^ table[(register ^ np.uint32(byte)) & np.uint32(255)])


@compiled
def _encoded(register: Any, code: Any, table: Array) -> tuple[Any, int]:
    """The register after the UTF-8 of a code point, and how many bytes that is."""
    if code < 0x80:
        return _byte(register, code, table), 1
    if code < 0x800:
        register = _byte(register, 0xC0 | code >> 6, table)
        return _byte(register, 0x80 | code & 63, table), 2
    if code < 0x10000:
        register = _byte(register, 0xE0 | code >> 12, table)
        register = _byte(register, 0x80 | code >> 6 & 63, table)
        return _byte(register, 0x80 | code & 63, table), 3
    register = _byte(register, 0xF0 | code >> 18, table)
    register = _byte(register, 0x80 | code >> 12 & 63, table)
    register = _byte(register, 0x80 | code >> 6 & 63, table)
    return _byte(register, 0x80 | code & 63, table), 4


@compiled
def _decoded(data: Array, at: int) -> tuple[Any, int]:
    """The code point that begins at a byte of valid UTF-8, and how many bytes it is."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 31) << 6 | np.int64(data[at + 1]) & 63, 2
    if first < 0xF0:
        return (first & 15) << 12 | (np.int64(data[at + 1]) & 63) << 6 | np.int64(data[at + 2]) & 63, 3
    high = (first & 7) << 18 | (np.int64(data[at + 1]) & 63) << 12
    return high | (np.int64(data[at + 2]) & 63) << 6 | np.int64(data[at + 3]) & 63, 4


@compiled
def marked(data: Array, offsets: Array, folds: Array) -> Array:
    """Which texts have a character that the table cannot fold."""
    found = np.zeros(len(offsets) - 1, dtype=np.bool_)
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            if data[at] < 0x80:
                at += 1
                continue
            code, size = _decoded(data, at)
            if folds[code] == MARKED:
                found[row] = True
                break
            at += size
    return found


@compiled
def _fold(data: Array, at: int, end: int, folds: Array, pool: Array, codes: Array) -> int:
    """Write the folded code points of a text; returns how many. A marked one is folded already, and stays."""
    count = 0
    while at < end:
        code, size = _decoded(data, at)
        at += size
        to = folds[code]
        if to == MARKED:
            codes[count] = code
            count += 1
        elif to & LONGER:
            first = np.int64(to & np.uint32(~LONGER & 0xFFFFFFFF)) >> 8
            for k in range(np.int64(to & np.uint32(255))):
                codes[count] = pool[first + k]
                count += 1
        else:
            codes[count] = to
            count += 1
    return count


@compiled
def _token_end(codes: Array, at: int, count: int, classes: Array) -> int:
    """Where the token that begins at `at` ends: a word with the decimals behind it, or one character."""
    if classes[codes[at]] == SINGLE:
        return at + 1
    while at < count and 0 < classes[codes[at]] < SINGLE:
        at += 1
    while at + 1 < count and (codes[at] == 46 or codes[at] == 44) and classes[codes[at + 1]] == DIGIT:
        at += 1
        while at < count and classes[codes[at]] == DIGIT:
            at += 1
    return at


@compiled
def _figure(codes: Array, at: int, end: int, classes: Array, months: Array) -> bool:
    """Whether a token has a digit or is the name of a month."""
    name = np.uint64(0)
    for k in range(at, end):
        code = codes[k]
        if classes[code] == DIGIT:
            return True
        letter = np.uint64(code - 96) if 97 <= code <= 122 and end - at <= 9 else np.uint64(31)
        name = name << np.uint64(5) | letter
    for month in months:  # noqa: SIM110 - numba compiles no generators
        if name == month:
            return True
    return False


@compiled
def _units(
    codes: Array, count: int, classes: Array, months: Array, characters: bool, figures: bool, table: Array, units: Array
) -> int:
    """Write (register, bytes) before and after each token, or each character of the tokens; returns how many."""
    at = found = 0
    register, size = np.uint32(0), np.uint32(0)
    while at < count:
        if classes[codes[at]] == 0:
            at += 1
            continue
        end = _token_end(codes, at, count, classes)
        if size > 0:
            if characters:
                units[found, 0], units[found, 1] = register, size
            register, size = _byte(register, 32, table), np.uint32(size + np.uint32(1))
            if characters:
                units[found, 2], units[found, 3] = register, size
                found += 1
        units[found, 0], units[found, 1] = register, size
        masked = not figures and _figure(codes, at, end, classes, months)
        for k in range(at, at + 1 if masked else end):
            if characters:
                units[found, 0], units[found, 1] = register, size
            register, more = _encoded(register, 35 if masked else codes[k], table)
            size = np.uint32(size + np.uint32(more))
            if characters:
                units[found, 2], units[found, 3] = register, size
                found += 1
        if not characters:
            units[found, 2], units[found, 3] = register, size
            found += 1
        at = end
    return found


@compiled
def _sort(values: Array, spare: Array) -> None:
    """Sort hashes: by their first byte, then each into its place, which is near; a fifth of the time of `sort`."""
    if len(values) > len(spare):
        values.sort()
        return
    ends = np.zeros(257, dtype=np.int64)
    for value in values:
        ends[(value >> np.uint32(24)) + 1] += 1
    for byte in range(256):
        ends[byte + 1] += ends[byte]
    for value in values:
        byte = value >> np.uint32(24)
        spare[ends[byte]] = value
        ends[byte] += 1
    for k in range(len(values)):
        value, at = spare[k], k
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value


@compiled
def _shingles(units: Array, count: int, size: int, zeros: Array, spare: Array, out: Array) -> int:
    """Write the distinct hashes of all runs of `size` units (of all units, where there are fewer), sorted."""
    if count == 0:
        out[0] = 0  # the CRC of nothing
        return 1
    size = min(size, count)
    runs = count - size + 1
    for k in range(runs):
        last = k + size - 1
        length = np.int64(units[last, 3]) - np.int64(units[k, 1])
        before = _zeros(np.uint32(units[k, 0] ^ _FIRST), length, zeros)
        out[k] = np.uint32(~(units[last, 2] ^ before))
    _sort(out[:runs], spare)
    kept = 1
    for k in range(1, runs):
        if out[k] != out[kept - 1]:
            out[kept] = out[k]
            kept += 1
    return kept


@compiled
def shingle(
    data: Array,
    offsets: Array,
    folds: Array,
    pool: Array,
    classes: Array,
    months: Array,
    characters: bool,
    size: int,
    figures: bool,
    table: Array,
    zeros: Array,
    flat: Array,
    bounds: Array,
) -> None:
    """Write the shingles of each text to `flat`, those of row k between bounds k and k + 1."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    codes = np.empty(2 * longest + 2, dtype=np.uint32)
    units = np.empty((4 * longest + 2, 4), dtype=np.uint32)
    spare = np.empty(_FEW, dtype=np.uint32)
    bounds[0] = 0
    for row in range(len(offsets) - 1):
        count = _fold(data, offsets[row], offsets[row + 1], folds, pool, codes)
        count = _units(codes, count, classes, months, characters, figures, table, units)
        bounds[row + 1] = bounds[row] + _shingles(units, count, size, zeros, spare, flat[bounds[row] :])


@compiled
def marks(
    data: Array, offsets: Array, folds: Array, pool: Array, classes: Array, months: Array, table: Array, zeros: Array
) -> Array:
    """64 bits of each word of one text, in order: of its CRC and its length."""
    length = offsets[1] - offsets[0]
    codes = np.empty(2 * length + 2, dtype=np.uint32)
    units = np.empty((4 * length + 2, 4), dtype=np.uint32)
    count = _fold(data, offsets[0], offsets[1], folds, pool, codes)
    count = _units(codes, count, classes, months, False, True, table, units)
    found = np.empty(count, dtype=np.uint64)
    for k in range(count):
        size = np.uint32(units[k, 3] - units[k, 1])
        register = np.uint32(units[k, 2] ^ _zeros(np.uint32(units[k, 0] ^ _FIRST), np.int64(size), zeros))
        found[k] = np.uint64(size) << np.uint64(32) | np.uint64(register)
    return found
