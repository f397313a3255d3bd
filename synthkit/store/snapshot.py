"""A step's finished work when a stage begins: pinned rows, and decisions found by parent.

Parents, input hashes and row positions are numpy arrays of 37 bytes a row: 0.1 s and 4 MB for 10^5 rows, 0.7 s and
37 MB (55 MB while it is built) for 10^6; 500 look-ups take 1.5-2.5 ms, with their rows 3.5-7. Rows are read from the
pinned version, so that what the stage writes meanwhile changes nothing. Where a row stands both among the kept and the
rejected (a run was killed between two commits), its input hash is given as empty: it is computed again, which mends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome
from synthkit.core.store import Done
from synthkit.store.keys import Halves, SortedKeys, pack, pack_array, unpack

if TYPE_CHECKING:
    from synthkit.core.types import Type

_UNVISITED = 10_000
_NONE = "0" * 32


class LanceSnapshot:
    """The finished work of one fingerprint of a step."""

    def __init__(self, pinned: Any, parent: str, adds: Mapping[str, Type], rejected: Any) -> None:
        """`pinned` is a dataset handle or None, `parent` the column with the parent's id, `rejected` an Arrow table."""
        self._pinned = pinned
        self._adds = adds
        self._kept = SortedKeys(*_packed(pinned, parent))
        first = self._kept.first_places()
        self._kept_input = tuple(half[first] for half in _packed(pinned, "_in", optional=True))
        self._kept_visited = np.zeros(len(self._kept), dtype=bool)

        self._rejected = SortedKeys(*pack_array(rejected.column("row")))
        last = self._rejected.last_places()
        self._rejected_input = tuple(half[last] for half in pack_array(rejected.column("input"), optional=True))
        self._outcome = rejected.column("outcome").combine_chunks().dictionary_encode()
        self._reason = rejected.column("reason").combine_chunks().dictionary_encode()
        self._rejected_line = last
        self._rejected_visited = np.zeros(len(self._rejected), dtype=bool)
        both = self._rejected.locate(self._kept.hi, self._kept.lo)
        self._both = int(np.count_nonzero(both >= 0))

    def __len__(self) -> int:
        """Input rows that have an outcome."""
        return len(self._kept) + len(self._rejected) - self._both

    def find(self, rows: Sequence[Id]) -> list[Done | None]:
        """What became of each input row; marks those found as visited."""
        if not rows:
            return []
        hi, lo = pack(rows)
        kept = self._kept.locate(hi, lo)
        rejected = self._rejected.locate(hi, lo)
        self._kept_visited[kept[kept >= 0]] = True
        self._rejected_visited[rejected[rejected >= 0]] = True
        kept_inputs = _inputs(self._kept_input, kept)
        rejected_inputs = _inputs(self._rejected_input, rejected)
        found: list[Done | None] = []
        for index, (at, out) in enumerate(zip(kept.tolist(), rejected.tolist(), strict=True)):
            if at >= 0:
                hashed = "" if out >= 0 else kept_inputs[index]
                found.append(Done(hashed, self._kept.places(at)))
            elif out >= 0:
                line = int(self._rejected_line[out])
                outcome = Outcome(self._outcome[line].as_py())
                found.append(Done(rejected_inputs[index], (), outcome, self._reason[line].as_py()))
            else:
                found.append(None)
        return found

    def take(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Stored records as plain values, `_id` and `_parents` included, in the order asked for."""
        from synthkit.core.types.arrow import decode
        from synthkit.store.source import take

        if not positions:
            return []
        wanted, inverse = np.unique(np.asarray(positions, dtype=np.int64), return_inverse=True)
        table = take(self._pinned, wanted.tolist(), ["_id", "_parents", *self._adds])
        ids, parents = (table.column(name).to_pylist() for name in ("_id", "_parents"))
        values = decode(table.select(list(self._adds)), self._adds) if self._adds else [{} for _ in ids]
        rows = [
            {"_id": row_id, "_parents": of, **columns} for row_id, of, columns in zip(ids, parents, values, strict=True)
        ]
        return [dict(rows[index]) for index in inverse.tolist()]

    def unvisited(self) -> Iterator[list[Id]]:
        """Input rows never looked for, in batches."""
        for keys, visited in ((self._kept, self._kept_visited), (self._rejected, self._rejected_visited)):
            left = np.flatnonzero(~visited)
            if keys is self._rejected and len(left):
                left = left[self._kept.locate(keys.hi[left], keys.lo[left]) < 0]
            for at in range(0, len(left), _UNVISITED):
                some = left[at : at + _UNVISITED]
                yield unpack(keys.hi[some], keys.lo[some])


def _packed(pinned: Any, column: str, *, optional: bool = False) -> tuple[Halves, Halves]:
    from synthkit.store.source import packed

    none = np.empty(0, dtype=np.uint64)
    return packed(pinned, column, optional=optional) if pinned is not None else (none, none)


def _inputs(halves: tuple[Any, ...], at: Any) -> list[Id]:
    """The input hash of each entry found, empty where none was stored; nonsense where `at` is -1."""
    if not len(halves[0]):
        return [""] * len(at)
    safe = np.maximum(at, 0)
    return ["" if text == _NONE else text for text in unpack(halves[0][safe], halves[1][safe])]
