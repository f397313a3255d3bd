"""The tags `<think>`, `<tool_call>`, `<tool_response>`, `<answer>` in a text, as agents of the Qwen family write them.

A tag ends at its first closing tag, so a text that itself holds that closing tag cannot be written: the writer says so.
One line feed at either end of a response belongs to the tags, any other white space to the response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from synthkit.core.trajectory.form import Malformed, Unwritable
from synthkit.core.trajectory.turns import Called, called
from synthkit.core.types.find import loads

_TAG = re.compile(r"<(/?)(think|tool_call|tool_response|answer)>")


class Segment(NamedTuple):
    """A tagged piece of a text; `tag` is empty for what stands between tags."""

    tag: str
    text: str


def segments(at: str, text: str) -> Iterator[Segment]:
    """The pieces of a text in order, blank ones between tags left out."""
    start = 0
    opened = _TAG.search(text)
    if opened and opened.group() == "</think>":  # chat templates open the thought in the prompt
        yield Segment("think", text[: opened.start()])
        start = opened.end()
    while match := _TAG.search(text, start):
        if match.group(1):
            raise Malformed(at, f"{match.group()} without <{match.group(2)}>")
        if (between := text[start : match.start()]).strip():
            yield Segment("", between)
        tag = match.group(2)
        close = text.find(f"</{tag}>", match.end())
        if close < 0:
            raise Malformed(at, f"<{tag}> is not closed")
        yield Segment(tag, text[match.end() : close])
        start = close + len(tag) + 3
    if (rest := text[start:]).strip():
        yield Segment("", rest)


def inner(text: str) -> str:
    """The text between two tags, without the line feeds that set the tags apart."""
    if text.startswith("\n") and text.endswith("\n") and len(text) > 1:
        return text[1:-1]
    return text.strip()


def call_of(at: str, text: str) -> Called:
    """The call in a `<tool_call>`: a JSON object with `name` and `arguments`."""
    try:
        value = loads(text.strip())
    except ValueError as error:
        raise Malformed(at, f"the tool call is not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise Malformed(at, 'a tool call is {"name": ..., "arguments": {...}}')
    return called(at, value.get("name"), value.get("arguments"))


def tagged(tag: str, text: str, what: str) -> str:
    """The text in a tag; Unwritable where it holds the closing tag."""
    if f"</{tag}>" in text:
        raise Unwritable(f"{what} holds </{tag}>")
    return f"<{tag}>\n{text}\n</{tag}>"


def tagged_call(call: Mapping[str, Any]) -> str:
    """A call in its tag; in JSON even a closing tag can be written."""
    import json

    text = json.dumps({"name": call["name"], "arguments": call["arguments"]}, ensure_ascii=False)
    text = text.replace("</tool_call>", r"\u003c/tool_call>")
    return f"<tool_call>\n{text}\n</tool_call>"


def untagged(text: str, what: str) -> str:
    """Bare text; Unwritable where it holds any tag."""
    if match := _TAG.search(text):
        raise Unwritable(f"{what} holds {match.group()}")
    return text
