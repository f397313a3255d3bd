"""What a template reads: its free variables with the first place of each, includes followed.

Jinja's own analysis stops at includes and knows no columns; this one walks the syntax tree with the names that are
set, so that a `set`, a loop variable or a macro is not taken for a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from jinja2 import nodes

from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.expr import FILTERS, TESTS
from synthkit.core.expr.compile import position
from synthkit.core.prompt.role import role_of

_ALWAYS = frozenset({"vars", "tools"})
_FUNCTIONS = frozenset({"range", "namespace"})
_SPECIAL = frozenset({"loop", "caller", "varargs", "kwargs"})
_INCLUDES = 200
_DEPTH = 60
_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Extends: "'extends' is not used in prompts; use include",
    nodes.Block: "'block' is not used in prompts; use include",
    nodes.Import: "'import' is not used in prompts; use include",
    nodes.FromImport: "'import' is not used in prompts; use include",
    nodes.ScopedEvalContextModifier: "'autoescape' is not used in prompts",
}


class PromptSyntaxError(SpecError):
    """A template that is not in the language; `mark` is the place in its file."""

    def __init__(self, message: str, mark: Mark, source: str | None = None, help: str | None = None) -> None:
        """`source` is the marked line's text."""
        super().__init__(Problem(message, mark, help, source))
        self.message = message
        self.mark = mark
        self.help = help


@dataclass(frozen=True)
class Source:
    """One template file, parsed."""

    name: str
    path: Path
    text: str
    tree: nodes.Template

    def mark(self, node: nodes.Node) -> Mark:
        """Where the node stands."""
        return Mark(str(self.path), *position(self.text, max(node.lineno - 1, 0)))

    def fail(self, message: str, node: nodes.Node, help: str | None = None) -> PromptSyntaxError:
        """An error at the node."""
        mark = self.mark(node)
        lines = self.text.splitlines()
        return PromptSyntaxError(message, mark, lines[mark.line - 1] if mark.line <= len(lines) else None, help)


@dataclass
class Reads:
    """What was found, in the order of reading."""

    variables: dict[str, Mark] = field(default_factory=dict)
    vars_read: dict[str, Mark] = field(default_factory=dict)
    roles: dict[str, Mark] = field(default_factory=dict)
    files: dict[str, Source] = field(default_factory=dict)
    uses_tools: bool = False


def analyse(source: Source, load: Callable[[str], Source]) -> Reads:
    """Walk a template and what it includes; raises PromptSyntaxError."""
    walk = _Walk(load)
    walk.file(source, set())
    return walk.found


