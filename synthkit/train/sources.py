"""Documents of a source, a batch of Arrow at a time, from wherever an earlier export stopped.

A published table is read at one version, a file in one order, so that document `n` of a source is the same document
each time. Files are read in the order of a hash of their names: a budget that needs a tenth of a corpus takes a tenth
of its files and not the oldest ones. What cannot be read comes out with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synthkit.core.errors import Problem, SpecError, StoreError
from synthkit.core.ids import digest
from synthkit.core.names import nearest
from synthkit.core.registry import open_store
from synthkit.train.recipe import Recipe, SourceKeys

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

BATCH_BYTES = 4 << 20
"""Text of one batch, about."""
_BATCH_ROWS = 1024
_LINES = 4 << 20
"""Bytes of a file by which its lines are guessed."""

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

    def row(self, row: str) -> dict[str, Any] | None:
        """A row by what it is called; None where it is there no more."""
        ...


def open_sources(recipe: Recipe) -> dict[str, Source]:
    """Every source, opened; SpecError with all that are not there."""
    found: dict[str, Source] = {}
    problems: list[Problem] = []
    for name, keys in recipe.keys.sources.items():
        site = recipe.site.at("sources", name)
        try:
            source: Source = FileSource(name, keys, recipe.keys.seed) if keys.run is None else TableSource(name, keys)
            found[name] = source
        except _Missing as error:
            problems.append(site.problem(str(error), error.key, help=error.hint))
        except (SpecError, StoreError) as error:
            first = error.problems[0] if isinstance(error, SpecError) else Problem(str(error))
            problems.append(site.problem(first.message, "run" if keys.run is not None else "path", help=first.help))
    if not problems and recipe.masked:
        problems.extend(_roles(found, recipe))
    if problems:
        raise SpecError(problems)
    return found


class _Missing(Exception):
    """Something that a source's key names and that is not there."""

    def __init__(self, message: str, key: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.hint = hint


def _roles(sources: Mapping[str, Source], recipe: Recipe) -> Iterator[Problem]:
    """Roles of `loss` that no document has; a misspelt one would leave everything as it is."""
    known: set[str] = set()
    for source in sources.values():
        known |= source.roles()
    for role in recipe.keys.loss:
        if role != "all" and role not in known:
            hint = nearest(role, sorted(known), "roles of the sources")
            yield recipe.site.problem(f"no document has the role {role!r}", "loss", role, key=True, help=hint)


class TableSource:
    """A published table of a run, at the version that its tag names."""

    def __init__(self, name: str, keys: SourceKeys) -> None:
        """Open it; raises where run, tag, table or column is not there."""
        self.name = name
        run, _, tag = str(keys.run).partition("@")
        below = Path("runs") / run
        path = below if below.exists() else Path(run)
        self.store = open_store()(path, write=False)
        self.table = str(keys.table)
        self.tag = tag or None
        try:
            self.types = self.store.published_types(self.table, self.tag)
        except StoreError as error:
            if self.table in self.store.published_names():
                raise
            known = self.store.published_names()
            raise _Missing(
                f"run {run!r} publishes no table {self.table!r}", "table", nearest(self.table, known, "tables")
            ) from error
        self.column = keys.messages or keys.text
        wanted = [self.column, *([keys.tools] if keys.tools else [])]
        for each, key in zip(wanted, ("messages" if keys.messages else "text", "tools"), strict=False):
            if each not in self.types:
                raise _Missing(
                    f"table {self.table!r} has no column {each!r}", key, nearest(each, self.types, "columns")
                )
        self.tools = keys.tools
        self.chat = keys.messages is not None
        self.version = self.store.published_version(self.table, self.tag)
        self.frame: pl.LazyFrame = self.store.published(self.table, self.tag)
        state = self.store.state
        self.identity = {
            "run": str(path),
            "tag": self.tag,
            "table": self.table,
            "column": self.column,
            "lance_version": self.version,
            "begun": state.get("created"),
            "spec": state.get("name"),
            "spec_hash": digest(state.get("spec_text") or ""),
            "fingerprint": self._fingerprint(state),
        }
        self.stamp = digest(self.identity)

    def _fingerprint(self, state: Mapping[str, Any]) -> str | None:
        node = dict(state.get("published_from") or {}).get(self.table)
        layout = self.store.layouts.get(node) if node else None
        return layout.fingerprint if layout else None

    def batches(self, cursor: Cursor) -> Iterator[Batch]:
        """Rows in the order in which they were published."""
        import pyarrow as pa

        at = int(cursor.get("row", 0))
        names = ["_id", self.column, *(["spans"] if "spans" in self.types and not self.chat else [])]
        if self.tools:
            names.append(self.tools)
        frame = self.frame.select(names).slice(at)
        for part in frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            table = part.to_arrow()
            rows = table.column("_id").to_pylist()
            at += len(rows)
            if self.chat:
                yield Batch(rows, pa.array([], pa.large_string()), None, {"row": at}, values=self._values(table))
                continue
            text = table.column(self.column).cast(pa.large_string()).combine_chunks().fill_null("")
            spans = table.column("spans").combine_chunks() if "spans" in names else None
            yield Batch(rows, text, spans, {"row": at})

    def _values(self, table: pa.Table) -> list[dict[str, Any]]:
        from synthkit.core.types.arrow import decode

        names = {"messages": self.column, **({"tools": self.tools} if self.tools else {})}
        types = {column: self.types[column] for column in names.values()}
        return [{key: row[column] for key, column in names.items()} for row in decode(table, types)]

    def size(self) -> int | None:
        """Rows of the table."""
        import polars as pl

        return int(self.frame.select(pl.len()).collect().item())

    def roles(self) -> set[str]:
        """All of the table's."""
        import polars as pl

        if self.chat or "spans" not in self.types:
            return set()
        spans = pl.col("spans").explode(empty_as_null=False, keep_nulls=False)
        found = self.frame.select(spans.struct.field("role").unique()).collect().to_series()
        return {each for each in found.to_list() if each}

    def row(self, row: str) -> dict[str, Any] | None:
        """The published row of that id."""
        import polars as pl

        found = self.frame.filter(pl.col("_id") == row).collect()
        return found.to_dicts()[0] if found.height else None


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
        self.identity = {
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
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups, columns=columns):
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
            if waiting.bytes >= BATCH_BYTES or len(waiting.rows) + len(waiting.broken) >= _BATCH_ROWS:
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

    def row(self, row: str) -> dict[str, Any] | None:
        """The record called `file:line`."""
        from synthkit.actions.records import Unreadable, records

        for place, file in self.files:
            if row.startswith(place):
                for record in records(file, place, frozenset({self.column, "spans"})):
                    if record.place == row:
                        return None if isinstance(record.fields, Unreadable) else dict(record.fields)
        return None


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
            try:
                self.bytes += len(value.encode())
            except UnicodeEncodeError:
                self.broken.append((place, "half of a surrogate pair"))
                return
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


def span_lists(spans: pa.ListArray | None, count: int) -> Sequence[Any]:
    """Each row's spans as plain values; empty where there are none."""
    return [each or [] for each in spans.to_pylist()] if spans is not None else [()] * count
