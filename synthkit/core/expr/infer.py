"""What type an expression gives, from the types of the columns; `let` declares its columns by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import nodes

from synthkit.core.expr.filters import FILTERS
from synthkit.core.types.model import (
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
    bare,
)

_CALL = {
    "name": Optional(Str()),
    "arguments": Optional(Json()),
    "final": Optional(Str()),
    "say": Optional(Str()),
    "text": Str(),
}
_TEXTS = (Str, Choice, Date, Ref)


def infer(node: nodes.Expr, columns: Mapping[str, Type], variables: Mapping[str, Any]) -> Type | None:
    """The type of the node; None where it cannot be told before there are values."""
    if isinstance(node, nodes.Name):
        return columns.get(node.name)
    if isinstance(node, nodes.Const):
        return of_value(node.value)
    if isinstance(node, nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == "vars":
            return of_value(variables.get(node.attr))
        return field(infer(node.node, columns, variables), node.attr)
    if isinstance(node, nodes.Getitem):
        base = infer(node.node, columns, variables)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return field(base, node.arg.value)
        if isinstance(node.arg, nodes.Slice):
            return _plain(base)
        return _item(base)
    if isinstance(node, nodes.Compare | nodes.Not | nodes.Test):
        return Bool()
    if isinstance(node, nodes.And | nodes.Or):
        return _joined(
            infer(node.left, columns, variables),
            infer(node.right, columns, variables),
            falls=isinstance(node, nodes.Or),
        )
    if isinstance(node, nodes.CondExpr):
        first = infer(node.expr1, columns, variables)
        if node.expr2 is None or _is_none(node.expr2):
            return Optional(bare(first)) if first is not None else None
        second = infer(node.expr2, columns, variables)
        if _is_none(node.expr1):
            return Optional(bare(second)) if second is not None else None
        return _joined(first, second)
    if isinstance(node, nodes.Concat):
        return Str()
    if isinstance(node, nodes.Neg | nodes.Pos):
        return _plain(infer(node.node, columns, variables))
    if isinstance(node, nodes.BinExpr):
        return _arithmetic(node, infer(node.left, columns, variables), infer(node.right, columns, variables))
    if isinstance(node, nodes.List | nodes.Tuple):
        return _list(node, columns, variables)
    if isinstance(node, nodes.Dict):
        return _dict(node, columns, variables)
    if isinstance(node, nodes.Filter):
        return _filtered(node, infer(node.node, columns, variables) if node.node else None, columns, variables)
    if isinstance(node, nodes.Call):  # p(criterion) is the one function
        return Float()
    return None


def _is_none(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Const) and node.value is None


def of_value(value: Any) -> Type | None:
    """The type of a literal or of a spec's variable."""
    if isinstance(value, bool):
        return Bool()
    if isinstance(value, int):
        return Int()
    if isinstance(value, float):
        return Float()
    if isinstance(value, str):
        return Str()
    if isinstance(value, list) and value:
        kinds = [of_value(item) for item in value]
        return ListOf(kinds[0]) if kinds[0] is not None and all(kind == kinds[0] for kind in kinds) else None
    return None


def field(base: Type | None, name: str) -> Type | None:
    """The type of a field of an object or call."""
    kind = bare(base) if base is not None else None
    if isinstance(kind, Call):
        return _CALL.get(name)
    if isinstance(kind, Object):
        return kind.fields.get(name)
    if isinstance(kind, MapOf):
        return kind.of
    return Json() if isinstance(kind, Json | External) else None


def _item(base: Type | None) -> Type | None:
    kind = bare(base) if base is not None else None
    if isinstance(kind, ListOf | MapOf):
        return kind.of
    if isinstance(kind, Json | External):
        return Json()
    return Str() if isinstance(kind, _TEXTS) else None


def _plain(base: Type | None) -> Type | None:
    """The type without its bounds, which the result need not keep."""
    kind = bare(base) if base is not None else None
    if isinstance(kind, Int):
        return Int()
    if isinstance(kind, Float):
        return Float()
    if isinstance(kind, _TEXTS):
        return Str()
    if isinstance(kind, ListOf):
        return ListOf(kind.of)
    return kind