class _Walk:
    def __init__(self, load: Callable[[str], Source]) -> None:
        self.load = load
        self.found = Reads()
        self.stack: list[str] = []
        self.included = 0

    def file(self, source: Source, local: set[str]) -> None:
        self.found.files.setdefault(source.name, source)
        self.stack.append(source.name)
        self.body(source, source.tree.body, local, 0)
        self.stack.pop()

    def body(self, source: Source, body: list[nodes.Node], local: set[str], depth: int) -> None:
        """Statements in order; `local` grows by what they set."""
        for node in body:
            self.node(source, node, local, depth + 1)

    def node(self, source: Source, node: nodes.Node, local: set[str], depth: int) -> None:
        if depth > _DEPTH:
            raise source.fail("the template is nested too deep", node)
        if type(node) in _REFUSED:
            raise source.fail(_REFUSED[type(node)], node)
        match node:
            case nodes.Include():
                self.include(source, node, local)
            case nodes.For():
                self.loop(source, node, local, depth)
            case nodes.If():
                self.branches(source, node, local, depth)
            case nodes.Macro() | nodes.CallBlock():
                self.macro(source, node, local, depth)
            case nodes.With():
                for value in node.values:
                    self.node(source, value, local, depth + 1)
                self.body(source, node.body, local | set(_targets(node.targets)), depth)
            case nodes.Assign():
                self.node(source, node.node, local, depth + 1)
                self.target(source, node.target, local, depth)
            case nodes.AssignBlock():
                self.body(source, node.body, set(local), depth)
                if node.filter is not None:
                    self.node(source, node.filter, local, depth + 1)
                self.target(source, node.target, local, depth)
            case nodes.FilterBlock():
                self.body(source, node.body, set(local), depth)
                self.node(source, node.filter, local, depth + 1)
            case nodes.TemplateData():
                if (role := role_of(node)) is not None:
                    self.found.roles.setdefault(role, source.mark(node))
            case _:
                self.expression(source, node, local)
                for child in node.iter_child_nodes():
                    self.node(source, child, local, depth + 1)

    def expression(self, source: Source, node: nodes.Node, local: set[str]) -> None:
        match node:
            case nodes.Name() if node.name not in local:
                self.name(source, node)
            case nodes.Filter() if node.name not in FILTERS:
                raise source.fail(f"there is no filter '{node.name}'", node, _known(node.name, FILTERS))
            case nodes.Test() if node.name not in TESTS:
                raise source.fail(f"there is no test '{node.name}'", node, _known(node.name, TESTS))
            case nodes.Getattr() if node.attr.startswith("_"):
                raise source.fail(f"'.{node.attr}': fields with a leading underscore cannot be read", node)
            case nodes.Getattr(node=nodes.Name(name="vars")):
                self.found.vars_read.setdefault(node.attr, source.mark(node))

    def name(self, source: Source, node: nodes.Name) -> None:
        if node.name.startswith("_") or node.name in ("self", "super"):
            raise source.fail(f"'{node.name}' cannot be read in a prompt", node)
        if node.name == "tools":
            self.found.uses_tools = True
        if node.name not in _ALWAYS | _FUNCTIONS:
            self.found.variables.setdefault(node.name, source.mark(node))

    def target(self, source: Source, target: nodes.Node, local: set[str], depth: int) -> None:
        if isinstance(target, nodes.NSRef):
            if target.name not in local:
                raise source.fail(f"'{target.name}' is not a namespace set before", target)
            return
        for name in _targets([target]):
            if name in _ALWAYS or name.startswith("_"):
                raise source.fail(f"'{name}' cannot be set", target)
            local.add(name)

    def loop(self, source: Source, node: nodes.For, local: set[str], depth: int) -> None:
        self.node(source, node.iter, local, depth + 1)
        inner = local | set(_targets([node.target])) | {"loop"}
        if node.test is not None:
            self.node(source, node.test, inner, depth + 1)
        self.body(source, node.body, inner, depth)
        self.body(source, node.else_, set(local), depth)

    def branches(self, source: Source, node: nodes.If, local: set[str], depth: int) -> None:
        """A name counts as set after an `if` where every branch sets it."""
        self.node(source, node.test, local, depth + 1)
        ends = []
        branches: list[tuple[nodes.Node | None, list[nodes.Node]]] = [(None, node.body)]
        branches += [(each.test, each.body) for each in node.elif_]
        branches += [(None, node.else_)]
        for test, body in branches:
            if test is not None:
                self.node(source, test, local, depth + 1)
            inner = set(local)
            self.body(source, body, inner, depth)
            ends.append(inner)
        local |= set.intersection(*ends)

    def macro(self, source: Source, node: nodes.Macro | nodes.CallBlock, local: set[str], depth: int) -> None:
        for default in node.defaults:
            self.node(source, default, local, depth + 1)
        if isinstance(node, nodes.CallBlock):
            self.node(source, node.call, local, depth + 1)
        else:
            local.add(node.name)
        inner = local | set(_targets(node.args)) | (_SPECIAL - {"loop"})
        self.body(source, node.body, inner, depth)

    def include(self, source: Source, node: nodes.Include, local: set[str]) -> None:
        if not isinstance(node.template, nodes.Const) or not isinstance(node.template.value, str):
            raise source.fail("an include names one file in quotes", node, 'e.g. {% include "fas/rules.j2" %}')
        name = node.template.value
        self.included += 1
        if name in self.stack:
            raise source.fail(f"'{name}' includes itself", node)
        if self.included > _INCLUDES:
            raise source.fail(f"more than {_INCLUDES} includes", node)
        try:
            included = self.load(name)
        except FileNotFoundError as error:
            if node.ignore_missing:
                return
            raise source.fail(f"included file '{name}' is not there", node, str(error)) from None
        self.file(included, set(local) if node.with_context else set())


def _targets(targets: list[nodes.Node] | list[nodes.Expr] | list[nodes.Name]) -> Iterator[str]:
    for target in targets:
        yield from (each.name for each in target.find_all(nodes.Name))
        if isinstance(target, nodes.Name):
            yield target.name


def _known(name: str, known: object) -> str:
    words = sorted(word for word in known if word.isidentifier())  # type: ignore[attr-defined]
    near = get_close_matches(name, words, 1, 0.5)
    return (f"did you mean '{near[0]}'? " if near else "") + f"there are {', '.join(words)}"
