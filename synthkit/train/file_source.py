"""Documents of files: Parquet as it lies there, every other format record by record.

Files are read in the order of a hash of their names: a budget that needs a tenth of a corpus takes a tenth of its files
and not the oldest ones. What cannot be read comes out with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import SpecError
from synthkit.core.ids import digest
from synthkit.core.names import nearest
from synthkit.train.batch import BATCH_BYTES, BATCH_ROWS, Batch, Cursor, readable, rows_of
from synthkit.train.checks import records_have
from synthkit.train.recipe import SourceKeys

if TYPE_CHECKING:
    import pyarrow as pa

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
        self.together = keys.together
        self.chat = keys.messages is not None
        files = Read(path=list(keys.path)).files()
        self.files = in_order(files, seed)
        self.identity: Mapping[str, Any] = {
            "path": list(keys.path),
            "column": self.column,
            "files": len(files),
            "bytes": sum(_size(file) for file in files.values()),
            "hash": listed(files, seed),
        }
        self._check_first()
        records_have(self.files, keys)
        self.stamp = digest([self.identity, [file.stat().st_mtime_ns for _, file in self.files]])

    def _check_first(self) -> None:
        """That the first Parquet file has the columns; one that cannot be read comes out as broken."""
        from pyarrow.parquet import read_schema

        first = next((each for each in self.files if each[0].endswith(".parquet")), None)
        if first is not None and first[1].is_file():
            try:
                schema = read_schema(first[1])
            except (OSError, ValueError):  # what Arrow raises
                return
            self._check(first[0], schema)

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
        """Batches of a Parquet file; one that cannot be read, or not to its end, is broken."""
        import pyarrow as pa

        try:
            yield from self._arrow(at, place, file, skip)
        except (OSError, ValueError):  # what Arrow raises
            none = pa.array([], pa.large_string())
            yield Batch([], none, None, {"file": at, "record": skip}, [(place, "unreadable file")])

    def _arrow(self, at: int, place: str, file: Path, skip: int) -> Iterator[Batch]:
        """A Parquet file as it lies there, by row groups, so that a batch ends where it did before an interruption."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        with ParquetFile(file) as parquet:
            self._check(place, parquet.schema_arrow)
            spanned = "spans" in parquet.schema_arrow.names
            columns = [self.column, *(["spans"] if spanned else []), *([self.together] if self.together else [])]
            size = rows_of(self._mean(parquet))
            number = 0
            for group in range(parquet.num_row_groups):
                whole = parquet.metadata.row_group(group).num_rows
                if number + whole <= skip:
                    number += whole
                    continue
                for batch in parquet.iter_batches(batch_size=size, row_groups=[group], columns=columns):
                    begin = max(0, skip - number)
                    rows = [f"{place}:{line}" for line in range(number + begin + 1, number + batch.num_rows + 1)]
                    number += batch.num_rows
                    if not rows:
                        continue
                    kept = batch.slice(begin)
                    text = kept.column(self.column).cast(pa.large_string())
                    spans = kept.column("spans") if spanned else None
                    held = kept.column(self.together).to_pylist() if self.together else []
                    if held:
                        held = [str(row if value is None else value) for value, row in zip(held, rows, strict=True)]
                    read = Batch(rows, text, spans, {"file": at, "record": number}, together=held)
                    yield readable(read, text, self.column)

    def _check(self, place: str, schema: pa.Schema) -> None:
        """That a Parquet file has the columns, and text in its own."""
        import pyarrow as pa

        for name in filter(None, (self.column, self.tools, self.together)):
            if name not in schema.names:
                raise SpecError(f"{place} has no column {name!r}; {nearest(name, schema.names, 'columns')}")
        kind = schema.field(self.column).type
        if not self.chat and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise SpecError(f"column {self.column!r} of {place} is {kind}, not text")
        if "spans" in schema.names and not self.chat:
            spans = schema.field("spans").type
            fields = spans.value_type.names if _is_list_of_structs(spans) else []
            if not {"role", "start", "end"} <= set(fields):
                raise SpecError(f"column 'spans' of {place} is {spans}, not a list of role, start and end")

    def _mean(self, parquet: Any) -> float:
        """Bytes of a text, on average, as the file's metadata tell."""
        at = parquet.schema_arrow.names.index(self.column)
        found = parquet.metadata
        if not found.num_rows:
            return 1.0
        groups = (found.row_group(group) for group in range(found.num_row_groups))
        size = sum(_column(group, self.column, at).total_uncompressed_size for group in groups)
        return float(size) / int(found.num_rows)

    def _records(self, at: int, place: str, file: Path, skip: int) -> Iterator[Batch]:
        """Batches of any other format, read record by record."""
        from synthkit.actions.records import Unreadable, records

        wanted = frozenset({self.column, "spans", *filter(None, (self.tools, self.together))})
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
            try:
                return sum(int(read_metadata(file).num_rows) for _, file in self.files)
            except (OSError, ValueError):  # a file that cannot be read, as Arrow says it
                return None
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
        self.together: list[str] = []
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
            spans = fields.get("spans")
            if spans is not None and not _are_spans(spans):
                self.broken.append((place, "spans that are not {role, start, end}"))
                return
            self.texts.append(value)
            self.spans.append(spans)
        if self.source.together:
            value = fields.get(self.source.together)
            self.together.append(str(place if value is None else value))
        self.rows.append(place)

    def batch(self, cursor: Cursor) -> Batch:
        """What came so far."""
        import pyarrow as pa

        spans = None
        if any(self.spans):
            kind = pa.list_(pa.struct([("role", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))
            spans = pa.array(self.spans, kind)
        texts = pa.array(self.texts, pa.large_string())
        return Batch(self.rows, texts, spans, cursor, self.broken, self.values, self.together)


def _are_spans(value: Any) -> bool:
    """Whether a record's spans are a list of roles with their places."""
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("role"), str)
        and isinstance(each.get("start"), int)
        and isinstance(each.get("end"), int)
        for each in value
    )


def _is_list_of_structs(kind: Any) -> bool:
    import pyarrow as pa

    return bool((pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_struct(kind.value_type))


def _column(group: Any, name: str, at: int) -> Any:
    """A row group's column by name; nested columns before it shift its place."""
    for number in range(at, group.num_columns):
        if group.column(number).path_in_schema == name:
            return group.column(number)
    return group.column(at)


def in_order(files: Mapping[str, Path], seed: int) -> list[tuple[str, Path]]:
    """Files as they are read: by a hash of their names."""
    return sorted(files.items(), key=lambda each: _rank(seed, each[0]))


def listed(files: Mapping[str, Path], seed: int) -> str:
    """A hash of the names and sizes of files, in the order of reading."""
    return digest([[place, _size(file)] for place, file in in_order(files, seed)])


def _rank(seed: int, name: str) -> tuple[bytes, str]:
    return blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), name


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(each.stat().st_size for each in file.rglob("*") if each.is_file())
    return file.stat().st_size
