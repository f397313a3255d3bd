"""Expressions: compiled once, checked for what they read, evaluated over a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.compiler import generate
from jinja2.environment import Template
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.parser import Parser
from jinja2.runtime import Undefined

from synthkit.core.errors import Problem, SpecError, SynthkitError
from synthkit.core.expr.filters import FILTERS, TESTS
from synthkit.core.expr.infer import infer
from synthkit.core.expr.sandbox import Sandbox
from synthkit.core.types.model import Type

if TYPE_CHECKING:
    from synthkit.core.row import Value
    from synthkit.core.toolset import Toolset

LENGTH_LIMIT = 4000
"""Most characters of an expression."""
DEPTH_LIMIT = 40
"""Deepest nesting of an expression."""
FUNCTIONS = frozenset({"p"})
"""Functions every expression may call; a step that has none of that name says so when it evaluates."""
LITERAL_ARGUMENTS = frozenset({"p"})
"""Functions whose bare-word arguments are names and not columns: `p(content)` is `p('content')`."""


class ExprSyntaxError(SpecError):
    """An expression that is not in the language; `offset` counts characters from its beginning."""

    def __init__(self, message: str, offset: int = 0, help: str | None = None) -> None:
        """`help` says what to write in its place."""
        super().__init__(Problem(message, help=help))
        self.message = message
        self.offset = offset
        self.help = help


class ExprError(SynthkitError):
    """An expression that has no value for this row (a missing field, text where a number is needed)."""


class Expression:
    """A compiled expression; equal texts share one."""

    __slots__ = ("_names", "_root", "_template", "names", "text", "vars_read")

    def __init__(self, text: str, functions: frozenset[str]) -> None:
        """Use `compile_expression`, which keeps what it compiled."""
        self.text = text
        self._root = _parse(text, functions)
        found = list(_names(self._root, set()))
        self.names: frozenset[str] = frozenset(found) - {"vars"} - functions
        """Columns that are read."""
        self.vars_read: frozenset[str] = frozenset(_vars(self._root))
        """Names of `vars` that are read."""
        self._names = tuple(sorted(self.names))
        try:
            self._template = _compile(self._root)
        except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:
            raise ExprSyntaxError(
                f"cannot be compiled: {error}", max(getattr(error, "lineno", 1) or 1, 1) - 1
            ) from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def infer(self, columns: Mapping[str, Type], vars: Mapping[str, Any] | None = None) -> Type | None:
        """The type it gives over those columns; None where only values could tell."""
        return infer(self._root, columns, vars or {})

    def evaluate(
        self,
        row: Mapping[str, Value],
        *,
        vars: Mapping[str, Value],
        toolset: Toolset | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Value:
        """The value over a row; `extra` adds names and functions. ExprError says why there is none."""
        context: dict[str, Any] = {name: row[name] for name in self._names if name in row}
        context["vars"] = vars
        if toolset is not None:
            context["_toolset"] = toolset
        if extra:
            context.update(extra)
        template = self._template
        scope = template.new_context(context, shared=True)
        try:
            for _ in template.root_render_func(scope):
                pass
            return _settled(scope.vars["result"])
        except (
            TemplateError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            RecursionError,
        ) as error:
            message = getattr(error, "message", None) or str(error) or error.__class__.__name__
            raise ExprError(f"{message} (in the expression: {self.text})") from error


@lru_cache(maxsize=4096)
def compile_expression(text: str, functions: frozenset[str] = FUNCTIONS) -> Expression:
    """The compiled expression; raises ExprSyntaxError. `functions` are the names it may call."""
    return Expression(text, functions)


@lru_cache(maxsize=1)
def environment() -> Sandbox:
    """The one environment of all expressions."""
    return Sandbox(
        {name: each.call for name, each in FILTERS.items()},
        {name: each.call for name, each in TESTS.items()},
        cache_size=0,
    )


def _parse(text: str, functions: frozenset[str]) -> nodes.Expr:
    if not isinstance(text, str) or not text.strip():
        raise ExprSyntaxError("the expression is empty")
    if len(text) > LENGTH_LIMIT:
        raise ExprSyntaxError(f"an expression has at most {LENGTH_LIMIT} characters, this has {len(text)}")
    if "{{" in text or "{%" in text:
        offset = text.find("{{") if "{{" in text else text.find("{%")
        raise ExprSyntaxError(
            "an expression stands bare, without {{ }} and {% %}", offset, "write  question | length > 20"
        )
    try:
        parser = Parser(environment(), text, state="variable")
        root = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError(
                f"unexpected '{parser.stream.current.value}' after the expression", parser.stream.current.lineno
            )
    except TemplateSyntaxError as error:
        message = _reworded(error.message or "")
        offset = len(text) if message.endswith("'the end'") else min(max(error.lineno - 1, 0), len(text))
        raise ExprSyntaxError(message, offset) from None
    except (RecursionError, MemoryError):
        raise ExprSyntaxError("the expression is nested too deep") from None
    except (ValueError, OverflowError) as error:  # e.g. a number literal of thousands of digits
        raise ExprSyntaxError(f"not an expression: {error}") from None
    _check(root, functions, 0)
    return root


def _reworded(message: str) -> str:
    return message.replace("end of template", "the end").replace("end of print statement", "the end").rstrip(".")


def _check(node: nodes.Node, functions: frozenset[str], depth: int) -> None:
    """Refuse what Jinja parses and this language has not."""
    offset = max(node.lineno - 1, 0) if node.lineno else 0
    if depth > DEPTH_LIMIT:
        raise ExprSyntaxError("the expression is nested too deep", offset)
    if isinstance(node, nodes.Call):
        _check_call(node, functions)
    elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise _unknown("filter", node.name, FILTERS, offset)
    elif isinstance(node, nodes.Test) and node.name not in TESTS:
        raise _unknown("test", node.name, TESTS, offset)
    elif isinstance(node, nodes.Name) and node.name.startswith("_") and node.name != "_id":
        raise ExprSyntaxError(f"'{node.name}': names with a leading underscore cannot be read", offset)
    elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise ExprSyntaxError(f"'.{node.attr}': fields with a leading underscore cannot be read", offset)
    for child in node.iter_child_nodes():
        _check(child, functions, depth + 1)


def _check_call(node: nodes.Call, functions: frozenset[str]) -> None:
    offset = max(node.node.lineno - 1, 0)
    if isinstance(node.node, nodes.Getattr):
        raise ExprSyntaxError(
            f"'.{node.node.attr}(...)': methods cannot be called", offset, "use a filter, as in  question | lower"
        )
    if not isinstance(node.node, nodes.Name) or node.node.name not in functions:
        name = node.node.name if isinstance(node.node, nodes.Name) else "this"
        raise ExprSyntaxError(
            f"'{name}' cannot be called",
            offset,
            f"functions are {', '.join(sorted(functions))}; a filter is written  x | {name}",
        )
    if node.node.name in LITERAL_ARGUMENTS:
        node.args = [
            nodes.Const(arg.name, lineno=arg.lineno, environment=node.environment)
            if isinstance(arg, nodes.Name)
            else arg
            for arg in node.args
        ]


def _unknown(kind: str, name: str, known: Iterable[str], offset: int) -> ExprSyntaxError:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    words = ", ".join(sorted(each for each in known if each.isidentifier()))
    return ExprSyntaxError(f"there is no {kind} '{name}'", offset, f"{hint}{kind}s are {words}")


def _names(node: nodes.Node, local: set[str]) -> Iterator[str]:
    """Free names, in order."""
    if isinstance(node, nodes.Name):
        yield node.name
    for child in node.iter_child_nodes():
        yield from _names(child, local)


def _vars(node: nodes.Node) -> Iterator[str]:
    """Fields of `vars` that are named."""
    base = getattr(node, "node", None)
    if isinstance(base, nodes.Name) and base.name == "vars":
        if isinstance(node, nodes.Getattr):
            yield node.attr
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            yield str(node.arg.value)
    for child in node.iter_child_nodes():
        yield from _vars(child)


def _compile(root: nodes.Expr) -> Template:
    env = environment()
    result = nodes.Assign(nodes.Name("result", "store", lineno=1), root, lineno=1)
    tree = nodes.Template([result], lineno=1)
    tree.set_environment(env)
    source = generate(tree, env, None, None, optimized=True)
    code = compile(source or "", "<expression>", "exec")
    return Template.from_code(env, code, {}, None)


def _settled(value: Any) -> Value:
    """The value without iterators and undefined parts."""
    kind = value.__class__
    if kind is bool or kind is str or kind is int or kind is float or value is None:
        return value
    if isinstance(value, Undefined):
        if kind is Undefined:  # `x if y` without else
            return None
        value._fail_with_undefined_error()
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_settled(item) for item in value]
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {kind.__name__} is not a value")
