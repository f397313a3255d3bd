"""What a source gives: batches of documents in Arrow, and where reading goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 8 << 20
"""Text of one batch, about."""
BATCH_ROWS = 1024
"""Rows of one batch, at most."""
Cursor = Mapping[str, Any]
"""Where reading goes on; plain values."""


@dataclass
class Batch:
    """Rows of a source, one after another."""

    rows: list[str]
    """What each row is called: its id, or `file:line`."""
    texts: pa.LargeStringArray
    spans: pa.ListArray | None
    """Role spans `{role, start, end}` in characters."""
    cursor: Cursor
    """Where the next batch begins."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Rows that cannot be read, and why."""
    values: list[dict[str, Any]] = field(default_factory=list)
    """The rows as plain values, of a source of messages."""
    together: list[str] = field(default_factory=list)
    """By what each row is held out; empty where that is the row itself."""

    @property
    def held_by(self) -> list[str]:
        """By what each row is held out."""
        return self.together or self.rows


class Source(Protocol):
    """What documents are read from."""

    name: str
    identity: Mapping[str, Any]
    """What the manifest says of it."""
    stamp: str
    """Changes where its documents may have changed."""

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches from there on; `{}` is the beginning."""
        ...

    def size(self) -> int | None:
        """Rows, about, without reading them all; None where that cannot be told."""
        ...

    def roles(self) -> set[str]:
        """Roles of its spans: all of a table's, those of the first documents of files."""
        ...


def rows_of(mean: float) -> int:
    """Rows of a batch whose texts have that many bytes on average."""
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(mean, 1))))


class Missing(Exception):
    """Something that a source's key names and that is not there."""

    def __init__(self, message: str, key: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint
