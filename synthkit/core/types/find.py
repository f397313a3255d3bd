"""Finds the value in the text of a reply: after reasoning, inside fences, between words.

A reply of a constrained engine is bare JSON and takes the first branch. For the others: reasoning before `</think>`
is skipped, fences and words around the JSON are dropped, the last complete value of the right kind counts.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from synthkit.core.errors import ParseError
from synthkit.core.types.check import show
from synthkit.core.types.model import Call, Choice, ListOf, MapOf, Object, Str, Type, bare

_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
_MOST_STARTS = 64
_MISSING = object()


def clean(text: str) -> str:
    """Text without control characters (but line feed and tab) and without lone surrogates; CR LF becomes LF."""
    if text.isprintable():
        return text
    return _UNWANTED.sub("", text.replace("\r\n", "\n")) if _UNWANTED.search(text) else text


def after_thinking(text: str) -> str:
    """What comes after the reasoning."""
    closed = text.rfind("</think>")
    if closed >= 0:
        return text[closed + len("</think>") :].strip()
    answer = text.strip()
    if answer.startswith("<think>"):
        raise ParseError("the reply is truncated: it ended before </think>; think in fewer words", "truncated")
    return answer


def plain_text(answer: str) -> str:
    """A bare reply, or the text of a JSON string."""
    if len(answer) > 1 and answer[0] == answer[-1] == '"':
        try:
            value = json.loads(answer, strict=False)
        except ValueError:
            return answer
        return value if isinstance(value, str) else answer
    return answer


def plain_choice(type: Choice, answer: str) -> Any:
    """A bare word, whatever its case and the marks around it."""
    if answer in type.values:
        return answer
    word = answer.strip(" \t\r\n\"'`*.,:;!。，").casefold()
    matches = [value for value in type.values if value.casefold() == word]
    return matches[0] if len(matches) == 1 else answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)


def loads(text: str) -> Any:
    """JSON text as a value; ValueError where it is not JSON. Raw control characters inside strings are let through."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def find_json(kind: Type, answer: str) -> Any:
    """The JSON value in a reply: all of it, else the last complete one of the right kind."""
    try:
        return loads(answer)
    except ValueError:
        pass
    opening = "[" if isinstance(kind, ListOf) else "{" if isinstance(kind, Object | MapOf | Call) else "{["
    for block in _FENCE.findall(answer):
        try:
            value = loads(block)
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
        except json.JSONDecodeError as error:
            if _cut_off(answer, error):
                broken = True
                break
            at += 1
        except (ValueError, RecursionError):
            at += 1
    if found is not _MISSING and not broken:
        return found
    return _no_json(kind, answer, broken)


def _no_json(kind: Type, answer: str, broken: bool) -> Any:
    """What is left when there is no complete JSON: plain text for a lone text field, else an error."""
    if isinstance(kind, Object) and len(kind.fields) == 1 and not answer.startswith(("{", "[", "```")):
        ((name, of),) = kind.fields.items()
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
            raise ParseError(
                f"the reply is not valid JSON: {error.msg} at character {error.pos}, near {near}"
            ) from None
    except RecursionError:
        raise ParseError("the reply is not valid JSON: nested too deep") from None
    wanted = "list" if isinstance(kind, ListOf) else "object"
    raise ParseError(f"the reply holds no JSON {wanted}; reply with the JSON {wanted} alone")


def _cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the JSON ends because the text does."""
    rest = text[error.pos :].strip()
    if not rest or error.msg.startswith("Unterminated"):
        return True
    if error.msg.startswith("Invalid \\"):
        return len(rest) < 6
    return any(word.startswith(rest) for word in ("true", "false", "null", "-"))
