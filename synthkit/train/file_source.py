"""Documents of files: Parquet as it lies there, every other format record by record.

Files are read in the order of a hash of their names: a budget that needs a tenth of a corpus takes a tenth of its files
and not the oldest ones. What cannot be read comes out with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from synthkit.core.errors import SpecError
from synthkit.core.ids import digest
from synthkit.core.names import nearest
from synthkit.train.batch import BATCH_BYTES, BATCH_ROWS, Batch, Cursor
from synthkit.train.recipe import SourceKeys

_LINES = 4 << 20
"""Bytes of a file by which its lines are guessed."""


class FileSource:
    """Files of records."""

    def __init__(self, name: str, keys: SourceKeys, seed: int) -> None:
        """Find them; SpecError where a pattern matches none or a format is unknown."""
        from synthkit.actions.read import Read

        self.name = name
        self.column = keys.messages or keys.text
        self.tools = keys.tools
        self.chat = keys.messages is not None
        files = Read(path=list(keys.path)).files()
        self.files = sorted(files.items(), key=lambda each: _rank(seed, each[0]))
        self.identity: Mapping[str, Any] = {
            "path": list(keys.path),
            "column": self.column,
            "files": len(files),
            "bytes": sum(_size(file) for file in files.values()),
            "hash": digest([[place, _size(file)] for place, file in self.files]),
        }
        self.stamp = digest([self.identity, [file.stat().st_mtime_ns for _, file in self.files]])

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Records of the files from file number `file`, record number `record` on."""
        from synthkit.actions.records import form

        number, skip = int(cursor.get("file", 0)), int(cursor.get("record", 0))
        for at, (place, file) in enumerate(self.files[number:], number):
            whole = {"file": at + 1, "record": 0}
            arrow = form(place) == "parquet" and not self.chat
            parts = self._parquet(at, place, file, skip) if arrow else self._records(at, place, file, skip)
            last: Batch | None = None
            for part in parts:
                if last is not None:
                    yield last
                last = part
            if last is not None:
                last.cursor = whole
                yield last
            skip = 0

    def _parquet(self, at: int, place: str, file: Path, skip: int) -> Iterator[Batch]:
        """Batches of a Parquet file as they lie there; whole row groups before `skip` are not read."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            if self.column not in names:
                raise SpecError(f"{place} has no column {self.column!r}; {nearest(self.column, names, 'columns')}")
            number = 0
            groups: list[int] = []
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if number + rows <= skip and not groups:
                    number += rows
                else:
                    groups.append(group)
            columns = [self.column, *(["spans"] if "spans" in names else [])]
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=groups, columns=columns):
                begin = max(0, skip - number)
                rows = [f"{place}:{line}" for line in range(number + begin + 1, number + batch.num_rows + 1)]
                number += batch.num_rows
                if not rows:
                    continue
                kept = batch.slice(begin)
                text = kept.column(self.column).cast(pa.large_string()).fill_null("")
                spans = kept.column("spans") if len(columns) > 1 else None
                yield Batch(rows, text, spans, {"file": at, "record": number})

    def _records(self, at: int, place: str, file: Path, skip: int) -> Iterator[Batch]:
        """Batches of any other format, read record by record."""
        from synthkit.actions.records import Unreadable, records

        wanted = frozenset({self.column, "spans", *([self.tools] if self.tools else [])})
        waiting = _Waiting(self)
        number = 0
        for number, record in enumerate(records(file, place, wanted), 1):
            if number <= skip:
                continue
            if isinstance(record.fields, Unreadable):
                waiting.broken.append((record.place, record.fields.reason))
            else:
                waiting.add(record.place, record.fields)
            if waiting.bytes >= BATCH_BYTES or len(waiting.rows) + len(waiting.broken) >= BATCH_ROWS:
                yield waiting.batch({"file": at, "record": number})
                waiting = _Waiting(self)
        if waiting.rows or waiting.broken:
            yield waiting.batch({"file": at, "record": number})

    def size(self) -> int | None:
        """Rows as Parquet's own metadata and the length of the first lines tell them."""
        from pyarrow.parquet import read_metadata

        from synthkit.actions.records import form

        kinds = {form(place) for place, _ in self.files}
        if kinds == {"parquet"}:
            return sum(int(read_metadata(file).num_rows) for _, file in self.files)
        if kinds == {"text"}:
            return len(self.files)
        if not all(place.endswith((".jsonl", ".ndjson")) for place, _ in self.files):
            return None
        with self.files[0][1].open("rb") as stream:
            first = stream.read(_LINES)
        lines = first.count(b"\n")
        return round(sum(_size(file) for _, file in self.files) * lines / len(first)) if lines else len(self.files)

    def roles(self) -> set[str]:
        """Those of the first documents."""
        first = next(self.batches({}), None)
        spans = first.spans.to_pylist() if first is not None and first.spans is not None else []
        return {span["role"] for each in spans for span in each or ()}


class _Waiting:
    """Records on their way into a batch."""

    def __init__(self, source: FileSource) -> None:
        self.source = source
        self.rows: list[str] = []
        self.texts: list[str] = []
        self.spans: list[Any] = []
        self.values: list[dict[str, Any]] = []
        self.broken: list[tuple[str, str]] = []
        self.bytes = 0

    def add(self, place: str, fields: Mapping[str, Any]) -> None:
        """Take a record; one without the column, or with something else in it, is broken."""
        value = fields.get(self.source.column)
        if self.source.chat:
            if not isinstance(value, list):
                self.broken.append((place, f"no messages in {self.source.column!r}"))
                return
            tools = fields.get(self.source.tools) if self.source.tools else None
            self.values.append({"messages": value, **({"tools": tools} if self.source.tools else {})})
            self.bytes += 1000
        elif not isinstance(value, str):
            self.broken.append((place, f"no text in {self.source.column!r}"))
            return
        else:
            self.bytes += len(value.encode())
            self.texts.append(value)
            self.spans.append(fields.get("spans"))
        self.rows.append(place)

    def batch(self, cursor: Cursor) -> Batch:
        """What came so far."""
        import pyarrow as pa

        spans = None
        if any(self.spans):
            kind = pa.list_(pa.struct([("role", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))
            spans = pa.array(self.spans, kind)
        texts = pa.array(self.texts, pa.large_string())
        return Batch(self.rows, texts, spans, cursor, self.broken, self.values)


def _rank(seed: int, name: str) -> tuple[bytes, str]:
    return blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), name


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size
