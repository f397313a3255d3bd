"""Random strings that match a regular expression, for fake replies.

Walks the parse tree of Python's own `re`, so whatever `re` accepts is understood, except look-around and
back-references to groups that were not drawn yet: a string is drawn, then checked against the expression and the
length bounds, and drawn again with longer repeats where it is too short. A few microseconds a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from random import Random
from typing import Any

_SPARE = 4
"""How far an unbounded repeat goes beyond its minimum."""
_TRIES = 200
_PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
_CATEGORIES = {
    "CATEGORY_DIGIT": [c for c in _PRINTABLE if c.isdigit()],
    "CATEGORY_SPACE": [" "],
    "CATEGORY_WORD": [c for c in _PRINTABLE if c.isalnum() or c == "_"],
    "CATEGORY_NOT_DIGIT": [c for c in _PRINTABLE if not c.isdigit()],
    "CATEGORY_NOT_SPACE": [c for c in _PRINTABLE if c != " "],
    "CATEGORY_NOT_WORD": [c for c in _PRINTABLE if not (c.isalnum() or c == "_")],
}


def matching(pattern: str, random: Random, least: int = 0, most: int | None = None, *, whole: bool = False) -> str:
    """A string that `pattern` matches, of `least` to `most` characters.

    JSON Schema's `pattern` may match anywhere in the string, so a match of the expression is enough; with `whole`
    the expression must match the entire string. ValueError where no such string was found.
    """
    tree, compiled = _parse(pattern)
    for attempt in range(_TRIES):
        text = "".join(_draw(tree, random, {}, attempt * least // _TRIES if attempt else 0))
        fits = len(text) >= least and (most is None or len(text) <= most)
        if fits and (compiled.fullmatch(text) if whole else compiled.search(text)):
            return text
        if not whole and len(text) < least and not pattern.endswith("$"):
            text += "x" * (least - len(text))
            if (most is None or len(text) <= most) and compiled.search(text):
                return text
    raise ValueError(f"no string of {least} to {most or 'any'} characters was found for the pattern {pattern!r}")


@lru_cache(maxsize=256)
def _parse(pattern: str) -> tuple[Any, re.Pattern[str]]:
    from re import _parser  # type: ignore[attr-defined]

    return _parser.parse(pattern), re.compile(pattern)


def _draw(tree: Iterable[Any], random: Random, groups: dict[int, str], stretch: int) -> list[str]:
    """Strings for each node of a parse tree; `stretch` lengthens unbounded and generous repeats."""
    parts: list[str] = []
    for op, argument in tree:
        name = str(op)
        if name == "LITERAL":
            parts.append(chr(argument))
        elif name == "NOT_LITERAL":
            parts.append(random.choice([c for c in _PRINTABLE if ord(c) != argument]))
        elif name == "ANY":
            parts.append(random.choice(_PRINTABLE))
        elif name == "IN":
            parts.append(random.choice(_members(argument)))
        elif name == "BRANCH":
            parts += _draw(random.choice(argument[1]), random, groups, stretch)
        elif name == "SUBPATTERN":
            text = "".join(_draw(argument[-1], random, groups, stretch))
            if argument[0] is not None:
                groups[argument[0]] = text
            parts.append(text)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, body = argument
            count = random.randint(min(low + stretch, int(high)), min(low + stretch + _SPARE, int(high)))
            for _ in range(count):
                parts += _draw(body, random, groups, stretch)
        elif name == "ATOMIC_GROUP":
            parts += _draw(argument, random, groups, stretch)
        elif name == "GROUPREF":
            parts.append(groups.get(argument, ""))
        elif name not in ("AT", "ASSERT", "ASSERT_NOT"):
            raise ValueError(f"fake replies cannot be drawn for {name.lower()} in a pattern")
    return parts


def _members(items: list[Any]) -> list[str]:
    """The characters of a set, printable ones where it is negated."""
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    chars: list[str] = []
    for op, argument in items[1:] if negated else items:
        if str(op) == "LITERAL":
            chars.append(chr(argument))
        elif str(op) == "RANGE":
            low, high = argument
            chars += [chr(code) for code in range(low, min(high, low + 255) + 1)]
        else:
            chars += _CATEGORIES[str(argument)]
    return [c for c in _PRINTABLE if c not in set(chars)] if negated else chars
