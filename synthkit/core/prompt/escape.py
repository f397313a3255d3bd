"""Keeps special tokens out of row data.

A token such as `<|im_end|>` or `<think>` in data gets a space after its `<`, which no tokenizer reads as the token and
which leaves JSON valid. In a render, every `<` of data is carried as a noncharacter until the text is complete, so
that a token pieced together from several values is found too, and one written in the template is let through.
"""

from __future__ import annotations

import re
from collections.abc import Callable

DATA_LESS = "\ufdd0"
"""Stands for a `<` that came from data."""
ROLE_OPEN, ROLE_NAMED, ROLE_CLOSE = "\ufdd1", "\ufdd2", "\ufdd3"
"""Marks around a role's name and after its text."""

_NAMES = "think|tool_call|tool_response|tools|s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn"
_AFTER = rf"(?=[|\uff5c][^<>\n{DATA_LESS}]{{0,80}}?[|\uff5c]>|/?(?:{_NAMES})>)"
_IN_TEXT = re.compile("<" + _AFTER)
_FROM_DATA = re.compile(DATA_LESS + _AFTER)
_MARKS = re.compile(f"[{ROLE_OPEN}{ROLE_NAMED}{ROLE_CLOSE}]")


def escape_special(text: str) -> str:
    """The text with a space after the `<` of every special token; idempotent, about 0.1 us where there is no `<`."""
    return _IN_TEXT.sub("< ", text) if "<" in text else text


def mark_data(text: str) -> str:
    """Text from data, on its way into a template."""
    if "<" in text:
        text = text.replace("<", DATA_LESS)
    if not text.isascii() and _MARKS.search(text):
        text = _MARKS.sub("", text)
    return text


def settle(text: str) -> str:
    """A rendered text with the marked `<` resolved."""
    return _FROM_DATA.sub("< ", text).replace(DATA_LESS, "<") if DATA_LESS in text else text


def settle_with(text: str) -> tuple[str, Callable[[int], int]]:
    """The same, and where an offset of the marked text is now."""
    if DATA_LESS not in text:
        return text, lambda offset: offset
    added = [match.start() for match in _FROM_DATA.finditer(text)]

    def moved(offset: int) -> int:
        return offset + sum(1 for at in added if at < offset)

    return settle(text), moved
