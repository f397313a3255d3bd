"""Benchmarks as an index that texts are looked up in: shared runs of words, and near copies.

A run of `ngram` words that a text shares with a benchmark row is a leak whatever stands around it (13 in GPT-3, arXiv
2005.14165, appendix C). A text that says the same with a word changed here and there shares no such run, so MinHash
finds near copies, which exact Jaccard verifies. Runs and bands are 64-bit hashes in sorted arrays: 4 KB a benchmark
row of 60 words, texts included. 12,000 such rows are indexed in 0.8 s, a text of 1,000 words is looked up in 0.65 ms.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from numpy import uint32, uint64
    from numpy.typing import NDArray

    from synthkit.actions.near.sketcher import Sketches

_SHORTEST = 8
"""A benchmark row of fewer words than a run is looked for whole, unless it has fewer than this."""
_BASE = 0x9E3779B97F4A7C15
_BUCKET = 64
"""Most items looked at of those that share a band."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text of a benchmark."""

    file: str
    place: str
    """`file:line`, as `read` names records."""
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """What a text has in common with a benchmark."""

    item: Item
    how: str
    """`run` of words, or near `copy`."""
    share: float
    """Of a run: part of the item's runs that the text has; of a copy: Jaccard of the shingles."""
    shared: str
    """Of a run: the first that is shared, in folded case without punctuation; empty for a copy."""


@dataclass(frozen=True, slots=True)
class _Hashes:
    """Sorted hashes (of runs of one length, or of bands of signatures), and the item that each is of."""

    keys: NDArray[uint64]
    owner: NDArray[uint32]


class Benchmarks:
    """Texts of benchmarks; `match` says which of them another text repeats."""

    def __init__(self, items: Iterable[Item], *, ngram: int, common: int, words: int, threshold: float) -> None:
        """Index the items; runs that more than `common` of them have are a form and no evidence."""
        from synthkit.actions.near.bands import bands
        from synthkit.actions.near.sketcher import Shingling, Sketcher

        self.items = tuple(items)
        self._threshold = threshold
        self._sketcher = Sketcher(Shingling(words))
        self._band = bands(threshold)
        said = [self._sketcher.marks(item.text) for item in self.items]
        made = self._sketched([item.text for item in self.items])
        self._flat, self._bounds = made.flat, made.bounds.tolist()
        self._largest = max((end - first for first, end in pairwise(self._bounds)), default=0)
        self._bands = self._banded(said, made)
        self._runs, self._sizes = _indexed(said, ngram, common)

    def warm(self) -> None:
        """Compile what `match` calls, or load it: up to 12 s the first time on a machine."""
        for item in self.items[:1]:
            self._run(item.text, self._sketcher.marks(item.text))
            self._copy(item.text)

    def match(self, text: str) -> Match | None:
        """The item that the text shares most runs with, else the one it is most like; None where it repeats none."""
        marks = self._sketcher.marks(text)
        return self._run(text, marks) or (self._copy(text) if len(marks) else None)

    def _run(self, text: str, marks: NDArray[uint64]) -> Match | None:
        import numpy as np

        from synthkit.actions.near.words import words

        found: Counter[int] = Counter()
        first: dict[int, tuple[int, int]] = {}
        for length, runs in self._runs.items():
            keys = _hashed(marks, length)
            if not len(keys):
                continue
            at = np.minimum(np.searchsorted(runs.keys, keys), len(runs.keys) - 1)
            hits = np.flatnonzero(runs.keys[at] == keys)
            fresh = np.unique(keys[hits], return_index=True)[1]
            for hit in hits[np.sort(fresh)].tolist():
                owner = int(runs.owner[at[hit]])
                found[owner] += 1
                first.setdefault(owner, (hit, hit + length))
        if not found:
            return None
        owner = max(found, key=lambda each: (found[each] / self._sizes[each], -each))
        shared = words(text)[slice(*first[owner])]
        return Match(self.items[owner], "run", found[owner] / self._sizes[owner], _written(shared))

    def _copy(self, text: str) -> Match | None:
        from synthkit.actions.near.sets import jaccard

        made = self._sketched([text])
        if self._threshold * len(made.flat) > self._largest:  # even the longest would be too small a part of it
            return None
        near = sorted(self._near(made.signatures))
        likeness = {row: jaccard(made.flat, self._flat[self._bounds[row] : self._bounds[row + 1]]) for row in near}
        best = max(likeness, key=lambda row: (likeness[row], -row), default=None)
        if best is None or likeness[best] < self._threshold:
            return None
        return Match(self.items[best], "copy", likeness[best], "")

    def _near(self, signature: NDArray[uint32]) -> set[int]:
        import numpy as np

        keys = self._keys(signature).ravel()
        begin, end = (np.searchsorted(self._bands.keys, keys, side=side) for side in ("left", "right"))
        return {
            row
            for first, last in zip(begin.tolist(), end.tolist(), strict=True)
            for row in self._bands.owner[first : min(last, first + _BUCKET)].tolist()
        }

    def _sketched(self, texts: Sequence[str]) -> Sketches:
        import pyarrow as pa

        return self._sketcher.sketch(pa.array(texts, pa.large_string()))

    def _banded(self, said: Sequence[NDArray[uint64]], made: Sketches) -> _Hashes:
        """The bands of all items that have words, and whose they are."""
        import numpy as np

        rows = np.array([row for row, marks in enumerate(said) if len(marks)], dtype=np.uint32)
        keys = self._keys(made.signatures[rows])
        order = np.argsort(keys, axis=None, kind="stable")
        return _Hashes(keys.ravel()[order], np.tile(rows, len(keys))[order])

    def _keys(self, signatures: NDArray[uint32]) -> NDArray[uint64]:
        """A hash of each band (a row) of each signature (a column)."""
        import numpy as np

        from synthkit.actions.near.signatures import band_keys

        keys = np.empty((self._band[0], len(signatures)), dtype=np.uint64)
        band_keys(signatures, *self._band, keys)
        return keys


def read(files: Mapping[str, Path], fields: Sequence[str]) -> Iterator[Item]:
    """Texts of the fields (dots go inside) of every record; all text of a list or an object is one each.

    A record that cannot be read ends it with a SpecError, and so does a file that has none of the fields: a benchmark
    that is only half there would let the other half through.
    """
    from synthkit.actions.records import Unreadable, records

    roots = frozenset(field.partition(".")[0] for field in fields)
    for name, path in files.items():
        known: set[str] = set()
        found = False
        for record in records(path, name, roots):
            if isinstance(record.fields, Unreadable):
                wrong = record.fields
                raise SpecError(Problem(f"the benchmark {record.place} is {wrong.reason}: {wrong.error}"))
            known |= record.fields.keys()
            for field in fields:
                for text in _texts(record.fields, field.split(".")):
                    found = True
                    yield Item(name, record.place, field, text)
        if not found:
            has = f"its records have: {', '.join(sorted(known))}" if known else "it has no records with one of them"
            raise SpecError(Problem(f"the benchmark {name} has no text in {' or '.join(fields)}", help=has))


def _texts(value: Any, path: Sequence[str]) -> Iterator[str]:
    """All texts that are not blank at a path."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, path)
    elif path:
        if isinstance(value, Mapping) and path[0] in value:
            yield from _texts(value[path[0]], path[1:])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item, ())
    elif isinstance(value, str) and value.strip():
        yield value


def _indexed(said: Sequence[NDArray[uint64]], ngram: int, common: int) -> tuple[dict[int, _Hashes], list[int]]:
    """Runs by length, the longest first, and how many each item has."""
    import numpy as np

    sizes = [0] * len(said)
    by_length: defaultdict[int, list[tuple[NDArray[uint64], int]]] = defaultdict(list)
    for row, marks in enumerate(said):
        length = min(ngram, len(marks))
        if length == ngram or length >= _SHORTEST:
            keys = np.unique(_hashed(marks, length))
            sizes[row] = len(keys)
            by_length[length].append((keys, row))
    found = {}
    for length, each in sorted(by_length.items(), reverse=True):
        keys = np.concatenate([keys for keys, _ in each])
        owners = np.repeat(np.array([row for _, row in each], dtype=np.uint32), [len(keys) for keys, _ in each])
        distinct, at, counts = np.unique(keys, return_index=True, return_counts=True)
        rare = counts <= common
        if rare.any():
            found[length] = _Hashes(distinct[rare], owners[at][rare])
    return found, sizes


def _written(words: Sequence[str]) -> str:
    """Words as one would write them: no spaces within Chinese."""
    import re

    from synthkit.actions.near.characters import CJK

    return re.sub(rf"(?<=[{CJK}]) (?=[{CJK}])", "", " ".join(words))


def _hashed(marks: NDArray[uint64], length: int) -> NDArray[uint64]:
    """The polynomial hash of every run of that many words, modulo 2^64."""
    import numpy as np

    count = len(marks) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    found = np.zeros(count, dtype=np.uint64)
    for at in range(length):
        found = found * np.uint64(_BASE) + marks[at : at + count]
    return found
