"""Reads a reply into stored values; what does not fit is said so that a model can mend it.

Problems are gathered, with the field path of each, up to five. Raw control characters, which xgrammar lets through
inside strings, are removed. The one leniency over the schema: a key that may be none may be left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import ParseError
from synthkit.core.types import external
from synthkit.core.types.check import date_problem, number_problem, place, show, size_problem, str_problem
from synthkit.core.types.find import after_thinking, clean, find_json, loads, plain_choice, plain_text
from synthkit.core.types.model import (
    LIST_LIMIT,
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
from synthkit.core.types.schema import items_of

if TYPE_CHECKING:
    from synthkit.core.row import Value
    from synthkit.core.toolset import Toolset

MOST_PROBLEMS = 5
"""Problems named in one error; more would only crowd the prompt of the second try."""
_MISSING = object()


def read_reply(
    type: Type, text: str, *, row: Mapping[str, Value] | None = None, toolset: Toolset | None = None
) -> Value:
    """The value of a reply as it is stored; ParseError says what a model would have to change.

    `row` resolves `ref(column)` to ids; with `toolset` a `call` must be a valid call of it.
    """
    answer = after_thinking(text)
    kind = bare(type)
    if isinstance(kind, Str):
        value: Any = plain_text(answer)
    elif isinstance(kind, Choice):
        value = plain_choice(kind, answer)
    elif not answer:
        raise ParseError("the reply is empty", "empty")
    else:
        value = find_json(kind, answer)
    reading = _Reading(row, toolset)
    result = reading.read(type, value, "")
    if reading.problems:
        raise ParseError("\n".join(reading.problems))
    return result


class _Reading:
    """One reply on its way to a stored value; problems are gathered, not raised."""

    __slots__ = ("problems", "row", "toolset")

    def __init__(self, row: Mapping[str, Value] | None, toolset: Toolset | None) -> None:
        self.row = row
        self.toolset = toolset
        self.problems: list[str] = []

    def read(self, type: Type, value: Any, path: str) -> Any:
        return _READERS[type.__class__](self, type, value, path)

    def problem(self, path: str, message: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(place(path, message))

    def read_str(self, type: Str, value: Any, path: str) -> Any:
        if value.__class__ is str:
            if not value.isprintable():
                value = clean(value)
            if type.min <= len(value) <= type.limit:
                return value
        self.problem(path, str_problem(type, value, type.limit) or "")
        return None

    def read_int(self, type: Int, value: Any, path: str) -> Any:
        number = _whole(value)
        if number is None:
            self.problem(path, f"{show(value)} is not a whole number")
            return None
        problem = number_problem(number, *type.range)
        if problem:
            self.problem(path, problem)
        return number

    def read_float(self, type: Float, value: Any, path: str) -> Any:
        if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
            self.problem(path, f"{show(value)} is not a number")
            return None
        problem = number_problem(value, type.min, type.max)
        if problem:
            self.problem(path, problem)
        return float(value)

    def read_bool(self, type: Bool, value: Any, path: str) -> Any:
        if not isinstance(value, bool):
            self.problem(path, f"{show(value)} is not true or false")
        return value

    def read_date(self, type: Date, value: Any, path: str) -> Any:
        problem = date_problem(value) if isinstance(value, str) else f"{show(value)} is not a date like 2021-03-05"
        if problem:
            self.problem(path, problem)
        return value

    def read_json(self, type: Type, value: Any, path: str) -> Any:
        return _clean_json(value)

    def read_choice(self, type: Choice, value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in type.values:
            self.problem(path, f"{show(value)} is not one of {', '.join(type.values)}")
        return value

    def read_optional(self, type: Optional, value: Any, path: str) -> Any:
        return None if value is None else _READERS[type.of.__class__](self, type.of, value, path)

    def read_list(self, type: ListOf, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            self.problem(path, f"{show(value)} is not a list")
            return None
        read, of = _READERS[type.of.__class__], type.of
        items = [read(self, of, item, f"{path}[{index}]") for index, item in enumerate(value)]
        if of.__class__ is Ref:
            items = list(dict.fromkeys(items))  # naming an item twice must not count twice
        problem = size_problem(len(items), type.min, None) or size_problem(len(value), 0, type.limit)
        if problem:
            self.problem(path, problem)
        return items

    def read_map(self, type: MapOf, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self.problem(path, f"{show(value)} is not an object")
            return None
        if len(value) > LIST_LIMIT:
            self.problem(path, f"{len(value)} keys are more than the {LIST_LIMIT} allowed")
        prefix = f"{path}." if path else ""
        return {clean(key): self.read(type.of, item, prefix + key) for key, item in value.items()}

    def read_object(self, type: Object, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self.problem(path, f"{show(value)} is not an object with the keys {', '.join(type.fields)}")
            return None
        prefix = f"{path}." if path else ""
        result: dict[str, Any] = {}
        for name, of in type.fields.items():
            item = value.get(name, _MISSING)
            if item is _MISSING:
                result[name] = None
                if of.__class__ is not Optional:  # leaving out what may be null is no reason to ask again
                    self.problem(path, f"key '{name}' is missing")
            else:
                result[name] = _READERS[of.__class__](self, of, item, prefix + name)
        if len(value) > len(type.fields) or not value.keys() <= type.fields.keys():
            for name in value:
                if name not in type.fields:
                    near = get_close_matches(name, type.fields, 1)
                    self.problem(path, f"unknown key {show(name)}" + (f"; did you mean '{near[0]}'?" if near else ""))
        return result

    def read_ref(self, type: Ref, value: Any, path: str) -> Any:
        number = _whole(value)
        items = items_of(type, self.row) if self.row is not None else None
        count = len(items) if items is not None else LIST_LIMIT
        if number is None or not 1 <= number <= count:
            self.problem(path, f"{show(value)} is not the number of an item of '{type.column}' (1..{count})")
            return None
        item = items[number - 1] if items is not None else None
        return str(item["id"]) if isinstance(item, dict) and "id" in item else str(number)

    def read_call(self, type: Call, value: Any, path: str) -> Any:
        if isinstance(value, dict) and isinstance(value.get("arguments"), str):
            with suppress(ValueError):  # servers with tool calls of their own send the arguments as text
                value = {**value, "arguments": loads(value["arguments"])}
        problem = _call_problem(value, say=self.toolset is None or self.toolset.say)
        if problem is None and self.toolset is not None:
            problem = self.toolset.problem(value)
        if problem is not None:
            self.problem(path, problem)
            return None
        return stored_call(_clean_json(value))

    def read_external(self, type: External, value: Any, path: str) -> Any:
        try:
            return _clean_json(external.read(type.path, value))
        except ParseError as error:
            self.problem(path, str(error))
            return None


def stored_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call, a final answer or words to the user as stored: `{name, arguments, final, say, text}`."""
    final, say = call.get("final"), call.get("say")
    words = say if final is None else final
    text = words if words is not None else " ".join(_leaves(call.get("arguments")))
    return {"name": call.get("name"), "arguments": call.get("arguments"), "final": final, "say": say, "text": text}


