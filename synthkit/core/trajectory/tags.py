"""The tags `<think>`, `<tool_call>`, `<tool_response>`, `<answer>` in a text, as agents of the Qwen family write them.

A tag ends at its first closing tag, so a text that itself holds that closing tag cannot be written: the writer says so.
One line feed at either end of a response belongs to the tags, any other white space to the response. A call is JSON
(also with its program behind it in `<code>`, or as Python prints it), or `<function=name>` with `<parameter=key>`s, in
a `<tool_call>` or bare, as Qwen3-Coder, OpenHands and SWE-smith have it; it is written as JSON.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from synthkit.core.trajectory.form import Malformed, Unwritable
from synthkit.core.trajectory.turns import Called, called
from synthkit.core.types.find import loads

TAG = re.compile(r"<(/?)(think|tool_call|tool_response|answer)>|<function=[^<>\s]+>")
_FUNCTION = re.compile(r"<function=([^<>\s]+)>(.*)</function>", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^<>\s]+)>(.*?)</parameter>\s*", re.DOTALL)
_CODE = re.compile(r"(.*?)<code>(.*)</code>", re.DOTALL)


class Segment(NamedTuple):
    """A tagged piece of a text; `tag` is empty for what stands between tags."""

    tag: str
    text: str


def segments(at: str, text: str) -> Iterator[Segment]:
    """The pieces of a text in order, blank ones between tags left out; a bare function is a `tool_call`."""
    start = 0
    opened = TAG.search(text)
    if opened and opened.group() == "</think>":  # chat templates open the thought in the prompt
        yield Segment("think", text[: opened.start()])
        start = opened.end()
    while match := TAG.search(text, start):
        if match.group(1):
            raise Malformed(at, f"{match.group()} without <{match.group(2)}>")
        if (between := text[start : match.start()]).strip():
            yield Segment("", between)
        closing = f"</{match.group(2) or 'function'}>"
        close = text.find(closing, match.end())
        if close < 0:
            raise Malformed(at, f"{match.group()} is not closed")
        start = close + len(closing)
        if match.group(2):
            yield Segment(match.group(2), text[match.end() : close])
        else:
            yield Segment("tool_call", text[match.start() : start])
    if (rest := text[start:]).strip():
        yield Segment("", rest)


def inner(text: str) -> str:
    """The text between two tags, without the line feeds that set the tags apart."""
    if text.startswith("\n") and text.endswith("\n") and len(text) > 1:
        return text[1:-1]
    return text.strip()


def calls_of(at: str, text: str) -> list[Called]:
    """What a `<tool_call>` holds: a call, or a list of calls made side by side."""
    text = text.strip()
    if text.startswith("<function="):
        return [_function(at, text)]
    value = _value(at, text)
    found = value if isinstance(value, list) and value else [value]
    if not all(isinstance(each, Mapping) for each in found):
        raise Malformed(at, 'a tool call is {"name": ..., "arguments": {...}}')
    return [called(at, each, each.get("id")) for each in found]


def _value(at: str, text: str) -> Any:
    """The JSON of a call, or what stands in its place."""
    try:
        return loads(text)
    except ValueError as error:
        problem = Malformed(at, f"the tool call is not JSON: {error}")
    if match := _CODE.fullmatch(text):
        call = _value(at, match.group(1))
        if isinstance(call, Mapping):
            made = called(at, call)
            return {"name": made.name, "arguments": made.arguments | {"code": inner(match.group(2))}}
    if text.startswith(("{", "[")):
        try:  # as Python prints it
            return loads(json.dumps(ast.literal_eval(text)))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    raise problem


def _function(at: str, text: str) -> Called:
    """A call of `<function=name>`; all its arguments are texts."""
    match = _FUNCTION.fullmatch(text)
    if match is None:
        raise Malformed(at, "<function=...> is not closed, or something follows it in the tool call")
    name, body, arguments, start = match.group(1), match.group(2), {}, 0
    while parameter := _PARAMETER.match(body, start):
        key, value = parameter.groups()
        if key in arguments:
            raise Malformed(at, f"the call of {name!r} has the parameter {key!r} twice")
        arguments[key] = value.removeprefix("\n").removesuffix("\n")
        start = parameter.end()
    if rest := body[start:].strip():
        raise Malformed(at, f"the call of {name!r} holds something else than parameters: {rest[:80]!r}")
    return Called(name, arguments, bare=True)


def tagged(tag: str, text: str, what: str) -> str:
    """The text in a tag; Unwritable where it holds the closing tag."""
    if f"</{tag}>" in text:
        raise Unwritable(f"{what} holds </{tag}>")
    return f"<{tag}>\n{text}\n</{tag}>"


def tagged_call(call: Mapping[str, Any]) -> str:
    """A call in its tag; in JSON even a closing tag can be written."""
    text = json.dumps({"name": call["name"], "arguments": call["arguments"]}, ensure_ascii=False)
    text = text.replace("</tool_call>", r"\u003c/tool_call>")
    return f"<tool_call>\n{text}\n</tool_call>"


def untagged(text: str, what: str) -> str:
    """Bare text; Unwritable where it holds any tag."""
    if match := TAG.search(text):
        raise Unwritable(f"{what} holds {match.group()}")
    return text
