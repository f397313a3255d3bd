"""The Jinja environment under expressions and prompts: a closed language with bounded values.

Stricter than Jinja's own sandbox, which allows every method of text and every multiplication: attributes are fields
of dicts and a short list of methods, texts cannot be multiplied, numbers stop at 512 bits, texts at a million
characters, loops at 100,000 turns a render.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError
from jinja2.lexer import Lexer
from jinja2.runtime import Context, LoopContext, StrictUndefined, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.utils import missing as _ABSENT
from markupsafe import Markup

from synthkit.core.expr.compile import Code, PositionLexer

TEXT_LIMIT = 1_000_000
"""Most characters of any text that a template or expression makes."""
TURNS = 100_000
"""Most loop turns and calls of one render."""
RANGE_LIMIT = 10_000
"""Most items of one `range`."""
_BITS = 512
_LIST_LIMIT = 1_000_000

METHODS = frozenset(
    [
        "items",
        "keys",
        "values",
        "get",
        "lower",
        "upper",
        "title",
        "capitalize",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "startswith",
        "endswith",
        "count",
        "index",
        "find",
    ]
)
"""Methods of dicts, texts and lists that prompts may call."""
_LOOP = frozenset(
    [
        "index",
        "index0",
        "revindex",
        "revindex0",
        "first",
        "last",
        "length",
        "previtem",
        "nextitem",
        "depth",
        "depth0",
        "cycle",
        "changed",
    ]
)


class Missing(StrictUndefined):
    """A name, field or item that is not there; any use of it is an error that says what is."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name: Any = self._undefined_name
        obj: Any = self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint
        if obj is None:
            return f"'{name}' of none"
        if isinstance(obj, dict):
            return f"there is no field '{name}'; there is {', '.join(map(str, list(obj)[:12])) or 'nothing'}"
        if isinstance(obj, list | tuple | str) and isinstance(name, int):
            return f"there is no item {name} in {len(obj)}"
        if obj is _ABSENT or name is None:
            return f"'{name}' is not defined"
        return f"a {_kind(obj)} has no field '{name}'"


class Sandbox(SandboxedEnvironment):
    """Compiles untrusted expressions and templates."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(
        self, filters: dict[str, Callable[..., Any]], tests: dict[str, Callable[..., Any]], **options: Any
    ) -> None:
        """`filters` and `tests` are the whole vocabulary; `options` go to Jinja."""
        super().__init__(undefined=Missing, auto_reload=False, **options)
        self.code_generator_class = Code
        self.globals.clear()
        self.filters = dict(filters)
        self.tests = dict(tests)
        self._positions = PositionLexer(self)

    @property
    def lexer(self) -> Lexer:
        """The lexer that counts characters in place of lines."""
        return self._positions

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field; then a method of the closed list."""
        if obj.__class__ is dict and attribute in obj:
            return obj[attribute]
        if obj.__class__ is LoopContext and attribute in _LOOP:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            _use(obj)
        if attribute in METHODS and isinstance(obj, dict | str | list) and hasattr(obj, attribute):
            return getattr(obj, attribute)
        if isinstance(obj, Namespace) and not attribute.startswith("_"):
            return super().getattr(obj, attribute)
        if isinstance(obj, tuple) and attribute in ("grouper", "list"):  # what groupby gives
            return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a dict, list or text; a slice."""
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                if isinstance(argument, str):
                    return self.getattr(obj, argument)
                return self.undefined(obj=obj, name=argument)
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, Undefined):
            _use(obj)
        return self.undefined(obj=obj, name=argument)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what the language lets one name; each call is a turn."""
        spend(context, 1)
        if not self.is_safe_callable(obj):
            raise SecurityError(f"a {_kind(obj)} cannot be called")
        return context.call(obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic with bounds."""
        if operator == "+":
            return self._add(left, right)
        for side in (left, right):
            if isinstance(side, Undefined):
                _use(side)
            if not isinstance(side, int | float):
                raise TypeError(f"'{operator}' is for numbers, not for a {_kind(side)}")
        if operator == "%":
            return left % right
        if operator == "*":
            return _bounded(left * right)
        if abs(right) > _BITS or (isinstance(left, int) and left.bit_length() * abs(right) > _BITS):
            raise OverflowError("the power is too large")
        return _bounded(left**right)

    def _add(self, left: Any, right: Any) -> Any:
        if isinstance(left, str) and isinstance(right, str):
            return self.concatenate((left, right))
        if isinstance(left, list) and isinstance(right, list) and len(left) + len(right) > _LIST_LIMIT:
            raise OverflowError(f"a list of more than {_LIST_LIMIT} items")
        for side in (left, right):
            if isinstance(side, Undefined):
                _use(side)
        if isinstance(left, str) or isinstance(right, str) or left is None or right is None:
            raise TypeError(f"'+' cannot join a {_kind(left)} and a {_kind(right)}; use '~' to join texts")
        return left + right

    def concatenate(self, parts: Iterable[Any]) -> str:
        """What `~` makes: text, kept as template text where one part is."""
        texts, markup = [], False
        for part in parts:
            markup = markup or isinstance(part, Markup)
            texts.append(part if isinstance(part, str) else text_of(part))
        if markup:
            return Markup(self.concat(t if isinstance(t, Markup) else self.substitute(t) for t in texts))
        return self.concat(texts)

    def substitute(self, value: Any) -> str:
        """Data on its way into template text; prompts mark it here."""
        return text_of(value)

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Join, up to the limit."""
        size, kept = 0, []
        for part in parts:
            size += len(part)
            if size > TEXT_LIMIT:
                raise OverflowError(f"a text of more than {TEXT_LIMIT} characters")
            kept.append(part)
        return "".join(kept)


def text_of(value: Any) -> str:
    """A value as text: as JSON writes it, so true, false and no Python reprs."""
    if isinstance(value, str):
        return value
    if value is None:
        raise TypeError("a value that is none cannot become text; give another with `or`")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Undefined):
        if value.__class__ is Undefined:  # `x if y` without else
            return ""
        _use(value)
    from synthkit.core.expr.filters import tojson

    return tojson(value)


def spend(context: Context, turns: int) -> None:
    """Take turns off the budget of this render; expressions have none, for they have no loops."""
    budget = context.parent.get("_budget")
    if budget is not None:
        budget[0] -= turns
        if budget[0] < 0:
            raise OverflowError(f"more than {TURNS} loop turns and calls")


def _use(value: Undefined) -> NoReturn:
    value._fail_with_undefined_error()


def _kind(value: Any) -> str:
    if value is None:
        return "none"
    names = {
        str: "text",
        Markup: "text",
        bool: "truth value",
        int: "number",
        float: "number",
        list: "list",
        dict: "object",
    }
    return names.get(type(value), type(value).__name__)


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise OverflowError("the number is too large")
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return value


__all__ = ["RANGE_LIMIT", "TEXT_LIMIT", "TURNS", "Missing", "Sandbox", "SecurityError", "spend", "text_of"]
