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
    """Let the members of each bucket ascend; `order` lists rows by ascending key."""
    begin = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or keys[order[at]] != keys[order[begin]]:
            if at - begin > 1:
                order[begin:at].sort()
            begin = at


@compiled
def bucket_pairs(
    keys: Array, order: Array, begin: int, at: int, neighbours: int, before: int, groups: Array, pairs: Array
) -> tuple[int, int, int]:
    """Fill `pairs` with (first << 32 | second) of each bucket: each member with the first and the next so many.

    `begin` and `at` say where in `order` to go on: a bucket's start and the member whose turn it is; returned are
    these for the next call (at the end: the length), and how many pairs were written.
    """
    count = 0
    while at < len(order):
        if count + neighbours + 1 > len(pairs):
            break
        if keys[order[at]] != keys[order[begin]]:
            begin = at
        member = order[at]
        if at - begin > neighbours and member >= before and groups[order[begin]] == groups[member]:
            pairs[count] = order[begin] << 32 | member
            count += 1
        to = at + 1
        while to < len(order) and to - at <= neighbours and keys[order[to]] == keys[member]:
            if order[to] >= before and groups[order[to]] == groups[member]:
                pairs[count] = member << 32 | order[to]
                count += 1
            to += 1
        at += 1
    return begin, at, count