def _call_problem(value: Any, say: bool) -> str | None:
    """Why the value has not the shape of a call; `say`: words to the user are one too."""
    if isinstance(value, dict):
        for words in ("final", "say") if say else ("final",):
            if value.keys() == {words}:
                problem = str_problem(Str(1), value[words], Str().limit)
                return f"{words}: {problem}" if problem else None
        if (
            value.keys() == {"name", "arguments"}
            and isinstance(value["name"], str)
            and isinstance(value["arguments"], dict)
        ):
            return None
    spoken = ', {"say": "..."}' if say else ""
    return f'a call is {{"name": ..., "arguments": {{...}}}}{spoken} or {{"final": "..."}}, and nothing else'


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for child in children for leaf in _leaves(child)]


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _clean_json(item) for key, item in value.items()}
    return value


def _whole(value: Any) -> int | None:
    if value.__class__ is int:
        return int(value)
    if isinstance(value, float) and value.is_integer():  # 5.0 is an integer in JSON Schema
        return int(value)
    return None


_READERS: dict[Any, Callable[[_Reading, Any, Any, str], Any]] = {
    Str: _Reading.read_str,
    Int: _Reading.read_int,
    Float: _Reading.read_float,
    Bool: _Reading.read_bool,
    Date: _Reading.read_date,
    Json: _Reading.read_json,
    Choice: _Reading.read_choice,
    Optional: _Reading.read_optional,
    ListOf: _Reading.read_list,
    MapOf: _Reading.read_map,
    Object: _Reading.read_object,
    Ref: _Reading.read_ref,
    Call: _Reading.read_call,
    External: _Reading.read_external,
}
