"""The closed vocabulary: every filter and test, with a line of documentation and what it gives.

Jinja's filters that can grow a value without bound, run code by name or write HTML are absent (`format`, `center`,
`attr`, `safe`, `xmlattr`, ...); those that are bounded here (`join`, `replace`, `indent`, `round`) are our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2.filters
import jinja2.tests
from jinja2.runtime import Context, Undefined
from jinja2.utils import pass_context, pass_environment
from markupsafe import Markup

from synthkit.core.expr import answers, figures, foreign, text
from synthkit.core.expr.sandbox import TEXT_LIMIT, Sandbox, text_of
from synthkit.core.ids import digest

_JINJA: dict[str, Any] = dict(jinja2.filters.FILTERS)
_JINJA_TESTS: dict[str, Any] = dict(jinja2.tests.TESTS)


@dataclass(frozen=True, slots=True)
class Filter:
    """One word of the expression language."""

    name: str
    call: Callable[..., Any]
    gives: str
    """A type of the out: language, or a rule: `same`, `item`, `items`, `picked`, `mapped`, `default`, `number`."""
    about: str
    """One line, beginning with its signature where it takes arguments."""


def tojson(value: Any, indent: int | None = None) -> str:
    """JSON text, other scripts as they are; a stored call is written as the model replies it."""
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping | list | tuple):
        value = list(value)
    step = None if indent is None else max(0, min(int(indent), 8))
    return json.dumps(_as_replied(value), ensure_ascii=False, indent=step, default=_refuse)


def _as_replied(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() - {"say"} == {"name", "arguments", "final", "text"}:
            words = next((name for name in ("final", "say") if value.get(name) is not None), None)
            return {name: value[name] for name in ([words] if words else ["name", "arguments"])}
        return {key: _as_replied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_replied(item) for item in value]
    return value


def _refuse(value: Any) -> Any:
    return text_of(value)  # an undefined value says what is missing


@pass_environment
def _join(environment: Sandbox, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    parts = list(value)
    if attribute is not None:
        parts = [_field(environment, part, attribute) for part in parts]
    if not d:
        return environment.concatenate(parts)
    return environment.concatenate([piece for part in parts for piece in (d, part)][1:])


def _field(environment: Sandbox, item: Any, path: str | int) -> Any:
    for name in str(path).split("."):
        item = environment.getitem(item, int(name) if name.isdigit() else name)
    return item


@pass_environment
def _replace(environment: Sandbox, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    body, old, new = text_of(value), text_of(old), text_of(new)
    if isinstance(body, Markup):
        old, new = Markup(environment.substitute(old)), Markup(environment.substitute(new))
    if len(body) + (body.count(old) if old else len(body) + 1) * max(0, len(new) - len(old)) > TEXT_LIMIT:
        raise OverflowError(f"a text of more than {TEXT_LIMIT} characters")
    return (
        str.replace(body, old, new, -1 if count is None else count)
        if not isinstance(body, Markup)
        else Markup(str.replace(body, old, new, -1 if count is None else count))
    )


def _after(value: Any, mark: Any) -> str:
    return text_of(value).rpartition(text_of(mark))[2]


def _before(value: Any, mark: Any) -> str:
    return text_of(value).partition(text_of(mark))[0]


def _share(value: Any, salt: str = "") -> float:
    return int(digest([str(salt), text_of(value)])[:13], 16) / 16**13


def _indent(value: Any, width: int = 4, first: bool = False) -> str:
    body, pad = text_of(value), " " * max(0, min(int(width), 16))
    lines = body.split("\n")
    shifted = "\n".join(pad + line if line and (first or number) else line for number, line in enumerate(lines))
    return Markup(shifted) if isinstance(body, Markup) else shifted


def _round(value: float, precision: int = 0) -> float | int:
    result = round(float(value), max(-12, min(int(precision), 12)))
    return int(result) if precision <= 0 and isinstance(value, int) else result


def _truncate(value: Any, length: int = 255, end: str = "...") -> str:
    body = text_of(value)
    if len(body) <= length:
        return body
    return body[: max(0, int(length) - len(end))] + str.__str__(end)


def _pick(items: Any, ids: Any) -> Any:
    for value in (items, ids):
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()
    if not isinstance(items, list):
        raise TypeError(f"'pick' is for a list of items, not {items.__class__.__name__}")
    if isinstance(ids, list | tuple):
        wanted = {str(each) for each in ids}
        return [item for number, item in enumerate(items, 1) if _id(item, number) in wanted]
    for number, item in enumerate(items, 1):
        if _id(item, number) == str(ids):
            return item
    raise LookupError(f"no item has the id '{ids}'")


def _id(item: Any, number: int) -> str:
    return str(item["id"]) if isinstance(item, dict) and "id" in item else str(number)


@pass_context
def _valid(context: Context, call: Any) -> bool:
    toolset = context.get("_toolset")
    if toolset is None:
        raise TypeError("'is valid' needs a toolset: name one at the top of the spec (toolset: FILE)")
    return call is not None and toolset.problem(call) is None


def _length(value: Any) -> int:
    if value is None:
        raise TypeError("none has no length")
    return len(value) if hasattr(value, "__len__") else sum(1 for _ in value)


def _int(value: Any, default: int = 0) -> int:
    return int(_JINJA["int"](value.replace(",", "") if isinstance(value, str) else value, default))


_OWN = [
    Filter("mentions", text.mentions, "bool", "mentions(names): any of the names occurs in the text as a whole word"),
    Filter("dangling", text.dangling, "bool", "a statement that begins with a pronoun nothing before it explains"),
    Filter("figures", figures.figures, "[str]", "numbers, percentages and dates of the text, normalised and sorted"),
    Filter(
        "foreign_figures",
        foreign.foreign_figures,
        "[str]",
        "foreign_figures(known): figures of the text that are not known, nor rounded or computed from known ones",
    ),
    Filter(
        "overlap",
        text.overlap,
        "float",
        "overlap(other, pairs=true): share of the text's word set found in the other, 0..1; pairs or single characters "
        "of Chinese",
    ),
    Filter(
        "pick",
        _pick,
        "picked",
        "pick(ids): the items whose `id` (or number, from 1) is among ids, in order; one id gives one item",
    ),
    Filter(
        "same_answer",
        answers.same_answer,
        "bool",
        "same_answer(other): equal but for case, articles, punctuation, form of numbers and dates",
    ),
    Filter(
        "echoed_in",
        text.echoed_in,
        "bool",
        "echoed_in(text): the text has all figures and 60 % of the words of the statement",
    ),
]
_TEXT = [
    Filter("lower", _JINJA["lower"], "str", "in lower case"),
    Filter("upper", _JINJA["upper"], "str", "in upper case"),
    Filter("title", _JINJA["title"], "str", "every word with a capital"),
    Filter("capitalize", _JINJA["capitalize"], "str", "the first letter a capital, the others small"),
    Filter("trim", _JINJA["trim"], "str", "without space (or the characters given) at both ends"),
    Filter("replace", _replace, "str", "replace(old, new): every occurrence replaced"),
    Filter("after", _after, "str", "after(mark): what follows the last occurrence of the mark, or all"),
    Filter("before", _before, "str", "before(mark): what stands before the first occurrence of the mark, or all"),
    Filter("truncate", _truncate, "str", "truncate(length, end='...'): cut to that many characters"),
    Filter("indent", _indent, "str", "indent(width=4, first=false): lines shifted to the right"),
    Filter("string", text_of, "str", "as text; lists and objects as JSON"),
    Filter("join", _join, "str", "join(d='', attribute=none): items joined to one text"),
    Filter("tojson", tojson, "str", "tojson(indent=none): as JSON text"),
    Filter("wordcount", _JINJA["wordcount"], "int", "number of words of a spaced script"),
]
_LISTS = [
    Filter("length", _length, "int", "characters of a text, items of a list"),
    Filter("count", _length, "int", "the same as length"),
    Filter("first", _JINJA["first"], "item", "the first item"),
    Filter("last", _JINJA["last"], "item", "the last item"),
    Filter("list", _JINJA["list"], "items", "as a list"),
    Filter("sort", _JINJA["sort"], "items", "sort(reverse=false, case_sensitive=false, attribute=none): in order"),
    Filter("unique", _JINJA["unique"], "items", "unique(case_sensitive=false, attribute=none): without repeats"),
    Filter("reverse", _JINJA["reverse"], "items", "from the end"),
    Filter("select", _JINJA["select"], "items", "select(test): items for which the test holds"),
    Filter("reject", _JINJA["reject"], "items", "reject(test): items for which the test does not hold"),
    Filter("selectattr", _JINJA["selectattr"], "items", "selectattr(field, test): items whose field passes the test"),
    Filter("rejectattr", _JINJA["rejectattr"], "items", "rejectattr(field, test): items whose field does not pass"),
    Filter("map", _JINJA["map"], "mapped", "map(filter) or map(attribute=field): each item turned"),
    Filter("sum", _JINJA["sum"], "item", "sum(attribute=none): of numbers"),
    Filter("min", _JINJA["min"], "item", "min(attribute=none): the least item"),
    Filter("max", _JINJA["max"], "item", "max(attribute=none): the greatest item"),
    Filter("groupby", _JINJA["groupby"], "json", "groupby(field): pairs (grouper, list)"),
    Filter("items", _JINJA["items"], "json", "pairs (key, value) of an object"),
    Filter("dictsort", _JINJA["dictsort"], "json", "pairs (key, value) of an object by key"),
]
_VALUES = [
    Filter(
        "default",
        _JINJA["default"],
        "default",
        "default(value, boolean=false): another value where this is undefined (or falsy)",
    ),
    Filter("int", _int, "int", "int(default=0): as a whole number"),
    Filter("float", _JINJA["float"], "float", "float(default=0.0): as a number"),
    Filter("abs", _JINJA["abs"], "item", "the absolute value"),
    Filter("share", _share, "float", "share(salt=''): a number 0..1 drawn from the value; x | share < 0.5 is a half"),
    Filter("round", _round, "float", "round(precision=0)"),
]

FILTERS: Mapping[str, Filter] = {each.name: each for each in (*_OWN, *_TEXT, *_LISTS, *_VALUES)}
"""Every filter, by name."""

_PLAIN = {
    "defined": "a value that is there",
    "undefined": "a value that is not there",
    "none": "none",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "float": "a number with a fraction",
    "boolean": "true or false",
    "true": "true",
    "false": "false",
    "mapping": "an object",
    "sequence": "a list or text",
    "iterable": "something with items",
    "lower": "text in lower case",
    "upper": "text in upper case",
    "even": "an even number",
    "odd": "an odd number",
    "divisibleby": "divisibleby(n)",
    "in": "in(list): one of the items",
    "eq": "eq(other): equal; also ==",
    "ne": "ne(other): not equal; also !=",
    "lt": "lt(other): less; also <",
    "le": "le(other): at most; also <=",
    "gt": "gt(other): more; also >",
    "ge": "ge(other): at least; also >=",
    "==": "equal",
    "!=": "not equal",
    "<": "less",
    "<=": "at most",
    ">": "more",
    ">=": "at least",
}

TESTS: Mapping[str, Filter] = {
    **{name: Filter(name, _JINJA_TESTS[name], "bool", about) for name, about in _PLAIN.items()},
    "valid": Filter(
        "valid", _valid, "bool", "a call that names a tool of the toolset with right arguments, or a final answer"
    ),
    **{each.name: each for each in _OWN if each.gives == "bool"},
}
"""Every test (`x is test`, `select('test')`), by name."""
