"""Chats as a dataset: Arrow wants one type a column, so all lines are looked at before the first is written.

A key that only some messages have is None in the others. What has no one type by nature is JSON text, as the trainers
that read such datasets take it: `tools`, and the `arguments` of a call. Two types for anything else are refused with
the chat and the place, and never turned into something else. In memory is one record batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from synthkit.core.errors import SpecError
from synthkit.train.outputs.chat import Lines, picked
from synthkit.train.outputs.datasets import write_split

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = frozenset({"tools", "arguments"})
_BATCH = 16 << 20
"""Bytes of lines of a record batch, about."""
_FILE = 512 << 20
"""Bytes of lines of a file, about."""
Kind = Any
"""`None`, `bool`, `int`, `float`, `str`, [kind] or {key: kind}: what values have in common."""


class _Mixed(Exception):
    """Two types at one place."""


def common(files: Iterable[Path]) -> Kind:
    """The one type of all lines of some files of chats; SpecError where there is none."""
    found: Kind = {}
    for file in files:
        with file.open("rb") as stream:
            for line in stream:
                chat = orjson.loads(line)
                try:
                    found = _joined(found, _kind(_plain(chat), ""), "")
                except _Mixed as error:
                    told = f"chat {chat['id']} of source {chat['source']!r}: {error}, and a column has one type"
                    raise SpecError(f"{told}; the output 'chat' takes both") from error
    return found


def write_messages(folder: Path, split: str, lines: Mapping[str, Lines], kind: Kind, seed: int) -> bool:
    """The chats of a split, in the order of the output `chat`; whether there are any."""
    import pyarrow as pa

    schema = pa.schema([(key, _arrow(each)) for key, each in kind.items()])
    rows = sum(each.taken for each in lines.values())
    mean = sum(each.taken * each.mean for each in lines.values()) / max(rows, 1)
    batch, file = (max(1, int(size / max(mean, 1))) for size in (_BATCH, _FILE))
    coming = picked(lines, seed)
    files = [_tables(islice(coming, file), batch, schema) for _ in range(0, rows, file)]
    return write_split(folder, split, schema, files, [seed, split, rows])


def _tables(lines: Iterator[bytes], batch: int, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    while some := list(islice(lines, batch)):
        yield pa.Table.from_pylist([_plain(orjson.loads(line)) for line in some], schema)


def _plain(value: Any, key: str = "") -> Any:
    """A value whose parts without one type are JSON text."""
    if key in _TEXT and value is not None and not isinstance(value, str):
        return orjson.dumps(value).decode()
    if isinstance(value, dict):
        return {name: _plain(each, name) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _kind(value: Any, path: str) -> Kind:
    if isinstance(value, dict):
        return {key: _kind(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        found: Kind = None
        for each in value:
            found = _joined(found, _kind(each, f"{path}[]"), f"{path}[]")
        return [found]
    return None if value is None else type(value)


def _joined(one: Kind, other: Kind, path: str) -> Kind:
    """What two kinds have in common."""
    if one is None or one == other:
        return other
    if other is None:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _joined(one.get(key), other.get(key), f"{path}.{key}") for key in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [_joined(one[0], other[0], f"{path}[]")]
    if (one, other) in ((int, float), (float, int)):
        return float
    raise _Mixed(f"{path.removeprefix('.')} is {_named(other)} here and {_named(one)} before")


def _named(kind: Kind) -> str:
    if isinstance(kind, dict | list):
        return "an object" if isinstance(kind, dict) else "a list"
    return {str: "text", bool: "true or false", int: "a number", float: "a number"}[kind]


def _arrow(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    if isinstance(kind, dict):
        return pa.struct([(key, _arrow(each)) for key, each in kind.items()])
    if isinstance(kind, list):
        return pa.list_(_arrow(kind[0]))
    return {None: pa.null(), bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[kind]
