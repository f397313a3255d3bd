"""Reads a reply into stored values; what does not fit is said so that a model can mend it.

A reply of a constrained engine is bare JSON and takes the first branch. For the others: reasoning before `</think>`
is skipped, fences and words around the JSON are dropped, the last complete value of the right kind counts. Raw
control characters, which xgrammar lets through inside strings, are removed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from synthkit.core.errors import ParseError
from synthkit.core.types import external
from synthkit.core.types.check import date_problem, number_problem, place, show, size_problem, str_problem
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
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
_MOST_STARTS = 64
_MISSING = object()


def read_reply(
    type: Type, text: str, *, row: Mapping[str, Value] | None = None, toolset: Toolset | None = None
) -> Value:
    """The value of a reply as it is stored; ParseError says what a model would have to change.

    `row` resolves `ref(column)` to ids; with `toolset` a `call` must be a valid call of it.
    """
    answer = _after_thinking(text)
    kind = bare(type)
    if isinstance(kind, Str):
        value: Any = _plain_text(answer)
    elif isinstance(kind, Choice):
        value = _plain_choice(kind, answer)
    elif not answer:
        raise ParseError("the reply is empty", "empty")
    else:
        value = _find_json(kind, answer)
    reading = _Reading(row, toolset)
    result = reading.read(type, value, "")
    if reading.problems:
        raise ParseError("\n".join(reading.problems))
    return result


def clean(text: str) -> str:
    """Text without control characters (but line feed and tab) and without lone surrogates; CR LF becomes LF."""
    if text.isprintable():
        return text
    return _UNWANTED.sub("", text.replace("\r\n", "\n")) if _UNWANTED.search(text) else text


def _after_thinking(text: str) -> str:
    """What comes after the reasoning."""
    closed = text.rfind("</think>")
    if closed >= 0:
        return text[closed + len("</think>") :].strip()
    answer = text.strip()
    if answer.startswith("<think>"):
        raise ParseError("the reply is truncated: it ended before </think>; think in fewer words", "truncated")
    return answer


def _plain_text(answer: str) -> str:
    """A bare reply, or the text of a JSON string."""
    if len(answer) > 1 and answer[0] == answer[-1] == '"':
        try:
            value = json.loads(answer, strict=False)
        except ValueError:
            return answer
        return value if isinstance(value, str) else answer
    return answer


def _plain_choice(type: Choice, answer: str) -> Any:
    """A bare word, whatever its case and the marks around it."""
    if answer in type.values:
        return answer
    word = answer.strip(" \t\r\n\"'`*.,:;!。，").casefold()
    matches = [value for value in type.values if value.casefold() == word]
    return matches[0] if len(matches) == 1 else answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)


def _loads(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _find_json(kind: Type, answer: str) -> Any:
    """The JSON value in a reply: all of it, else the last complete one of the right kind."""
    try:
        return _loads(answer)
    except ValueError:
        pass
    opening = "[" if isinstance(kind, ListOf) else "{" if isinstance(kind, Object | MapOf | Call) else "{["
    for block in _FENCE.findall(answer):
        try:
            value = _loads(block)
        except ValueError:
            continue
        if block.lstrip()[:1] in opening:
            return value
    found: Any = _MISSING
    at, starts, broken = 0, 0, False
    while starts < _MOST_STARTS:
        at = min((p for mark in opening if (p := answer.find(mark, at)) >= 0), default=-1)
        if at < 0:
            break
        starts += 1
        try:
            found, at = _DECODER.raw_decode(answer, at)
            broken = False
        except (ValueError, RecursionError):
            broken = broken or _unclosed(answer, at)
            at += 1
    if found is not _MISSING and not broken:
        return found
    return _no_json(kind, answer, broken)


def _no_json(kind: Type, answer: str, broken: bool) -> Any:
    """What is left when there is no complete JSON: plain text for a lone text field, else an error."""
    if isinstance(kind, Object) and len(kind.fields) == 1 and not answer.startswith(("{", "[", "```")):
        (name, of), = kind.fields.items()
        if isinstance(bare(of), Str):
            return {name: answer}
    if broken:
        raise ParseError(
            f"the reply is truncated: it ends after {len(answer)} characters, before the JSON is closed; write less",
            "truncated",
        )
    try:
        _DECODER.decode(answer)
    except ValueError as error:
        if answer[:1] in "{[" and isinstance(error, json.JSONDecodeError):
            near = show(answer[error.pos : error.pos + 20])
            raise ParseError(f"the reply is not valid JSON: {error.msg} at character {error.pos}, near {near}") from None
    except RecursionError:
        raise ParseError("the reply is not valid JSON: nested too deep") from None
    wanted = "list" if isinstance(kind, ListOf) else "object"
    raise ParseError(f"the reply holds no JSON {wanted}; reply with the JSON {wanted} alone")


def _unclosed(text: str, start: int) -> bool:
    """Whether the value that begins at `start` is still open at the end of the text."""
    depth, at, inside = 0, start, False
    for match in re.finditer(r'\\.|["{}\[\]]', text[at:], re.DOTALL):
        mark = match.group()
        if mark == '"':
            inside = not inside
        elif not inside and mark in "{[":
            depth += 1
        elif not inside and mark in "}]":
            depth -= 1
            if depth == 0:
                return False
    return True


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

    def str(self, type: Str, value: Any, path: str) -> Any:
        if value.__class__ is str:
            if not value.isprintable():
                value = clean(value)
            if type.min <= len(value) <= type.limit:
                return value
        self.problem(path, str_problem(type, value, type.limit) or "")
        return None

    def int(self, type: Int, value: Any, path: str) -> Any:
        number = _whole(value)
        if number is None:
            self.problem(path, f"{show(value)} is not a whole number")
            return None
        problem = number_problem(number, *type.range)
        if problem:
            self.problem(path, problem)
        return number

    def float(self, type: Float, value: Any, path: str) -> Any:
        if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
            self.problem(path, f"{show(value)} is not a number")
            return None
        problem = number_problem(value, type.min, type.max)
        if problem:
            self.problem(path, problem)
        return float(value)

    def bool(self, type: Bool, value: Any, path: str) -> Any:
        if not isinstance(value, bool):
            self.problem(path, f"{show(value)} is not true or false")
        return value

    def date(self, type: Date, value: Any, path: str) -> Any:
        problem = date_problem(value) if isinstance(value, str) else f"{show(value)} is not a date like 2021-03-05"
        if problem:
            self.problem(path, problem)
        return value

    def json(self, type: Type, value: Any, path: str) -> Any:
        return _clean_json(value)

    def choice(self, type: Choice, value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in type.values:
            self.problem(path, f"{show(value)} is not one of {', '.join(type.values)}")
        return value

    def optional(self, type: Optional, value: Any, path: str) -> Any:
        return None if value is None else _READERS[type.of.__class__](self, type.of, value, path)

    def list(self, type: ListOf, value: Any, path: str) -> Any:
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

    def map(self, type: MapOf, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self.problem(path, f"{show(value)} is not an object")
            return None
        if len(value) > LIST_LIMIT:
            self.problem(path, f"{len(value)} keys are more than the {LIST_LIMIT} allowed")
        prefix = f"{path}." if path else ""
        return {clean(key): self.read(type.of, item, prefix + key) for key, item in value.items()}

    def object(self, type: Object, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self.problem(path, f"{show(value)} is not an object with the keys {', '.join(type.fields)}")
            return None
        prefix = f"{path}." if path else ""
        result = {}
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

    def ref(self, type: Ref, value: Any, path: str) -> Any:
        number = _whole(value)
        items = items_of(type, self.row) if self.row is not None else None
        count = len(items) if items is not None else LIST_LIMIT
        if number is None or not 1 <= number <= count:
            self.problem(path, f"{show(value)} is not the number of an item of '{type.column}' (1..{count})")
            return None
        item = items[number - 1] if items is not None else None
        return str(item["id"]) if isinstance(item, dict) and "id" in item else str(number)

    def call(self, type: Call, value: Any, path: str) -> Any:
        if isinstance(value, dict) and isinstance(value.get("arguments"), str):
            try:  # servers with tool calls of their own send the arguments as text
                value = {**value, "arguments": _loads(value["arguments"])}
            except ValueError:
                pass
        problem = _call_problem(value)
        if problem is None and self.toolset is not None:
            problem = self.toolset.problem(value)
        if problem is not None:
            self.problem(path, problem)
            return None
        return stored_call(_clean_json(value))

    def external(self, type: External, value: Any, path: str) -> Any:
        try:
            return _clean_json(external.read(type.path, value))
        except ParseError as error:
            self.problem(path, str(error))
            return None


def stored_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call or final answer in the form it is stored in: `{name, arguments, final, text}`."""
    final = call.get("final")
    text = final if final is not None else " ".join(_leaves(call.get("arguments")))
    return {"name": call.get("name"), "arguments": call.get("arguments"), "final": final, "text": text}


def _call_problem(value: Any) -> str | None:
    """Why the value has not the shape of a call."""
    if isinstance(value, dict):
        if value.keys() == {"final"}:
            problem = str_problem(Str(1), value["final"], Str().limit)
            return f"final: {problem}" if problem else None
        if value.keys() == {"name", "arguments"} and isinstance(value["name"], str) and isinstance(value["arguments"], dict):
            return None
    return 'a call is {"name": ..., "arguments": {...}} or {"final": "..."}, and nothing else'


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
    Str: _Reading.str,
    Int: _Reading.int,
    Float: _Reading.float,
    Bool: _Reading.bool,
    Date: _Reading.date,
    Json: _Reading.json,
    Choice: _Reading.choice,
    Optional: _Reading.optional,
    ListOf: _Reading.list,
    MapOf: _Reading.map,
    Object: _Reading.object,
    Ref: _Reading.ref,
    Call: _Reading.call,
    External: _Reading.external,
}
