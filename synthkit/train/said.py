"""The texts of a chat, for what compares texts: contents, reasoning and the arguments of calls, not roles or names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson


def said(messages: Any) -> Iterator[str]:
    """Each text that a chat's messages hold; messages that are none hold none."""
    for message in messages if isinstance(messages, list | tuple) else ():
        if not isinstance(message, Mapping):
            continue
        for key in ("reasoning_content", "content"):
            yield from _parts(message.get(key))
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list | tuple) else ():
            function = call.get("function") if isinstance(call, Mapping) else None
            arguments = function.get("arguments") if isinstance(function, Mapping) else None
            if arguments:
                yield arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


def _parts(content: Any) -> Iterator[str]:
    """A content is a text, or a list of parts of which some are."""
    if isinstance(content, str):
        if content:
            yield content
    elif isinstance(content, list | tuple):
        for part in content:
            if isinstance(part, Mapping):
                yield from _parts(part.get("text"))
