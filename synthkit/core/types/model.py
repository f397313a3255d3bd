"""The types themselves: small frozen values that print as the language they were parsed from.

An unwritten upper bound is `None` and not a number: `limit` says what a reply may reach at most, while stored data
(a document in a column declared `str`) is not bounded by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

TEXT_LIMIT = 2000
"""Most characters of a `str` in a reply, where the declaration gives no bound."""
LIST_LIMIT = 32
"""Most items of a list or map in a reply, where the declaration gives no bound."""
INT_LIMIT = 10**15 - 1
"""Largest `int` of a reply, where the declaration gives no bound: 15 digits are exact in every JSON reader."""
INT64 = 2**63 - 1
"""Largest integer that is stored."""

SIMPLE_NAMES = ("str", "int", "float", "bool", "date", "json", "call")
"""Types named by one word."""
NAMES = (*SIMPLE_NAMES, "ref", "map", "vector", "none")
"""Every word with a meaning; as a choice it must be quoted."""

WORD = re.compile(r"[^\W\d][\w-]*")
"""A choice that needs no quotes."""


@dataclass(frozen=True)
class Type:
    """Base of all types; `str(type)` is its declaration."""


@dataclass(frozen=True)
class Str(Type):
    """Text of `min` to `max` characters."""

    min: int = 0
    max: int | None = None

    @property
    def limit(self) -> int:
        """Most characters of a reply."""
        return max(TEXT_LIMIT, self.min) if self.max is None else self.max

    def __str__(self) -> str:
        return "str" + _bounds(self.min or None, self.max)


@dataclass(frozen=True)
class Int(Type):
    """A whole number."""

    min: int | None = None
    max: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        """Least and largest number of a reply."""
        low = min(-INT_LIMIT, self.max or 0) if self.min is None else self.min
        return low, (max(INT_LIMIT, low) if self.max is None else self.max)

    def __str__(self) -> str:
        return "int" + _bounds(self.min, self.max)


@dataclass(frozen=True)
class Float(Type):
    """A finite number."""

    min: float | None = None
    max: float | None = None

    def __str__(self) -> str:
        return "float" + _bounds(self.min, self.max)


@dataclass(frozen=True)
class Bool(Type):
    """True or false."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True)
class Date(Type):
    """An ISO 8601 date of full or reduced precision (2021, 2021-03, 2021-03-05), kept as text."""

    def __str__(self) -> str:
        return "date"


@dataclass(frozen=True)
class Json(Type):
    """Any JSON value; the one type that does not bound a reply."""

    def __str__(self) -> str:
        return "json"


@dataclass(frozen=True)
class Choice(Type):
    """One of some words."""

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))

    def __str__(self) -> str:
        if len(self.values) == 1:  # a bare word would read as the name of a type
            return json.dumps(self.values[0], ensure_ascii=False)
        return "|".join(_word(value) for value in self.values)


@dataclass(frozen=True)
class Optional(Type):
    """The type, or none."""

    of: Type

    def __str__(self) -> str:
        return f"{self.of}|none"


@dataclass(frozen=True)
class ListOf(Type):
    """A list of `min` to `max` items."""

    of: Type
    min: int = 0
    max: int | None = None

    @property
    def limit(self) -> int:
        """Most items of a reply."""
        return max(LIST_LIMIT, self.min) if self.max is None else self.max

    def __str__(self) -> str:
        return f"[{self.of}]" + _bounds(self.min or None, self.max)


@dataclass(frozen=True)
class MapOf(Type):
    """Values under keys of any name, `map(T)`; stored as a list of (key, value)."""

    of: Type

    def __str__(self) -> str:
        return f"map({self.of})"


@dataclass(frozen=True)
class Object(Type):
    """A closed object: these fields, all of them, in this order."""

    fields: Mapping[str, Type]

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", dict(self.fields))

    def __hash__(self) -> int:
        return hash(tuple(self.fields.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Object):
            return NotImplemented
        return list(self.fields.items()) == list(other.fields.items())

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}: {of}" for name, of in self.fields.items()) + "}"


@dataclass(frozen=True)
class Vector(Type):
    """The vector of a text, numbers kept as float32; those of different models are never compared."""

    model: str
    """What the vectors are of: a digest of the model's identity, or a name that the user gives."""

    def __str__(self) -> str:
        return f"vector({self.model})"


@dataclass(frozen=True)
class Ref(Type):
    """An item of the list in `column`: the model replies its number from 1, stored is the item's `id`."""

    column: str

    def __str__(self) -> str:
        return f"ref({self.column})"


@dataclass(frozen=True)
class Call(Type):
    """A tool call, a final answer, or words to the user; stored as `{name, arguments, final, say, text}`."""

    def __str__(self) -> str:
        return "call"


@dataclass(frozen=True)
class External(Type):
    """`module:PydanticModel` or `module:outlines_term`; imported when it is first used, kept as json."""

    path: str

    def __str__(self) -> str:
        return self.path


def bare(type: Type) -> Type:
    """The type without `|none`."""
    return type.of if isinstance(type, Optional) else type


def _bounds(low: float | None, high: float | None) -> str:
    """`(low..high)`; nothing where neither is given."""
    if low is None and high is None:
        return ""
    return f"({'' if low is None else _number(low)}..{'' if high is None else _number(high)})"


def _number(value: float) -> str:
    """A number as the language writes it."""
    return str(int(value)) if value == int(value) and abs(value) < 1e19 else repr(value)


def _word(value: str) -> str:
    """A choice as written: quoted unless it is a plain word without a meaning of its own."""
    if WORD.fullmatch(value) and value not in NAMES:
        return value
    return json.dumps(value, ensure_ascii=False)
