"""Every row of every source, read once and numbered, for `dedup`: the order that says which of two rows is kept.

A row's number is its rank by source, as the recipe lists them, and within one by id: of files by name and place. So
the smallest number of a set is the row that stays, in whatever order rows were read. Names wait on disk; in memory a
row takes 32 bytes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.train.batch import Batch, Source
from synthkit.train.file_source import FileSource
from synthkit.train.said import said

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_NAMES = 1 << 16
"""Names of one batch on disk."""


class Numbered:
    """The rows of some sources by number, each with the place that `looked_up` gave its text."""

    def __init__(
        self, sources: Mapping[str, Source], folder: Path, looked_up: Callable[[pa.Array], NDArray[Any]], say: Any
    ) -> None:
        """Read all sources; `looked_up` takes a large_string array and gives a row for each text."""
        import numpy as np

        self.sources = list(sources)
        self._names = {name: _Names(folder / f"{name}.rows") for name in sources}
        keys: list[NDArray[np.uint64]] = []
        found: list[NDArray[Any]] = []
        sizes = []
        for name, source in sources.items():
            say(f"{name}: reading for dedup")
            rank = _rank(source)
            with self._names[name] as names:
                count = 0
                for batch in source.batches({}):
                    if batch.rows:
                        keys.append(rank(batch, count))
                        found.append(looked_up(_texts(batch)))
                        names.add(batch.rows)
                        count += len(batch.rows)
            sizes.append(count)
        self.begins = np.array([0, *accumulate(sizes)], dtype=np.int64)
        """Where each source begins in the order of reading, and the end."""
        every = np.concatenate([np.empty((0, 2), dtype=np.uint64), *keys])
        of = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        self.order = np.lexsort((every[:, 1], every[:, 0], of))
        """The row of each number, counted as they were read."""
        self.found = np.concatenate(found)[self.order] if found else np.empty(0, dtype=np.int64)
        """By number, what `looked_up` gave."""

    def __len__(self) -> int:
        """All rows."""
        return len(self.order)

    def names(self, rows: NDArray[np.int64]) -> tuple[pa.Array, NDArray[np.int64]]:
        """What rows (as they were read) are called, and the number of the source of each."""
        import numpy as np
        import pyarrow as pa

        of = np.searchsorted(self.begins, rows, side="right") - 1
        found = np.empty(len(rows), dtype=object)
        for at in np.unique(of).tolist():
            mine = np.flatnonzero(of == at)
            found[mine] = self._names[self.sources[at]].take(rows[mine] - self.begins[at])
        return pa.array(found, pa.string()), of

    def close(self) -> None:
        """Remove the names."""
        for each in self._names.values():
            each.path.unlink(missing_ok=True)


def _texts(batch: Batch) -> pa.Array:
    """The text of each row; of a chat all that is said in it."""
    import pyarrow as pa

    if not batch.values:
        return batch.texts
    return pa.array(["\n\n".join(said(each["messages"])) for each in batch.values], pa.large_string())


def _rank(source: Source) -> Callable[[Batch, int], NDArray[np.uint64]]:
    """What two rows of that source are ordered by, [n, 2]."""
    import numpy as np

    if not isinstance(source, FileSource):

        def by_id(batch: Batch, at: int) -> NDArray[np.uint64]:
            packed = bytes.fromhex("".join(batch.rows))
            return np.frombuffer(packed, dtype=">u8").reshape(-1, 2).astype(np.uint64)

        return by_id
    ranks = np.empty(len(source.files), dtype=np.uint64)
    ranks[np.argsort(np.array([place for place, _ in source.files], dtype=object))] = np.arange(len(ranks))

    def by_place(batch: Batch, at: int) -> NDArray[np.uint64]:
        file = int(batch.cursor["file"]) - (not batch.cursor["record"])  # a file that was read to its end: the next
        found = np.empty((len(batch.rows), 2), dtype=np.uint64)
        found[:, 0], found[:, 1] = ranks[file], np.arange(at, at + len(batch.rows))
        return found

    return by_place


class _Names:
    """Names on disk, in Arrow's file format, which is mapped and not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[str] = []

    def __enter__(self) -> _Names:
        import pyarrow as pa

        self._schema = pa.schema([("row", pa.string())])
        self._writer = pa.ipc.new_file(str(self.path), self._schema)
        return self

    def __exit__(self, *_: object) -> None:
        import pyarrow as pa

        self._write(len(self._waiting))
        self._writer.close()
        self._file = pa.ipc.open_file(pa.memory_map(str(self.path)))

    def add(self, names: list[str]) -> None:
        self._waiting += names
        while len(self._waiting) >= _NAMES:
            self._write(_NAMES)

    def _write(self, count: int) -> None:
        import pyarrow as pa

        if count:
            self._writer.write_batch(pa.record_batch([pa.array(self._waiting[:count])], schema=self._schema))
            self._waiting = self._waiting[count:]

    def take(self, at: NDArray[np.int64]) -> list[str]:
        import numpy as np
        import pyarrow as pa

        found = np.empty(len(at), dtype=object)
        of = at // _NAMES
        for number in np.unique(of).tolist():
            mine = np.flatnonzero(of == number)
            names = self._file.get_batch(number).column(0)
            found[mine] = names.take(pa.array(at[mine] - number * _NAMES)).to_pylist()
        return list(found)