def _joined(one: Type | None, other: Type | None, falls: bool = False) -> Type | None:
    """The type that holds both; `falls`: the second stands in for a first that is none."""
    if one is None or other is None:
        return None
    if one == other:
        return one
    left, right = bare(one), bare(other)
    may_be_none = isinstance(other, Optional) or (isinstance(one, Optional) and not falls)
    if left == right:
        of: Type | None = left
    elif isinstance(left, Int | Float) and isinstance(right, Int | Float):
        of = Int() if isinstance(left, Int) and isinstance(right, Int) else Float()
    elif isinstance(left, _TEXTS) and isinstance(right, _TEXTS):
        of = Str()
    elif isinstance(left, ListOf) and isinstance(right, ListOf):
        items = _joined(left.of, right.of)
        of = ListOf(items) if items is not None else None
    else:
        of = None
    return Optional(of) if of is not None and may_be_none else of


def _arithmetic(node: nodes.BinExpr, left: Type | None, right: Type | None) -> Type | None:
    one, other = (bare(left) if left else None), (bare(right) if right else None)
    if isinstance(one, Int | Float) and isinstance(other, Int | Float):
        if isinstance(node, nodes.Div):
            return Float()
        whole = isinstance(one, Int) and isinstance(other, Int)
        if isinstance(node, nodes.Pow) and whole:
            return None
        return Int() if whole else Float()
    if isinstance(node, nodes.Add):
        return _plain(_joined(one, other))
    return None


def _list(node: nodes.List | nodes.Tuple, columns: Mapping[str, Type], variables: Mapping[str, Any]) -> Type | None:
    found: Type | None = None
    for index, item in enumerate(node.items):
        kind = infer(item, columns, variables)
        found = kind if index == 0 else _joined(found, kind)
        if found is None:
            return None
    return ListOf(found) if found is not None else None


def _dict(node: nodes.Dict, columns: Mapping[str, Type], variables: Mapping[str, Any]) -> Type | None:
    fields: dict[str, Type] = {}
    for pair in node.items:
        kind = infer(pair.value, columns, variables)
        if not isinstance(pair.key, nodes.Const) or not str(pair.key.value).isidentifier() or kind is None:
            return None
        fields[str(pair.key.value)] = kind
    return Object(fields) if fields else None


def _filtered(
    node: nodes.Filter, base: Type | None, columns: Mapping[str, Type], variables: Mapping[str, Any]
) -> Type | None:
    found = FILTERS.get(node.name)
    if found is None:
        return None
    options: dict[str, nodes.Expr] = {str(keyword.key): keyword.value for keyword in node.kwargs}
    attribute = options.get("attribute")
    item = _item(base)
    if isinstance(attribute, nodes.Const):
        item = field(item, str(attribute.value))
    match found.gives:
        case "item":
            return _plain(base) if node.name == "abs" else _plain(item) if node.name == "sum" else item
        case "items":
            kind = _item(base)
            return ListOf(kind) if kind is not None else None
        case "picked":
            ids = infer(node.args[0], columns, variables) if node.args else None
            return ListOf(item) if isinstance(ids, ListOf) and item else item if isinstance(ids, _TEXTS) else None
        case "mapped":
            if attribute is not None:
                return ListOf(item) if item is not None else None
            name = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
            inner = FILTERS.get(str(name))
            return ListOf(_declared(inner.gives)) if inner is not None and inner.gives in _DECLARED else None
        case "default":
            other = infer(node.args[0], columns, variables) if node.args else None
            return _joined(base, other, falls="boolean" in options or len(node.args) > 1)
        case gives:
            return _declared(gives)


_DECLARED: dict[str, Type] = {
    "bool": Bool(), "str": Str(), "int": Int(), "float": Float(), "[str]": ListOf(Str()), "json": Json(),
}  # fmt: skip


def _declared(gives: str) -> Type:
    return _DECLARED[gives]
