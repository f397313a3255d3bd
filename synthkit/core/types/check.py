"""Checks stored values against their type; the reading of replies shares its messages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from synthkit.core.types.model import (
    INT64,
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

_LONG, _SHORT, _FEBRUARY = "(0[13578]|1[02])", "(0[469]|11)", "02"
_DAYS = f"{_LONG}(-(0[1-9]|[12][0-9]|3[01]))?|{_SHORT}(-(0[1-9]|[12][0-9]|30))?|{_FEBRUARY}(-(0[1-9]|[12][0-9]))?"
DATE_PATTERN = f"^[0-9]{{4}}(-({_DAYS}))?$"
"""ISO 8601 dates; the one day it lets through wrongly is 29 February of a common year."""
_DATE = re.compile(DATE_PATTERN)


def check_value(type: Type, value: Any) -> str | None:
    """What is wrong with a stored value, with the path to it; None where it fits its type."""
    return _CHECKS[type.__class__](type, value, "")


def show(value: Any) -> str:
    """A value in a message: its beginning, in quotes where it is text."""
    text = repr(value) if isinstance(value, str) else _word(value)
    return text if len(text) <= 60 else text[:57] + "..."


def place(path: str, message: str) -> str:
    """The message with its field path before it."""
    return f"{path}: {message}" if path else message


def date_problem(value: str) -> str | None:
    """Why the text is not a date."""
    if _DATE.match(value) and not value.endswith("\n"):
        if not value.endswith("-02-29"):
            return None
        year = int(value[:4])
        if year % 4 == 0 and (year % 100 or year % 400 == 0):
            return None
    return f"{show(value)} is not a date like 2021, 2021-03 or 2021-03-05"


def _word(value: Any) -> str:
    """Names a value that is not text as JSON does."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return repr(value)


def str_problem(type: Str, value: Any, most: int | None) -> str | None:
    """Why the value is not text of that length."""
    if not isinstance(value, str):
        return f"{show(value)} is not text"
    size = len(value)
    if size < type.min:
        return f"{size} characters are fewer than the {type.min} asked for"
    if most is not None and size > most:
        return f"{size} characters are more than the {most} allowed"
    return None


def number_problem(value: float, low: float | None, high: float | None) -> str | None:
    """Why the number is out of its range."""
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{value:g} is not in {'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    return None


def size_problem(size: int, low: int, most: int | None) -> str | None:
    """Why a list has too few or too many items."""
    if size < low:
        return f"{size} items are fewer than the {low} asked for"
    if most is not None and size > most:
        return f"{size} items are more than the {most} allowed"
    return None


def _check_str(type: Str, value: Any, path: str) -> str | None:
    problem = str_problem(type, value, type.max)
    return place(path, problem) if problem else None


def _check_int(type: Int, value: Any, path: str) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return place(path, f"{show(value)} is not a whole number")
    low, high = (-INT64 - 1 if type.min is None else type.min), (INT64 if type.max is None else type.max)
    problem = number_problem(value, low, high)
    return place(path, problem) if problem else None


def _check_float(type: Float, value: Any, path: str) -> str | None:
    if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
        return place(path, f"{show(value)} is not a number")
    problem = number_problem(value, type.min, type.max)
    return place(path, problem) if problem else None


def _check_bool(type: Bool, value: Any, path: str) -> str | None:
    return None if isinstance(value, bool) else place(path, f"{show(value)} is not true or false")


def _check_date(type: Date, value: Any, path: str) -> str | None:
    problem = date_problem(value) if isinstance(value, str) else f"{show(value)} is not text"
    return place(path, problem) if problem else None


def _check_json(type: Type, value: Any, path: str) -> str | None:
    if value is None or isinstance(value, bool | int | float | str):
        return None
    if isinstance(value, list):
        return next((p for i, item in enumerate(value) if (p := _check_json(type, item, f"{path}[{i}]"))), None)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return place(path, f"key {key!r} is not text")
            problem = _check_json(type, item, f"{path}.{key}")
            if problem:
                return problem
        return None
    return place(path, f"a {value.__class__.__name__} is not a JSON value")


def _check_choice(type: Choice, value: Any, path: str) -> str | None:
    if isinstance(value, str) and value in type.values:
        return None
    return place(path, f"{show(value)} is not one of {', '.join(type.values)}")


def _check_optional(type: Optional, value: Any, path: str) -> str | None:
    return None if value is None else _CHECKS[type.of.__class__](type.of, value, path)


def _check_list(type: ListOf, value: Any, path: str) -> str | None:
    if not isinstance(value, list):
        return place(path, f"{show(value)} is not a list")
    problem = size_problem(len(value), type.min, type.max)
    if problem:
        return place(path, problem)
    check = _CHECKS[type.of.__class__]
    return next((p for i, item in enumerate(value) if (p := check(type.of, item, f"{path}[{i}]"))), None)


def _check_map(type: MapOf, value: Any, path: str) -> str | None:
    if not isinstance(value, dict):
        return place(path, f"{show(value)} is not an object")
    for key, item in value.items():
        if not isinstance(key, str):
            return place(path, f"key {key!r} is not text")
        problem = _CHECKS[type.of.__class__](type.of, item, f"{path}.{key}" if path else key)
        if problem:
            return problem
    return None


def _check_object(type: Object, value: Any, path: str) -> str | None:
    if not isinstance(value, dict):
        return place(path, f"{show(value)} is not an object")
    for name, of in type.fields.items():
        problem = _CHECKS[of.__class__](of, value.get(name), f"{path}.{name}" if path else name)
        if problem:
            return problem
    extra = [name for name in value if name not in type.fields]
    return place(path, f"unknown key {extra[0]!r}") if extra else None


def _check_ref(type: Ref, value: Any, path: str) -> str | None:
    return None if isinstance(value, str) else place(path, f"{show(value)} is not the id of an item")


def _check_vector(type: Vector, value: Any, path: str) -> str | None:
    if not isinstance(value, list) or not value:
        return place(path, f"{show(value)} is not a list of numbers")
    return next((p for i, item in enumerate(value) if (p := _check_float(Float(), item, f"{path}[{i}]"))), None)


_CALL = Object(
    {"name": Optional(Str()), "arguments": Json(), "final": Optional(Str()), "say": Optional(Str()), "text": Str()}
)


def _check_call(type: Call, value: Any, path: str) -> str | None:
    problem = _check_object(_CALL, value, path)
    if problem or sum(value.get(name) is not None for name in ("name", "final", "say")) == 1:
        return problem
    return place(path, "a call has either a name or a final answer, or says something")


_CHECKS: dict[Any, Callable[[Any, Any, str], str | None]] = {
    Str: _check_str,
    Int: _check_int,
    Float: _check_float,
    Bool: _check_bool,
    Date: _check_date,
    Json: _check_json,
    Choice: _check_choice,
    Optional: _check_optional,
    ListOf: _check_list,
    MapOf: _check_map,
    Object: _check_object,
    Ref: _check_ref,
    Vector: _check_vector,
    Call: _check_call,
    External: _check_json,
}
