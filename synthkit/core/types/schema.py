"""JSON Schema for constrained decoding, in the subset that xgrammar, guidance and outlines all honour.

Objects are closed with all keys required in order, texts and lists bounded, so that even random weights come to an
end. Left out on purpose: `format`, `uniqueItems` and `pattern` beside a length, which make a backend refuse the whole
schema, and `\\d`, which matches other scripts' digits. A schema takes about 4 us and is kept per type
where no `ref` makes it depend on the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from synthkit.core.engine import Constraint
from synthkit.core.errors import RequestRefused, SpecError
from synthkit.core.types import external
from synthkit.core.types.check import DATE_PATTERN
from synthkit.core.types.model import (
    INT_LIMIT,
    LIST_LIMIT,
    TEXT_LIMIT,
    Bool,
    Call,
    Choice,
    Date,
    External,
    Float,
    Int,
    Json,
    ListOf,
    MapOf,
    Object,
    Optional,
    Ref,
    Str,
    Type,
    Vector,
)

if TYPE_CHECKING:
    from synthkit.core.row import Value
    from synthkit.core.toolset import Toolset

Schema = dict[str, Any]


def json_schema(type: Type, *, row: Mapping[str, Value] | None = None, toolset: Toolset | None = None) -> Schema:
    """The schema a reply of that type must meet; shared between calls, so do not change it.

    `row` is needed for `ref(column)`: without it the number is only bounded from below. RequestRefused where the
    row's list is empty or absent: there is nothing the model could refer to.
    """
    if row is not None and refs(type):
        return _SCHEMAS[type.__class__](type, row, toolset)
    return _shared(type, toolset)


def constraint(
    type: Type, *, row: Mapping[str, Value] | None = None, toolset: Toolset | None = None
) -> Constraint | None:
    """How decoding is constrained: not at all for a bare `str`, by choice or regex where they suffice, else JSON."""
    if isinstance(type, Str):
        return None
    if isinstance(type, Choice):
        return Constraint("choice", type.values)
    if isinstance(type, External) and (pattern := external.regex(type.path)) is not None:
        return Constraint("regex", pattern)
    return Constraint("json", json_schema(type, row=row, toolset=toolset))


@lru_cache(maxsize=1024)
def refs(type: Type) -> frozenset[str]:
    """Columns that the type's `ref(column)`s read."""
    return frozenset(part.column for part in parts(type) if isinstance(part, Ref))


def parts(type: Type) -> Iterator[Type]:
    """The type and all types in it."""
    yield type
    if isinstance(type, Object):
        for of in type.fields.values():
            yield from parts(of)
    elif isinstance(type, Optional | ListOf | MapOf):
        yield from parts(type.of)


def items_of(type: Ref, row: Mapping[str, Value]) -> list[Value]:
    """The list a `ref` points into."""
    items = row.get(type.column)
    if not isinstance(items, list) or not items:
        found = "is empty" if items == [] else "is none" if items is None else "is not a list"
        raise RequestRefused(
            f"column '{type.column}' {found}: ref({type.column}) has nothing to refer to", "nothing to refer to"
        )
    return items


@lru_cache(maxsize=256)
def _shared(type: Type, toolset: Toolset | None) -> Schema:
    return _SCHEMAS[type.__class__](type, None, toolset)


def _str(type: Str, row: Any, toolset: Any) -> Schema:
    return {"type": "string", "minLength": type.min, "maxLength": type.limit}


def _int(type: Int, row: Any, toolset: Any) -> Schema:
    low, high = type.range
    return {"type": "integer", "minimum": low, "maximum": high}


def _float(type: Float, row: Any, toolset: Any) -> Schema:
    schema: Schema = {"type": "number"}
    if type.min is not None:
        schema["minimum"] = type.min
    if type.max is not None:
        schema["maximum"] = type.max
    return schema


def _choice(type: Choice, row: Any, toolset: Any) -> Schema:
    return {"type": "string", "enum": list(type.values)}


