"""Sizes as people write them: counts, lengths in tokens, shares and ranges.

Counts are decimal (`5K`, `2B`), lengths in tokens are binary (`32Ki`), because `32K` has meant both 32,000 and 32,768
in published recipes: for a length it is an error that says what to write. Each size is an annotated type, so an
action declares `count: Count` and receives an int; the YAML text never travels further than validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_NUMBER = re.compile(r"(?P<number>[-+]?\d+(?:\.\d+)?)\s?(?P<unit>[A-Za-z]*)", re.ASCII)
_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_BINARY = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_LARGEST = 2**63 - 1
_Number = TypeVar("_Number", int, float)


def parse_count(value: Any) -> int:
    """`5000`, `5K`, `2.5M`, `2B` as an int; ValueError says what to write instead."""
    return _whole(value, _DECIMAL, "a count", "5000, 5K, 2M or 1B")


def parse_tokens(value: Any) -> int:
    """`600` or `32Ki` as an int; `32K` is refused, for it could be 32,000 or 32,768."""
    return _whole(value, _BINARY, "a length in tokens", "600, 32Ki or 1Mi")


def parse_bytes(value: Any) -> int:
    """`65536` or `256Mi` as an int."""
    return _whole(value, _BINARY, "a size in bytes", "65536, 256Mi or 2Gi")


def parse_share(value: Any) -> float:
    """`60%` or `0.6` as a float between 0 and 1."""
    share = parse_fraction(value)
    if not 0 <= share <= 1:
        hint = f"; write {value}%" if isinstance(value, int | float) and 1 < value <= 100 else ""
        raise ValueError(f"a share lies between 0% and 100%, {value!r} does not{hint}")
    return share


def parse_fraction(value: Any) -> float:
    """A number or a percentage as a float, without bounds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        match = re.fullmatch(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(%?)", text, re.ASCII)
        if match:
            return float(text.removesuffix("%")) / (100 if match[1] else 1)
    raise ValueError(f"expected a number such as 0.6 or 60%, not {value!r}")


def _whole(value: Any, units: dict[str, int], what: str, examples: str) -> int:
    """A whole number with one of `units`, not negative."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"expected {what} such as {examples}, not {value!r}")
    match = _NUMBER.fullmatch(str(value).strip())
    if match is None:
        plain = str(value).replace("_", "").replace(",", "")
        hint = f"; write {plain}" if plain.isdecimal() else ""
        raise ValueError(f"expected {what} such as {examples}, not {value!r}{hint}")
    unit = match["unit"]
    if unit not in units:
        if units is _BINARY and unit in ("K", "M", "G", "k", "m", "g"):
            raise ValueError(f"{what} is written {match['number']}{unit.upper()}i, for {value} could mean two things")
        if units is _DECIMAL and unit.removesuffix("i") in ("K", "M", "G"):
            decimal = {"G": "B"}.get(unit[0], unit[0])
            raise ValueError(f"{what} is decimal: write {match['number']}{decimal}, not {value}")
        known = ", ".join(u for u in units if u)
        raise ValueError(f"{value!r} has the unknown unit {unit!r}; known: {known}")
    number = match["number"]
    exact = float(number) * units[unit] if "." in number else int(number) * units[unit]
    if exact != int(exact):
        raise ValueError(f"{value!r} is not a whole number")
    if not 0 <= exact <= _LARGEST:
        raise ValueError(f"{what} lies between 0 and 2^63, {value!r} does not")
    return int(exact)


_COUNT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?[KMBT]?$"}]}
_TOKENS_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?([KMG]i)?$"}]
}
_SHARE_SCHEMA = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^\d+(\.\d*)?%$"}]
}


def _range_schema(end: str, kind: str) -> JsonSchemaValue:
    """The JSON Schema of a range: a single end, or dots with one or two; `end` is a regular expression."""
    return {"anyOf": [{"type": kind}, {"type": "string", "pattern": rf"^({end}(\.\.({end})?)?|\.\.{end})$"}]}


_RANGE_SCHEMA = _range_schema(r"\d+(\.\d+)?[KMBT]?", "integer")
_TOKEN_RANGE_SCHEMA = _range_schema(r"\d+(\.\d+)?([KMG]i)?", "integer")
_BOUNDS_SCHEMA = _range_schema(r"-?\d+(\.\d*)?%?", "number")

Count = Annotated[int, BeforeValidator(parse_count), WithJsonSchema(_COUNT_SCHEMA)]
"""A number of things: `5000`, `5K`, `2B`."""
Tokens = Annotated[int, BeforeValidator(parse_tokens), WithJsonSchema(_TOKENS_SCHEMA)]
"""A length in tokens: `600`, `32Ki`."""
Bytes = Annotated[int, BeforeValidator(parse_bytes), WithJsonSchema(_TOKENS_SCHEMA)]
"""A size in memory: `65536`, `256Mi`."""
Share = Annotated[float, BeforeValidator(parse_share), WithJsonSchema(_SHARE_SCHEMA)]
"""A part of a whole: `60%` or `0.6`."""


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of whole numbers, open where an end is None; as a field it takes `4..8`, `..600`, `3..` or `5`."""

    low: int | None = None
    high: int | None = None

    def __contains__(self, number: object) -> bool:
        """Whether the number lies in the range, ends included."""
        return isinstance(number, int | float) and _within(number, self.low, self.high)

    def __str__(self) -> str:
        """As written: `4..8`."""
        return _written(self.low, self.high)

    @classmethod
    def parse(cls, value: Any, end: Callable[[Any], int] = parse_count) -> Range:
        """Read `4..8`, `..600`, `3..`, `5` or a Range; `end` reads each end."""
        if isinstance(value, Range):
            return value
        low, high = _ends(value, end)
        return cls(low, high)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validated by `parse`, written back as text."""
        return _plain_schema(cls.parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number or text with dots."""
        return dict(_RANGE_SCHEMA)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A closed range of numbers, for figures of a run: `30%..70%`, `..0.5`, `0.01..`."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, number: object) -> bool:
        """Whether the number lies within the bounds, ends included."""
        return isinstance(number, int | float) and _within(number, self.low, self.high)

    def __str__(self) -> str:
        """As written, percentages as fractions: `0.3..0.7`."""
        return _written(self.low, self.high)

    @classmethod
    def parse(cls, value: Any) -> Bounds:
        """Read `30%..70%`, `..0.5`, `0.01..` or a single number."""
        if isinstance(value, Bounds):
            return value
        low, high = _ends(value, parse_fraction)
        return cls(low, high)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validated by `parse`, written back as text."""
        return _plain_schema(cls.parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number or text with dots."""
        return dict(_BOUNDS_SCHEMA)


def _plain_schema(parse: Callable[[Any], Any]) -> CoreSchema:
    return core_schema.no_info_plain_validator_function(
        parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
    )


TokenRange = Annotated[
    Range, BeforeValidator(lambda value: Range.parse(value, parse_tokens)), WithJsonSchema(_TOKEN_RANGE_SCHEMA)
]
"""A range of lengths in tokens: `..600`, `1Ki..32Ki`."""


def _ends(value: Any, end: Callable[[Any], _Number]) -> tuple[_Number | None, _Number | None]:
    """The two ends of a range as written; a single value is both."""
    if isinstance(value, str) and ".." in value:
        left, _, right = (part.strip() for part in value.partition(".."))
        if not left and not right:
            raise ValueError("a range needs an end: write 4..8, 3.. or ..600")
        low = end(left) if left else None
        high = end(right) if right else None
        if low is not None and high is not None and low > high:
            raise ValueError(f"the range {value} is empty: its first end is the larger one")
        return low, high
    try:
        number = end(value)
    except ValueError as error:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            raise
        raise ValueError(f"expected a range such as 4..8, 3.. or ..600, not {value!r}") from error
    return number, number


def _within(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _written(low: float | None, high: float | None) -> str:
    if low == high and low is not None:
        return repr(low)
    return f"{'' if low is None else repr(low)}..{'' if high is None else repr(high)}"
