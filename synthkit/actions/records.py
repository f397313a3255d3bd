"""Records of data files, one after another: JSON lines, JSON, CSV, Parquet, Lance and text, compressed or not.

A record is (place, fields) or (place, Unreadable): what cannot be read is handed on like what can, because one broken
line must not cost the file. Line formats hold one line in memory, Parquet and Lance one batch, `.json` the whole file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_READ_AHEAD = 16 << 20
"""Bytes that Lance may read ahead; its default of 2 GiB holds a whole table of that size in memory."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is none."""

    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record and where it stands, `file:line`."""

    place: str
    fields: Mapping[str, Any] | Unreadable
    cells: bool = False
    """Whether the values are cells of text, to be read by the column's type."""


def form(path: str | Path) -> str:
    """The format by the name: `jsonl`, `json`, `csv`, `tsv`, `parquet`, `lance`, `text`; empty where unknown."""
    suffixes = Path(path).suffixes
    if suffixes and suffixes[-1].lower() in _COMPRESSED:
        suffixes.pop()
    return _FORMS.get(suffixes[-1].lower() if suffixes else "", "")


def records(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """The records of a file called `place`, in order; an error in mid-file (a cut archive) is its last record."""
    last = place
    try:
        for record in _READERS[form(path)](path, place, columns):
            last = record.place
            yield record
    except (OSError, EOFError, ValueError) as error:  # Arrow's errors are OSError or ValueError
        what = f"{type(error).__name__}: {error}"
        yield Record(place, Unreadable("unreadable file", f"{what} (after {last})"))
    except csv.Error as error:
        yield Record(place, Unreadable("unreadable file", f"{error} (after {last})"))


def _open(path: Path) -> IO[bytes]:
    """The uncompressed bytes of a file, as a stream."""
    import pyarrow as pa

    kind = _COMPRESSED.get(path.suffix.lower())
    stream: IO[bytes] = io.BufferedReader(pa.input_stream(str(path), compression=kind))
    return stream


def _jsonl(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """One object a line; blank lines are none."""
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield Record(f"{place}:{number}", _object(line))


def _object(line: bytes) -> Mapping[str, Any] | Unreadable:
    """A JSON object, or why the bytes are none."""
    import orjson

    try:
        line.decode()
        fields = orjson.loads(line)
    except UnicodeDecodeError as error:
        return Unreadable("invalid UTF-8", str(error))
    except orjson.JSONDecodeError as error:
        return Unreadable("broken JSON", str(error))
    if not isinstance(fields, dict):
        return Unreadable("not an object", f"a line must hold a JSON object, not a {type(fields).__name__}")
    return fields


def _json(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """A list of objects, or one object; records by name are told by having none of the columns themselves."""
    import orjson

    with _open(path) as stream:
        content = stream.read()
    try:
        loaded = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        yield Record(place, Unreadable("broken JSON", str(error)))
        return
    if isinstance(loaded, dict) and loaded and not loaded.keys() & columns:
        found = {name: each for name, each in loaded.items() if isinstance(each, dict)}
        if len(found) == len(loaded):
            for name, fields in found.items():
                yield Record(f"{place}[{name!r}]", {"id": name, **fields})
            return
    for number, fields in enumerate(loaded if isinstance(loaded, list) else [loaded]):
        where = f"{place}[{number}]"
        if isinstance(fields, dict):
            yield Record(where, fields)
        else:
            wrong = f"an item must be a JSON object, not a {type(fields).__name__}"
            yield Record(where, Unreadable("not an object", wrong))


def _csv(path: Path, place: str, columns: frozenset[str], delimiter: str = ",") -> Iterator[Record]:
    """A header line, then one record a row; cells are text. A quote that is never closed takes the rest of the file."""
    with _open(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as stream:
        csv.field_size_limit(2**31 - 1)  # the interpreter's default cuts documents at 128 KiB
        rows = csv.reader(stream, delimiter=delimiter, strict=True)
        header = next(rows, [])
        while True:
            begins = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                broken = Unreadable("broken row", f"{error}, in the row that begins in line {begins}")
                yield Record(f"{place}:{rows.line_num}", broken, cells=True)
                continue
            if cells:
                yield Record(f"{place}:{rows.line_num}", _cells(header, cells), cells=True)


def _cells(header: list[str], cells: list[str]) -> Mapping[str, Any] | Unreadable:
    """A row of a table of text."""
    if len(cells) != len(header):
        return Unreadable("broken row", f"{len(cells)} cells under {len(header)} column names")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError as error:  # a byte that is no UTF-8 was read as a lone surrogate
        return Unreadable("invalid UTF-8", str(error))
    return dict(zip(header, cells, strict=True))


def _parquet(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """The wanted columns of each row."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        wanted = [name for name in file.schema_arrow.names if name in columns]
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=wanted):
            for fields in batch.to_pylist():
                number += 1
                yield Record(f"{place}:{number}", fields)


def _lance(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """The wanted columns of each row of a Lance dataset."""
    import lance

    dataset = lance.dataset(str(path))
    wanted = [name for name in dataset.schema.names if name in columns]
    number = 0
    for batch in dataset.to_batches(columns=wanted, batch_size=1024, batch_readahead=2, io_buffer_size=_READ_AHEAD):
        for fields in batch.to_pylist():
            number += 1
            yield Record(f"{place}:{number}", fields)


def _text(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """The whole file as `text`, and its name as `path`."""
    with _open(path) as stream:
        content = stream.read()
    try:
        yield Record(place, {"text": content.decode("utf-8-sig"), "path": place})
    except UnicodeDecodeError as error:
        yield Record(place, Unreadable("invalid UTF-8", str(error)))


def _tsv(path: Path, place: str, columns: frozenset[str]) -> Iterator[Record]:
    """CSV with tabs."""
    return _csv(path, place, columns, "\t")


_READERS: dict[str, Callable[[Path, str, frozenset[str]], Iterator[Record]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": _tsv,
    "parquet": _parquet,
    "lance": _lance,
    "text": _text,
}
_FORMS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".traj": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".lance": "lance",
    ".txt": "text",
    ".md": "text",
}