def _optional(type: Optional, row: Any, toolset: Any) -> Schema:
    return {"anyOf": [_SCHEMAS[type.of.__class__](type.of, row, toolset), {"type": "null"}]}


def _list(type: ListOf, row: Any, toolset: Any) -> Schema:
    most = type.limit
    if isinstance(type.of, Ref) and row is not None:
        most = min(most, len(items_of(type.of, row)))  # a number twice says nothing new
    items = _SCHEMAS[type.of.__class__](type.of, row, toolset)
    return {"type": "array", "items": items, "minItems": min(type.min, most), "maxItems": most}


def _map(type: MapOf, row: Any, toolset: Any) -> Schema:
    values = _SCHEMAS[type.of.__class__](type.of, row, toolset)
    return {"type": "object", "additionalProperties": values, "maxProperties": LIST_LIMIT}


def _object(type: Object, row: Any, toolset: Any) -> Schema:
    return {
        "type": "object",
        "properties": {name: _SCHEMAS[of.__class__](of, row, toolset) for name, of in type.fields.items()},
        "required": list(type.fields),
        "additionalProperties": False,
    }


def _ref(type: Ref, row: Any, toolset: Any) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": LIST_LIMIT if row is None else len(items_of(type, row))}


def _call(type: Call, row: Any, toolset: Toolset | None) -> Schema:
    if toolset is None:
        raise SpecError("a 'call' needs a toolset: name one at the top of the spec (toolset: FILE)")
    return toolset.call_schema()


def _vector(type: Vector, row: Any, toolset: Any) -> Schema:
    raise SpecError("a model does not write a vector: `embed` gives one")


def _external(type: External, row: Any, toolset: Any) -> Schema:
    return dict(bounded(external.schema(type.path)))


_DROPPED = frozenset(
    {"format", "uniqueItems", "contains", "minContains", "maxContains", "multipleOf", "default", "examples"}
)


def bounded(schema: Any) -> Any:
    """A foreign schema made fit for decoding: objects closed, texts and lists bounded, refused keywords left out.

    What is left out here must still be checked on the reply.
    """
    if not isinstance(schema, dict):
        return schema
    result = {key: value for key, value in schema.items() if key not in _DROPPED}
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(result.get(key), list):
            result[key] = [bounded(each) for each in result[key]]
    if isinstance(result.get("items"), dict):
        result["items"] = bounded(result["items"])
    if isinstance(result.get("properties"), dict):
        result["properties"] = {name: bounded(each) for name, each in result["properties"].items()}
    kind = result.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" in kinds and "additionalProperties" not in result:
        result["additionalProperties"] = False
    if "integer" in kinds and not result.keys() & {"enum", "const", "exclusiveMinimum", "exclusiveMaximum"}:
        result.setdefault("minimum", min(-INT_LIMIT, result.get("maximum", 0)))
        result.setdefault("maximum", max(INT_LIMIT, result["minimum"]))
    if "array" in kinds:
        result.setdefault("maxItems", max(LIST_LIMIT, result.get("minItems", 0)))
    if "string" in kinds and not result.keys() & {"enum", "const"}:
        if "pattern" in result:
            result = {key: value for key, value in result.items() if key not in ("minLength", "maxLength")}
        else:
            result.setdefault("maxLength", max(TEXT_LIMIT, result.get("minLength", 0)))
    return result


_SCHEMAS: dict[Any, Callable[[Any, Any, Any], Schema]] = {
    Str: _str,
    Int: _int,
    Float: _float,
    Bool: lambda *_: {"type": "boolean"},
    Date: lambda *_: {"type": "string", "pattern": DATE_PATTERN},
    Json: lambda *_: {},
    Choice: _choice,
    Optional: _optional,
    ListOf: _list,
    MapOf: _map,
    Object: _object,
    Ref: _ref,
    Vector: _vector,
    Call: _call,
    External: _external,
}
