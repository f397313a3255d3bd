"""Arrow types of the out: language, and rows to batches and back. The one file of core that imports pyarrow.

`json` values travel as JSON text at any depth, a map as a list of (key, value), everything is nullable. pyarrow's own
`to_pylist` turns columns into values (ten times faster than going by the buffers from Python, since version 20);
only types that hold json, a call or a map are walked after it. 10^5 rows of seven columns, four of them nested, take
about 1 s each way.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from synthkit.core.types.find import clean
from synthkit.core.types.model import (
    Bool,
    Call,
    External,
    Float,
    Int,
    Json,
    ListOf,
    MapOf,
    Object,
    Optional,
    Type,
    Vector,
    bare,
)

_CALL_FIELDS = ("name", "arguments", "final", "say", "text")


def arrow_type(type: Type) -> Any:
    """The Arrow type that values of `type` are stored in."""
    match type:
        case Int():
            return pa.int64()
        case Float():
            return pa.float64()
        case Bool():
            return pa.bool_()
        case Optional(of):
            return arrow_type(of)
        case Vector():
            return pa.list_(pa.float32())
        case ListOf(of):
            return pa.list_(arrow_type(of))
        case MapOf(of):
            return pa.list_(pa.struct([("key", pa.string()), ("value", arrow_type(of))]))
        case Object(fields):
            return pa.struct([(name, arrow_type(of)) for name, of in fields.items()])
        case Call():
            return pa.struct([(name, pa.string()) for name in _CALL_FIELDS])
        case _:  # text in every other case: str, date, choice, ref; json and external as JSON text
            return pa.string()


def arrow_schema(columns: Mapping[str, Type]) -> Any:
    """The schema of a table with those columns, all nullable, in that order."""
    return pa.schema([pa.field(name, arrow_type(of)) for name, of in columns.items()])


def encode(columns: Mapping[str, Type], rows: Sequence[Mapping[str, Any]]) -> Any:
    """A RecordBatch of the rows; an absent column is null. Text that UTF-8 cannot hold is cleaned.

    Raises TypeError naming the column and row where a value does not fit its type.
    """
    arrays = []
    for name, of in columns.items():
        values = [row.get(name) for row in rows]
        if (encoder := _encoder(of)) is not None:
            values = [encoder(value) for value in values]
        arrays.append(_array(name, of, values))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


def decode(data: Any, columns: Mapping[str, Type]) -> list[dict[str, Any]]:
    """The rows of a RecordBatch or Table as plain values; columns that `data` lacks are left out."""
    names = [name for name in columns if name in data.schema.names]
    if not names:
        return [{} for _ in range(data.num_rows)]
    collecting = gc.isenabled()
    gc.disable()  # nothing dies here, and the collector would walk the growing result again and again
    try:
        lists = []
        for name in names:
            values = data.column(name).to_pylist()
            decoder = _decoder(columns[name])
            lists.append(values if decoder is None else [decoder(value) for value in values])
        return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
    finally:
        if collecting:
            gc.enable()


def decode_record(record: Mapping[str, Any], columns: Mapping[str, Type]) -> dict[str, Any]:
    """One record of a data frame (a dict of polars' values) as plain values; columns without a type stay out."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if name in columns:
            change = _decoder(columns[name])
            found[name] = change(value) if change and value is not None else value
    return found


def _array(name: str, type: Type, values: list[Any]) -> Any:
    kind = arrow_type(type)
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_cleaned(value) for value in values], kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, AttributeError, OverflowError) as error:
        for index, value in enumerate(values):
            try:
                pa.array([value], kind)
            except UnicodeEncodeError:
                continue
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, AttributeError, OverflowError) as one:
                raise TypeError(f"column '{name}', row {index}: {value!r:.80} is not a {type}: {one}") from error
        return pa.array([_cleaned(value) for value in values], kind)


def _cleaned(value: Any) -> Any:
    """The value with lone surrogates and control characters taken out of its texts."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return value


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(_cleaned(value), ensure_ascii=False, separators=(",", ":"))


def _encoder(type: Type) -> Callable[[Any], Any] | None:
    """What turns a value into what Arrow takes; None where it takes the value as it is."""
    match bare(type):
        case Json() | External():
            return _json_text
        case Call():
            return _call_record
        case MapOf(of):
            value_of = _encoder(of) or _same
            return lambda value: (
                None if value is None else [{"key": key, "value": value_of(item)} for key, item in value.items()]
            )
        case ListOf(of):
            item_of = _encoder(of)
            if item_of is None:
                return None
            return lambda value: None if value is None else [item_of(item) for item in value]
        case Object(fields):
            inner = {name: coder for name, of in fields.items() if (coder := _encoder(of)) is not None}
            if not inner:
                return None
            return lambda value: (
                None if value is None else {**value, **{name: coder(value.get(name)) for name, coder in inner.items()}}
            )
        case _:
            return None


def _same(value: Any) -> Any:
    return value


def _call_record(value: Any) -> Any:
    return None if value is None else {**value, "arguments": _json_text(value.get("arguments"))}


def _decoder(type: Type) -> Callable[[Any], Any] | None:
    """What turns an Arrow value into ours; None where they are the same."""
    match bare(type):
        case Json() | External():
            return _from_json
        case Call():
            return _from_call
        case MapOf(of):
            value_of = _decoder(of) or _same
            return lambda value: None if value is None else {pair["key"]: value_of(pair["value"]) for pair in value}
        case ListOf(of):
            item_of = _decoder(of)
            if item_of is None:
                return None
            return lambda value: None if value is None else [item_of(item) for item in value]
        case Object(fields):
            inner = {name: coder for name, of in fields.items() if (coder := _decoder(of)) is not None}
            if not inner:
                return None
            return lambda value: (
                None if value is None else {**value, **{name: coder(value.get(name)) for name, coder in inner.items()}}
            )
        case _:
            return None


def _from_json(text: Any) -> Any:
    return None if text is None else orjson.loads(text)


def _from_call(value: Any) -> Any:
    return None if value is None else {**value, "arguments": _from_json(value["arguments"])}
