"""A source's tokens on disk: one file of ids, and a ledger of documents that says how far it is good.

Tokens are appended, then the ledger part that counts them is renamed into place: a `kill -9` leaves tokens that no
ledger counts, and the next export cuts them off and reads on where the last part ended. So an interrupted export
comes to the same bytes. Like Lance's commits this is safe against kills, not against power loss. In memory are one
batch and, of the ledger, one part at a time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PART_TOKENS = 4 << 20
"""Tokens after which a part of the ledger is written."""
PART_ROWS = 1 << 16
"""Or so many documents."""
SCHEMA = pa.schema(
    [
        pa.field("row", pa.string()),  # the row's id, or file:line
        pa.field("piece", pa.int32()),  # of a split row, from 0
        pa.field("tokens", pa.int32()),  # end of document included; 0 where it was never encoded
        pa.field("valid", pa.bool_()),  # held out
        pa.field("aside", pa.string()),  # why it is in no pack; null where it is in one
    ]
)


class Document(NamedTuple):
    """A line of the ledger."""

    row: str
    piece: int
    tokens: int
    valid: bool
    aside: str | None


class Block(NamedTuple):
    """Documents on their way into a store."""

    lines: pa.RecordBatch
    """Of the ledger."""
    ids: list[NDArray[np.int32]]
    """Tokens of those in a pack, one after another."""
    weights: list[NDArray[np.uint8]] | None
    """One for each token, where some are not learned."""


class TokenStore:
    """One source's tokens and ledger, for writing where the last export stopped, and for reading."""

    def __init__(self, folder: Path, key: str, *, masked: bool) -> None:
        """Open it; what another key wrote is removed, and so is a store with fewer tokens than its ledger counts."""
        self.folder = folder
        self.masked = masked
        self.key = key
        mark = folder / "key"
        if not mark.is_file() or mark.read_text() != key or not self._whole():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            mark.write_text(key)
        self.tokens, self.cursor, self.done = 0, {}, False
        self.train_tokens = 0
        self._parts = sorted(folder.glob("*.parquet"))
        if self._parts:
            state = self._state(self._parts[-1])
            self.tokens, self.cursor, self.done = state["tokens"], state["cursor"], state["done"]
            self.train_tokens = state["train_tokens"]
        self._files: list[Any] = []
        self._waiting: list[pa.RecordBatch] = []
        self._pending = 0

    def _whole(self) -> bool:
        """Whether all tokens are there that the ledger counts; a file may have been deleted."""
        parts = sorted(self.folder.glob("*.parquet"))
        tokens = self._state(parts[-1])["tokens"] if parts else 0
        files = [(self.folder / name, width) for name, width in self._widths()]
        return all(not tokens or (file.is_file() and file.stat().st_size >= tokens * width) for file, width in files)

    @staticmethod
    def _state(part: Path) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(pq.read_schema(part).metadata[b"synthkit.state"])
        return state

    def __enter__(self) -> TokenStore:
        """Open the files for writing, cut to what the ledger counts."""
        for name, width in self._widths():
            file = (self.folder / name).open("ab")
            file.truncate(self.tokens * width)
            self._files.append(file)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._files.clear()

    def _widths(self) -> list[tuple[str, int]]:
        return [("tokens.bin", 4), *([("mask.bin", 1)] if self.masked else [])]

    def add(self, block: Block) -> int:
        """Append documents and the tokens of those that are not aside, in that order; the number of tokens."""
        added = sum(map(len, block.ids))
        for part in block.ids:
            part.tofile(self._files[0])
        if self.masked:
            weights = block.weights or []
            assert sum(map(len, weights)) == added, "a masked store has a weight for each token"
            for weight in weights:
                weight.tofile(self._files[1])
        self._waiting.append(block.lines)
        self._pending += added
        return added

    @property
    def full(self) -> bool:
        """Whether enough has come for a part."""
        return self._pending >= PART_TOKENS or sum(map(len, self._waiting)) >= PART_ROWS

    def commit(self, cursor: Any, *, done: bool) -> None:
        """Let what was added count; reading goes on at `cursor`."""
        for file in self._files:
            file.flush()
        self.tokens += self._pending
        table = pa.Table.from_batches(self._waiting, SCHEMA)
        kept = table.filter(pc.is_null(table["aside"]))
        self.train_tokens += pc.sum(kept.filter(pc.invert(kept["valid"]))["tokens"]).as_py() or 0
        self.cursor, self.done = cursor, done
        state = {"tokens": self.tokens, "cursor": cursor, "done": done, "train_tokens": self.train_tokens}
        part = self.folder / f"{len(self._parts):06d}.parquet"
        unfinished = part.with_suffix(".part")
        pq.write_table(
            table.replace_schema_metadata({"synthkit.state": json.dumps(state)}), unfinished, compression="zstd"
        )
        unfinished.replace(part)
        self._parts.append(part)
        self._waiting, self._pending = [], 0

    def parts(self, train_tokens: int | None = None) -> Iterator[pa.Table]:
        """The ledger, a part at a time, up to the first with so many tokens to train on before it and in it."""
        for part in self._parts:
            yield pq.read_table(part)
            if train_tokens is not None and self._state(part)["train_tokens"] >= train_tokens:
                return

    def ids(self) -> NDArray[np.int32]:
        """All tokens, mapped and not read."""
        return self._mapped("tokens.bin", "int32")

    def mask(self) -> NDArray[np.uint8] | None:
        """A weight for each token, mapped; None where all are learned."""
        return self._mapped("mask.bin", "uint8") if self.masked else None

    def _mapped(self, name: str, kind: str) -> NDArray[Any]:
        import numpy as np

        if not self.tokens:
            return np.empty(0, dtype=kind)
        return np.asarray(np.memmap(self.folder / name, dtype=kind, mode="r", shape=(self.tokens,)))
