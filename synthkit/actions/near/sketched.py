"""Texts with their sketches, kept in Lance and found by content: what a run sketched, no run sketches again.

A table belongs to one shingling and one division into bands, and grows by appends of whole sketches in the order the
texts came, so a kill leaves a table that is shorter. Tables of other runs are read where they lie. On disk a text
takes 690 bytes with 16 bands, and 4 for each shingle; in memory 24 to 48. Sketching runs beside writing, in as many
threads as there are cores. Each run leaves one small fragment at least: 32 of them are merged, in one commit.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.actions.near.bands import PERMUTATIONS
from synthkit.actions.near.sketcher import Shingling, Sketcher, Sketches, buffers, text_hashes
from synthkit.core.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy import int64, uint32, uint64
    from numpy.typing import NDArray

_APPEND = 1 << 15
_SMALL = 32
"""Fragments of fewer than half of `_APPEND` texts that are merged; whole ones are never rewritten."""
_KEEP = timedelta(hours=1)
_PIECE = 4 << 20
"""Bytes of text sketched at once."""
_VERSION = "2.0"
"""Of Lance's format. Signatures are noise: the newer ones' compression takes three times as long to save nothing."""


class Sketched:
    """Sketches by row number: first those of the tables that were there, then those added."""

    def __init__(self, folder: Path, shingling: Shingling, bands: tuple[int, int], beside: Sequence[Path] = ()) -> None:
        """`folder` takes the table; `beside` are folders of other runs, in which a table of the same kind is used."""
        from synthkit.actions.near.places import Places

        name = f"{shingling.name}-{bands[0]}x{bands[1]}.lance"
        self._path = folder / name
        self._bands = bands
        self._sketcher = Sketcher(shingling)
        self._places = Places()
        there = [path for path in (*(each / name for each in beside), self._path) if _begun(path)]
        self._tables: list[Any] = [_opened(path) for path in there]
        for table in self._tables:
            for batch in _batches(table, "hash_0", "hash_1"):
                self._places.add(_pairs(batch, "hash"), again=True)
        self._own = self._tables.pop() if self._path in there else None
        self.added = 0
        """Texts that were sketched anew."""
        self._workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, "synthkit-sketch")
        self._writing = ThreadPoolExecutor(1, "synthkit-sketches")
        self._made: deque[tuple[NDArray[uint64], Future[Sketches]]] = deque()
        self._waiting: list[pa.RecordBatch] = []
        self._written: Future[None] | None = None

    def __enter__(self) -> Sketched:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(cancel_futures=True)
        self._writing.shutdown(cancel_futures=True)

    def add(self, texts: pa.Array) -> NDArray[int64]:
        """The row of each text of a large_string array without nulls; those not known are sketched and kept."""
        import numpy as np
        import pyarrow as pa

        hashes = text_hashes(texts)
        rows, new = self._places.add(hashes)
        if new.any():
            texts, hashes = (texts, hashes) if new.all() else (texts.filter(pa.array(new)), hashes[new])
            self.added += len(texts)
            ends = buffers(texts)[1]
            cuts = np.unique(np.searchsorted(ends, np.arange(ends[0] + _PIECE, ends[-1], _PIECE)))
            for first, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True):
                if first < end:
                    piece = texts.slice(first, end - first)
                    self._made.append((hashes[first:end], self._pool.submit(self._sketcher.sketch, piece)))
            while len(self._made) > 2 * self._workers:
                self._collect()
        return rows

    def finish(self) -> None:
        """Wait until every sketch is in the table; call it before reading."""
        while self._made:
            self._collect()
        self._write()
        if self._written is not None:
            self._written.result()
        if self._own is not None:
            self._merge(self._own)
            self._tables.append(self._own)
            self._own = None

    def _merge(self, own: Any) -> None:
        """Merge small fragments where there are many; the order of rows stays, and a kill leaves the old ones.

        Versions go before and not after: what other runs are reading now stays until the next time.
        """
        with _readable(self._path):
            sizes = [fragment.count_rows() for fragment in own.get_fragments()]
            if sum(2 * size < _APPEND for size in sizes) >= _SMALL:
                own.cleanup_old_versions(older_than=_KEEP)
                own.optimize.compact_files(target_rows_per_fragment=_APPEND)

    def column(self, name: str) -> NDArray[Any]:
        """A column of numbers (`size`, `band_00`) of all rows: as many bytes as these take."""
        import numpy as np

        parts = [batch.column(name).to_numpy() for table in self._tables for batch in _batches(table, name)]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)

    def content(self) -> NDArray[uint64]:
        """[n, 2]: 128 bits of each row's set of shingles."""
        import numpy as np

        parts = [
            _pairs(batch, "content") for table in self._tables for batch in _batches(table, "content_0", "content_1")
        ]
        return np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.uint64)

    def shingles(self, rows: NDArray[int64]) -> tuple[NDArray[uint32], NDArray[int64]]:
        """Shingles of rows that ascend, flat, and where those of each begin."""
        import numpy as np

        flat, lengths = [np.empty(0, dtype=np.uint32)], [np.zeros(1, dtype=np.int64)]
        first = 0
        for table in self._tables:
            end = first + table.count_rows()
            mine = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
            if len(mine):
                with _readable(Path(table.uri)):
                    taken = table.take(mine, columns=["shingles"]).column("shingles")
                for chunk in taken.chunks:
                    flat.append(chunk.flatten().to_numpy())
                    lengths.append(np.diff(chunk.offsets.to_numpy()).astype(np.int64))
            first = end
        return np.concatenate(flat), np.cumsum(np.concatenate(lengths))

    def _collect(self) -> None:
        hashes, made = self._made.popleft()
        self._waiting.append(self._batch(hashes, made.result()))
        if sum(batch.num_rows for batch in self._waiting) >= _APPEND:
            self._write()

    def _write(self) -> None:
        """Append what waits, when the last append has ended."""
        if self._written is not None:
            self._written.result()
        if self._waiting:
            self._written = self._writing.submit(self._append, self._waiting)
            self._waiting = []

    def _append(self, batches: list[pa.RecordBatch]) -> None:
        import lance
        import pyarrow as pa

        table = pa.Table.from_batches(batches)
        try:
            if self._own is None:
                self._own = lance.write_dataset(table, str(self._path), data_storage_version=_VERSION)
            else:
                self._own = lance.write_dataset(table, self._own, mode="append")
        except OSError as error:
            if "No space left" in str(error):  # Lance gives no errno, and a full disk is told by it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise

    def _batch(self, hashes: NDArray[uint64], made: Sketches) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        from synthkit.actions.near.signatures import band_keys

        keys = np.empty((self._bands[0], len(hashes)), dtype=np.uint64)
        band_keys(made.signatures, *self._bands, keys)
        columns = {
            **{f"hash_{side}": pa.array(hashes[:, side]) for side in (0, 1)},
            **{f"content_{side}": pa.array(made.content[:, side]) for side in (0, 1)},
            "size": pa.array(np.diff(made.bounds).astype(np.uint32)),
            "signature": pa.FixedSizeListArray.from_arrays(made.signatures.reshape(-1), PERMUTATIONS),
            "shingles": pa.ListArray.from_arrays(pa.array(made.bounds.astype(np.int32)), pa.array(made.flat)),
            **{f"band_{band:02}": pa.array(keys[band]) for band in range(self._bands[0])},
        }
        return pa.RecordBatch.from_pydict(columns)


def _begun(path: Path) -> bool:
    """Whether anything was ever committed there."""
    return (path / "_versions").is_dir() and any((path / "_versions").iterdir())


def _opened(path: Path) -> Any:
    import lance

    with _readable(path):
        return lance.dataset(str(path))


def _batches(table: Any, *columns: str) -> Iterator[pa.RecordBatch]:
    """Columns of a table, in the order of its rows."""
    with _readable(Path(table.uri)):
        yield from table.to_batches(columns=list(columns))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Says of a table that is damaged which it is, and what to do."""
    try:
        yield
    except (OSError, ValueError) as error:
        todo = "remove that folder: its texts are sketched again"
        raise StoreError(f"{path} cannot be read ({error}); {todo}") from error


def _pairs(batch: pa.RecordBatch, name: str) -> NDArray[uint64]:
    """Two columns of numbers side by side."""
    import numpy as np

    return np.stack([batch.column(f"{name}_{side}").to_numpy() for side in (0, 1)], axis=1)
