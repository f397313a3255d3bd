"""Published tables: written whole, so that they stand without the run, and only when their rows changed.

Whether they changed is told by an order-free digest of the rows' content (about 5 us a row), kept with the
table. A tag names a version for good: cleaning never takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl
import pyarrow as pa

from synthkit.core.errors import StoreError
from synthkit.core.ids import Id, digest
from synthkit.core.types import parse_type
from synthkit.core.types.arrow import arrow_schema
from synthkit.store.dataset import Dataset, metadata, reader

if TYPE_CHECKING:
    from synthkit.core.types import Type

_BATCH = 1024
_DIGEST = "synthkit.digest"
_TYPES = "synthkit.types"
_STEP = "synthkit.step"


class Published:
    """The published tables of a run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """Tables that were ever published; one whose first writing was killed has no version yet."""
        return sorted(path.parent.stem for path in self.directory.glob("*.lance/_versions"))

    def open(self, table: str) -> Dataset:
        """A table; StoreError says which there are."""
        dataset = Dataset.open(self.directory / f"{table}.lance")
        if dataset is None:
            known = ", ".join(self.names()) or "none"
            raise StoreError(f"{self.directory.parent} has no published table {table!r}; it has {known}")
        return dataset

    def scan(self, table: str, tag: str | None = None) -> pl.LazyFrame:
        """The rows, newest or as tagged."""
        dataset = self.open(table)
        return dataset.scan(self._version(table, dataset, tag))

    def types(self, table: str, tag: str | None = None) -> dict[str, Type]:
        """Column -> declared type, `_id` left out."""
        dataset = self.open(table)
        schema = dataset.handle.checkout_version(self._version(table, dataset, tag)).schema
        declared = orjson.loads(metadata(schema, _TYPES) or "{}")
        return {name: parse_type(text) for name, text in declared.items()}

    def version(self, table: str, tag: str | None = None) -> int:
        """The version number that `scan` would read now."""
        return self._version(table, self.open(table), tag)

    def write(self, table: str, step: str, rows: pl.LazyFrame, types: Mapping[str, Type]) -> int:
        """Write `_id` and the columns of `types`, if they differ from what is there; returns the number of rows."""
        rows = rows.select("_id", *types)
        names = {
            _STEP: step,
            _TYPES: orjson.dumps({name: str(declared) for name, declared in types.items()}).decode(),
        }
        schema = pa.schema([pa.field("_id", pa.string()), *arrow_schema(types)])
        path = self.directory / f"{table}.lance"
        dataset = Dataset.open(path)
        if dataset is None:  # the digest is counted while the rows are written, and committed with them
            content = Content(rows)
            batches = reader(schema, _batches(rows, schema, content))
            Dataset.create_whole(path, schema, batches, lambda: {_DIGEST: content.digest(), **names})
            return content.count
        found, count = content_digest(rows)
        said = {_DIGEST: found, **names}
        there = {key.decode(): value.decode() for key, value in (dataset.schema.metadata or {}).items()}
        if there != said:
            schema = schema.with_metadata(said)
            dataset.overwrite(reader(schema, _batches(rows, schema)), schema)
        return count

    def tag(self, name: str) -> dict[str, int]:
        """Let a tag name the newest version of every table; returns the versions."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", name) or name.endswith(".lock"):
            raise StoreError(f"a tag is made of letters, digits, '.', '-' and '_', as in v1.0; not {name!r}")
        datasets = {table: self.open(table) for table in self.names()}
        taken = [table for table, one in datasets.items() if one.tags().get(name, one.version) != one.version]
        if taken:
            raise StoreError(
                f"tag {name!r} already names another version of {', '.join(taken)}; a tag never moves: choose another"
            )
        for dataset in datasets.values():
            dataset.tag(name)
        return {table: dataset.version for table, dataset in datasets.items()}

    def _version(self, table: str, dataset: Dataset, tag: str | None) -> int:
        if tag is None:
            return dataset.version
        tags = dataset.tags()
        if tag not in tags:
            raise StoreError(
                f"published table {table!r} has no tag {tag!r}; it has {', '.join(sorted(tags)) or 'none'}"
            )
        return tags[tag]


class Content:
    """A digest of rows that does not depend on their order, and their number."""

    def __init__(self, rows: pl.LazyFrame) -> None:
        self.count = 0
        self._names = sorted(rows.collect_schema().names())
        self._total = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Count some rows."""
        texts = frame.select(pl.struct(self._names).struct.json_encode()).to_series()
        for text in texts:
            self._total += int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
        self.count += frame.height

    def digest(self) -> Id:
        """Of all rows so far."""
        return digest([self._names, f"{self._total % (1 << 128):032x}", self.count])


def content_digest(rows: pl.LazyFrame) -> tuple[Id, int]:
    """The digest of all rows, and their number."""
    content = Content(rows)
    for frame in rows.collect_batches(chunk_size=_BATCH):
        content.add(frame)
    return content.digest(), content.count


def _batches(rows: pl.LazyFrame, schema: Any, content: Content | None = None) -> Iterator[Any]:
    for frame in rows.collect_batches(chunk_size=_BATCH, maintain_order=True):
        if content is not None:
            content.add(frame)
        yield from frame.to_arrow().cast(schema).to_batches()


def selected(types: Mapping[str, Type], columns: Sequence[str]) -> dict[str, Type]:
    """The types of some columns, in that order."""
    missing = [name for name in columns if name not in types]
    if missing:
        raise StoreError(f"no type is known for {', '.join(missing)}; known: {', '.join(types) or 'none'}")
    return {name: types[name] for name in columns}
