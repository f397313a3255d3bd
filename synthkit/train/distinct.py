"""A source without the rows that are copies: it gives them as left out, with the reason, and counts on.

It stands before everything that reads a source, so tokens, budgets, held-out rows and estimates know nothing of
copies. A row is told by its place among the source's rows, which the cursor carries: 8 bytes a copy in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.ids import digest
from synthkit.train.batch import Batch, Cursor, Source, without
from synthkit.train.copies import FOLDER, REASON, Copies
from synthkit.train.prepare import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def without_copies(prepared: Prepared, out: Path, say: Callable[[str], None]) -> Prepared:
    """The same with sources that leave copies out, where the recipe asks for it; the decision is taken if it must."""
    copies = _copies(prepared, out)
    if copies is None:
        return prepared
    if not copies.known:
        copies.find(say)
    return _applied(prepared, copies)


def as_known(prepared: Prepared, out: Path) -> Prepared:
    """The same as far as an earlier export has decided it; writes and compares nothing."""
    copies = _copies(prepared, out)
    return prepared if copies is None or not copies.known else _applied(prepared, copies)


def _copies(prepared: Prepared, out: Path) -> Copies | None:
    keys = prepared.recipe.keys.dedup
    return None if keys is None else Copies(out / FOLDER, keys, prepared.sources)


def _applied(prepared: Prepared, copies: Copies) -> Prepared:
    sources: dict[str, Source] = {name: Distinct(each, copies.places(name)) for name, each in prepared.sources.items()}
    return replace(prepared, sources=sources, copies=copies)


class Distinct:
    """A source without its copies."""

    def __init__(self, source: Source, copies: NDArray[np.int64]) -> None:
        """`copies` are the places of the rows that are left out, ascending."""
        self.name = source.name
        self.identity: Mapping[str, Any] = source.identity
        self.stamp = digest([source.stamp, blake2b(copies.tobytes(), digest_size=16).hexdigest()])
        self._source = source
        self._copies = copies

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Its batches, copies among what is left out; the cursor's `at` counts rows."""
        at = int(cursor.get("at", 0))
        for batch in self._source.batches(cursor):
            begin, at = at, at + len(batch.rows)
            low, high = self._copies.searchsorted([begin, at]).tolist()
            cut = without(batch, self._copies[low:high] - begin, REASON)
            yield replace(cut, cursor={**batch.cursor, "at": at})

    def size(self) -> int | None:
        """Rows, about, without the copies."""
        rows = self._source.size()
        return None if rows is None else max(0, rows - len(self._copies))

    def roles(self) -> set[str]:
        """Those of the source."""
        return self._source.roles()
