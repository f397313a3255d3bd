"""The narrowest type for the values of two: for unions of steps, and for columns that `when` may leave as they were.

Bounds widen, choices merge, `none` is admitted where either side or a missing column asks for it. Types whose Arrow
forms differ do not unify: a union that turned numbers into text in silence would cost more than the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from synthkit.core.types import Choice, Date, Float, Int, ListOf, MapOf, Object, Optional, Ref, Str, Type
from synthkit.core.types.model import bare

_T = TypeVar("_T", int, float)
_TEXT = (Str, Choice, Ref, Date)
"""All stored as text."""


def unify(one: Type, other: Type) -> Type | None:
    """A type for the values of both, or None."""
    if one == other:
        return one
    if isinstance(one, Optional) or isinstance(other, Optional):
        inner = unify(bare(one), bare(other))
        return nullable(inner) if inner is not None else None
    if isinstance(one, ListOf) and isinstance(other, ListOf):
        inner = unify(one.of, other.of)
        return ListOf(inner, min(one.min, other.min), _wider(one.max, other.max, max)) if inner is not None else None
    if isinstance(one, MapOf) and isinstance(other, MapOf):
        inner = unify(one.of, other.of)
        return MapOf(inner) if inner is not None else None
    if isinstance(one, Object) and isinstance(other, Object):
        return _objects(one, other)
    if isinstance(one, Choice) and isinstance(other, Choice):
        return Choice(tuple(dict.fromkeys((*one.values, *other.values))))
    if isinstance(one, Int) and isinstance(other, Int):
        return Int(_wider(one.min, other.min, min), _wider(one.max, other.max, max))
    if isinstance(one, Float) and isinstance(other, Float):
        return Float(_wider(one.min, other.min, min), _wider(one.max, other.max, max))
    if isinstance(one, Str) and isinstance(other, Str):
        return Str(min(one.min, other.min), _wider(one.max, other.max, max))
    if isinstance(one, _TEXT) and isinstance(other, _TEXT):
        return Str()
    return None


def nullable(type: Type) -> Type:
    """The type with `|none`."""
    return type if isinstance(type, Optional) else Optional(type)


def _wider(one: _T | None, other: _T | None, pick: Callable[[_T, _T], _T]) -> _T | None:
    """The outer of two bounds; none where one side has none."""
    return None if one is None or other is None else pick(one, other)


def _objects(one: Object, other: Object) -> Type | None:
    """Objects of the same fields in the same order, each unified."""
    if list(one.fields) != list(other.fields):
        return None
    fields: dict[str, Type] = {}
    for name, of in one.fields.items():
        found = unify(of, other.fields[name])
        if found is None:
            return None
        fields[name] = found
    return Object(fields)
