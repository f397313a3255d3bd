"""Values of data files as values of a column: dates, decimals and cells of text become what the type says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from synthkit.core.row import Value

if TYPE_CHECKING:
    from synthkit.core.types import Type

_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}


def fit(type: Type, value: Any, *, text: bool = False) -> tuple[Value, str | None]:
    """The value as `type` has it, or what is wrong; `text`: a cell of a CSV file, empty for none."""
    from synthkit.core.types import Date, Float, Optional, check_value

    inner = type.of if isinstance(type, Optional) else type
    if text and value == "" and isinstance(type, Optional):
        value = None
    if value is None:
        return None, None if isinstance(type, Optional) else "it is missing or null"
    plain = _cell(inner, value) if text else _plain(value)
    if isinstance(inner, Date) and isinstance(value, datetime):
        plain = value.date().isoformat()
    if isinstance(inner, Float) and isinstance(plain, int) and not isinstance(plain, bool):
        plain = float(plain)
    return plain, check_value(inner, plain)


def _plain(value: Any) -> Any:
    """A JSON-like value for one that Arrow knows; what has no such form stays and fails its check."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _cell(type: Type, value: str) -> Value:
    """What a cell of text stands for; the text itself where it does not fit, for the check to say so."""
    import orjson

    from synthkit.core.types import Bool, Choice, Date, Float, Int, Str

    if isinstance(type, Str | Choice | Date):
        return value
    try:
        if isinstance(type, Int):
            return int(value)
        if isinstance(type, Float):
            return float(value)
        if isinstance(type, Bool):
            word = value.strip().lower()
            return True if word in _TRUE else False if word in _FALSE else value
        return orjson.loads(value)
    except ValueError:
        return value
