"""The pack plan of one source: which tokens of its store make up which pack, and the ledger that says so.

Planned in windows of a billion tokens, so that memory follows the window and not the corpus (430 MiB from 50M to 242M
tokens), and at most one pack a window is not full. The plan lies on disk as three flat files that all
outputs read, mapped; the ledger beside it names each document's row, pack and place, or why it has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from synthkit.train.copies import Copies
from synthkit.train.ledger import Ledger, ledger_schema
from synthkit.train.pack import pack
from synthkit.train.store import TokenStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

WINDOW = 1 << 30
"""Tokens that are packed together."""
SPLITS = ("train", "valid")
BEYOND = "beyond the budget"
_FILES = {"starts": "int64", "lengths": "int32", "counts": "int32"}


class Packs(NamedTuple):
    """The packs of one source and split, mapped from disk."""

    starts: NDArray[np.int64]
    """Where each document lies in the source's tokens, pack by pack."""
    lengths: NDArray[np.int32]
    """Its tokens, end of document included."""
    first: NDArray[np.int64]
    """Where each pack begins in `starts`, and the end."""

    def __len__(self) -> int:
        """The number of packs."""
        return len(self.first) - 1


@dataclass
class Split:
    """What a split of a source came to."""

    packs: int = 0
    tokens: int = 0
    documents: int = 0

    def fill(self, sequence: int) -> float:
        """Part of its packs that is not padding."""
        return self.tokens / (self.packs * sequence) if self.packs else 0.0


class SourcePlan:
    """One source's plan on disk."""

    def __init__(self, folder: Path, ledger: Path, name: str) -> None:
        """`folder` keeps the flat files, `ledger` the Parquet files that `trace` reads."""
        self.folder = folder
        self.ledger = ledger / f"{name}.parquet"
        self.name = name
        self.splits = {split: Split() for split in SPLITS}
        self.aside: dict[str, int] = {}

    def make(self, store: TokenStore, wanted: int, sequence: int, copies: Copies | None) -> None:
        """Pack the documents of the store up to `wanted` tokens to train on; `copies` go into the ledger."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {(split, name): self._file(split, name).open("wb") for split in SPLITS for name in _FILES}
        try:
            with Ledger(self.ledger, self.name, copies) as ledger:
                for window, start in _windows(store, wanted):
                    ledger.write(self._window(window, start, sequence, files))
        finally:
            for file in files.values():
                file.close()

    def _window(self, window: pa.Table, start: int, sequence: int, files: Mapping[Any, IO[bytes]]) -> pa.Table:
        """Pack one window; the ledger's lines of it."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        kept = pc.is_null(window["stored_aside"]).to_numpy(zero_copy_only=False)
        used = pc.is_null(window["aside"]).to_numpy(zero_copy_only=False)
        lengths = window["tokens"].to_numpy()
        stored = np.where(kept, lengths, 0).astype(np.int64)
        starts = start + np.cumsum(stored) - stored
        valid = window["valid"].to_numpy(zero_copy_only=False)
        numbers = np.full(len(lengths), -1, dtype=np.int64)
        places = np.zeros(len(lengths), dtype=np.int64)
        for split in SPLITS:
            members = np.flatnonzero(used & (valid == (split == "valid")))
            plan = pack(lengths[members].astype(np.int64), sequence)
            order = members[plan.order]
            counts = np.diff(plan.first)
            taken = lengths[order].astype(np.int64)
            within = np.cumsum(taken) - taken
            numbers[order] = np.repeat(np.arange(len(plan)), counts) + self.splits[split].packs
            places[order] = within - np.repeat(within[plan.first[:-1]], counts) if len(order) else within
            for name, values in (("starts", starts[order]), ("lengths", taken), ("counts", counts)):
                files[split, name].write(values.astype(_FILES[name]).tobytes())
            total = self.splits[split]
            total.packs += len(plan)
            total.tokens += int(taken.sum())
            total.documents += len(order)
        for reason in window["aside"].drop_null().to_pylist():
            self.aside[reason] = self.aside.get(reason, 0) + 1
        columns = [window["row"], window["piece"], window["tokens"], window["valid"], window["aside"]]
        arrays = [pa.array(numbers, mask=numbers < 0), pa.array(places.astype(np.int32), mask=numbers < 0)]
        return pa.table([*columns, *arrays], schema=ledger_schema())

    def packs(self, split: str) -> Packs:
        """The packs of a split."""
        import numpy as np

        starts, lengths, counts = (self._mapped(split, name, kind) for name, kind in _FILES.items())
        first = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=first[1:])
        return Packs(starts, lengths, first)

    def _file(self, split: str, name: str) -> Path:
        return self.folder / f"{self.name}_{split}.{name}"

    def _mapped(self, split: str, name: str, kind: str) -> NDArray[Any]:
        import numpy as np

        file = self._file(split, name)
        return np.asarray(np.memmap(file, dtype=kind, mode="r")) if file.stat().st_size else np.empty(0, dtype=kind)


def _windows(store: TokenStore, wanted: int) -> Iterator[tuple[pa.Table, int]]:
    """Ledger parts up to the budget, joined into windows, each with where its tokens begin in the store."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    waiting: list[pa.Table] = []
    start = size = trained = 0
    for part in store.parts(wanted):
        kept = pc.is_null(part["aside"]).to_numpy(zero_copy_only=False)
        lengths = np.where(kept, part["tokens"].to_numpy(), 0).astype(np.int64)
        training = np.where(part["valid"].to_numpy(zero_copy_only=False), 0, lengths)
        before = trained + np.cumsum(training) - training
        beyond = kept & (before >= wanted)
        trained += int(training.sum())
        aside = pc.if_else(pa.array(beyond), BEYOND, part["aside"].combine_chunks())
        waiting.append(part.append_column("stored_aside", part["aside"]).set_column(4, "aside", aside))
        size += int(lengths.sum())
        if size >= WINDOW:
            yield pa.concat_tables(waiting), start
            start, size, waiting = start + size, 0, []
    if waiting:
        yield pa.concat_tables(waiting), start
