"""Options of a decision: when two calls are the same, how far apart they are, and in which form they are shown.

No model and no embedding: calls are short, and what tells two of them apart is the tool and the words of its arguments.
About 20 us a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from synthkit.core.expr.normal import norm
from synthkit.core.expr.text import words
from synthkit.core.ids import canonical
from synthkit.core.types.reply import stored_call

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset

Call = Mapping[str, Any]
"""A call as it is stored."""


def kind(call: Call) -> str:
    """The tool's name; `final` for an answer, `say` for words to the user. With a leading `:`, which no tool has."""
    return str(call["name"]) if call["name"] is not None else ":final" if call["final"] is not None else ":say"


def same(call: Call) -> bytes:
    """Equal for calls that do the same: case, width, space, nulls, order of keys and of plain lists do not count."""
    said = call["arguments"] if call["name"] is not None else call["text"]
    return canonical([kind(call), _normal(said)])


def distance(one: Call, other: Call) -> float:
    """0..1: how different two calls are. Half is the tool, half the words of the arguments (1 less their Jaccard)."""
    mine, theirs = words(_plain(one)), words(_plain(other))
    apart = 1 - len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0
    return (apart + (kind(one) != kind(other))) / 2


def variety(calls: Sequence[Call]) -> float:
    """The mean distance of all pairs, 0..1: 0 where all say the same, 1 where no two share a tool or a word."""
    pairs = list(combinations(calls, 2))
    return sum(distance(one, other) for one, other in pairs) / len(pairs) if pairs else 0.0


def in_order(call: Call, toolset: Toolset) -> dict[str, Any]:
    """The call with its arguments in the order of the tool's schema, so that no order of keys tells who wrote it."""
    tool = toolset.tools.get(str(call["name"]))
    if tool is None:
        return dict(call)
    return stored_call({"name": call["name"], "arguments": _ordered(call["arguments"], tool.parameters)})


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(norm(value).split())
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _normal(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        items = [_normal(item) for item in value]
        nested = any(isinstance(item, dict | list) for item in items)
        return items if nested else sorted(items, key=canonical)
    return value


def _plain(call: Call) -> list[Any]:
    """The texts and numbers of a call; of arguments the values, and flags with their names."""
    return [call["text"]] if call["name"] is None else list(_leaves(call["arguments"]))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        found: list[Any] = []
        for key, item in value.items():
            found += [f"{key} {item}".lower()] if isinstance(item, bool) else _leaves(item)
        return found
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _ordered(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        known = schema.get("properties") or {}
        keys = [key for key in known if key in value] + [key for key in value if key not in known]
        return {key: _ordered(value[key], known.get(key) or {}) for key in keys}
    if isinstance(value, list):
        items = schema.get("items")
        return [_ordered(item, items if isinstance(items, Mapping) else {}) for item in value]
    return value
