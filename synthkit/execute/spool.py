"""Rejects of a source or barrier until its table is written: in a file, for there may be as many as rows.

As Python objects 10^6 of them take 1.1 GB; here a few hundred bytes of disk each, and nothing is held.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from synthkit.core.outcome import Reject

_BYTES = 4 << 20
"""Up to here they stay in memory."""


class Spool:
    """Rejects in the order they were appended; it is read when all are there."""

    def __init__(self, directory: Path) -> None:
        """The file has no name and lies in `directory`: /tmp may be memory."""
        self._file = SpooledTemporaryFile(max_size=_BYTES, dir=str(directory))  # noqa: SIM115 - closed when it is collected
        self._count = 0

    def append(self, reject: Reject) -> None:
        """Keep one."""
        pickle.dump(reject, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def __iter__(self) -> Iterator[Reject]:
        """Every one, from the first."""
        self._file.seek(0)
        for _ in range(self._count):
            yield pickle.load(self._file)
        self._file.seek(0, 2)
