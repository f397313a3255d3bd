"""Disjoint sets of row numbers, each known by its smallest member, and the kernels that join what is alike.

A pair that is in one set already is never compared: of a thousand copies a thousand pairs are looked at, not half a
million. What is joined is the closure of the pairs that are alike, whatever the order they come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.actions.near.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@compiled
def first(parent: Array, member: Any) -> Any:
    """The smallest member of a set."""
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@compiled
def join(parent: Array, one: Any, other: Any) -> None:
    """Make one set of two."""
    one, other = first(parent, one), first(parent, other)
    parent[max(one, other)] = min(one, other)


@compiled
def firsts(parent: Array) -> Array:
    """The smallest member of each number's set."""
    found = np.empty_like(parent)
    for member in range(len(parent)):
        found[member] = first(parent, member)
    return found


@compiled
def jaccard(one: Array, other: Array) -> float:
    """Shared numbers of two ascending arrays as part of all."""
    at = to = shared = 0
    while at < len(one) and to < len(other):
        if one[at] == other[to]:
            shared += 1
            at += 1
            to += 1
        elif one[at] < other[to]:
            at += 1
        else:
            to += 1
    return shared / (len(one) + len(other) - shared)


@compiled
def open_pairs(pairs: Array, same: Array, alike: Array, apart: Array) -> Array:
    """Whether comparing a pair could still join two sets."""
    found = np.empty(len(pairs), dtype=np.bool_)
    for k in range(len(pairs)):
        one, other = pairs[k] >> 32, pairs[k] & 0xFFFFFFFF
        found[k] = first(alike, one) != first(alike, other)
        if not found[k] and apart[one] == apart[other]:
            found[k] = first(same, one) != first(same, other)
    return found


@compiled
def similarities(pairs: Array, flat: Array, bounds: Array, ones: Array, others: Array, found: Array) -> None:
    """Write the Jaccard of pairs; `ones` and `others` say where the shingles of their rows stand."""
    for k in range(len(pairs)):
        one = flat[bounds[ones[k]] : bounds[ones[k] + 1]]
        found[k] = jaccard(one, flat[bounds[others[k]] : bounds[others[k] + 1]])


@compiled
def join_same(pairs: Array, found: Array, threshold: float, same: Array, alike: Array, apart: Array) -> None:
    """Join pairs of this Jaccard, unless they are apart."""
    for k in range(len(pairs)):
        one, other = pairs[k] >> 32, pairs[k] & 0xFFFFFFFF
        if found[k] >= threshold and apart[one] == apart[other]:
            join(same, one, other)
            join(alike, one, other)


@compiled
def join_alike(pairs: Array, found: Array, threshold: float, alike: Array) -> None:
    """Join pairs of this Jaccard."""
    for k in range(len(pairs)):
        if found[k] >= threshold:
            join(alike, pairs[k] >> 32, pairs[k] & 0xFFFFFFFF)


@compiled
def sort_buckets(keys: Array, order: Array) -> None:
    """Let the members of each key ascend; `order` lists rows by ascending key."""
    begin = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or keys[order[at]] != keys[order[begin]]:
            if at - begin > 1:
                order[begin:at].sort()
            begin = at


@compiled
def bucket_pairs(
    keys: Array,
    order: Array,
    groups: Array,
    apart: Array,
    theirs: Array,
    tied: bool,
    neighbours: int,
    begin: int,
    own: int,
    at: int,
    pairs: Array,
) -> tuple[int, int, int, int]:
    """Fill `pairs` with (one << 32 | other) of each bucket: each member with the first ones and the next so many.

    A bucket has one key and one group, and unless `tied` one value of `apart`; the rows that `order` lists come by
    these. `begin`, `own` and `at` say where in `order` to go on: where the bucket starts, and in it the members that
    are not apart, and whose turn it is; returned are these for the next call (at the end: the length), and how many
    pairs were written. Two of `theirs` are no pair.
    """
    count = 0
    while at < len(order):
        if count + neighbours + 2 > len(pairs):
            break
        member = order[at]
        first = order[begin]
        if keys[first] != keys[member] or groups[first] != groups[member]:
            begin = own = at
        elif apart[order[own]] != apart[member]:
            own = at
            if not tied:
                begin = at
        for start in (begin, own):
            if at - start > neighbours and not (theirs[order[start]] and theirs[member]):
                pairs[count] = order[start] << 32 | member
                count += 1
            if begin == own:
                break
        to = at + 1
        while to < len(order) and to - at <= neighbours:
            other = order[to]
            if keys[other] != keys[member] or groups[other] != groups[member]:
                break
            if not tied and apart[other] != apart[member]:
                break
            if not (theirs[other] and theirs[member]):
                pairs[count] = member << 32 | other
                count += 1
            to += 1
        at += 1
    return begin, own, at, count
