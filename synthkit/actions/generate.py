"""`generate`: ask a model, declare its reply once, get rows.

One call for each combination of `each`, side by side, `n` samples a call; `explode` makes a row of each item of a list.
The path of a row is (values of `each`, sample index, item index), so a larger `n` or another style keeps the ids and
the replies of the old ones. A reply that does not fit `out` is asked again with the error, then set
aside; its siblings go on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.core.action import Cost, Model, OutType, Prompt, RowAction, Scope
from synthkit.core.context import Context
from synthkit.core.row import Child, Reply, Row, Value
from synthkit.core.sizes import Count, Share

if TYPE_CHECKING:
    from synthkit.core.types import Type

Scalar = bool | int | float | str


class Generate(RowAction):
    """Ask a model about each row; the fields of its reply become columns.

    Gives: a row for each combination of `each`, each sample, and each item where a list is exploded: the names of
    `each` and the fields of `out`.

    Errors: a reply that is not of its type fails the sample, after `reask` attempts; filtered `no LIST` where all
    exploded lists are empty.

    Source: ours.
    """

    verb: ClassVar[str] = "generate"

    model: Model
    """Role that is asked."""
    prompt: Prompt
    """Template of the question; what it mentions is what it reads."""
    out: OutType
    """The reply: name -> type. It constrains decoding, parses the reply and types the columns."""
    n: Annotated[Count, Field(ge=1)] = 1
    """Samples of each call."""
    each: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = Field(default_factory=dict)
    """Name -> values: one call for each combination; the names are template variables and become columns."""
    explode: str | None = None
    """A list of `out`: each of its items is a row; the list itself is dropped."""
    blind: list[str] = Field(default_factory=list)
    """Columns that the template may not read; checked by `plan`."""
    replace: list[str] = Field(default_factory=list)
    """Existing columns that the reply takes the place of."""
    reject_rate: Share = 0.5
    """Share of failed rows, after 100, at which the run stops."""

    def keeps_id(self) -> bool:
        """One sample of one call, not exploded, is the row itself with more columns."""
        return self.n == 1 and not self.each and self.explode is None

    def provides(self) -> frozenset[str]:
        """The names of `each`."""
        return frozenset(self.each)

    def cost(self) -> Cost:
        """Combinations times samples; items of a list count as three until a pilot says better."""
        calls = len(list(self._combinations()))
        return Cost(calls, self.n, calls * self.n * (3 if self.explode else 1))

    def reads(self, scope: Scope) -> frozenset[str]:
        """What the template reads, and the lists that a `ref` of the reply points into."""
        reply = scope.type(self.out, ("out",))
        refs = {ref for ref, _ in _refs(reply, ())} if reply else set()
        return super().reads(scope) | (refs & scope.columns.keys())

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """Names of `each` and the fields of the reply, or of an item of the exploded list."""
        from synthkit.core.types import ListOf, Object

        reply = scope.type(self.out, ("out",))
        if reply is None:
            return {}
        if not isinstance(reply, Object):
            scope.problem(f"`out` must name the columns, not be {reply}", ("out",), help="out: {answer: str(1..400)}")
            return {}
        found = {name: _values(values) for name, values in self.each.items()}
        fields = dict(reply.fields)
        if self.explode is not None:
            listed = fields.pop(self.explode, None)
            if not isinstance(listed, ListOf):
                kind = f"it is {listed}" if listed else f"`out` has {', '.join(sorted(reply.fields))}"
                scope.problem(f"explode: {self.explode!r} is not a list of `out` ({kind})", ("explode",))
                return {}
            item = dict(listed.of.fields) if isinstance(listed.of, Object) else {self.explode: listed.of}
            self._once(item, fields, "both in the list's items and beside the list", scope)
            fields |= item
        self._once(found, fields, "both in `each` and in the reply", scope)
        return found | fields

    def _once(self, names: Mapping[str, Type], others: Mapping[str, Type], where: str, scope: Scope) -> None:
        for name in sorted(names.keys() & others.keys()):
            scope.problem(f"{name!r} stands {where}; rename one", ("out",))

    def check(self, scope: Scope) -> None:
        """Blindness, references, tool calls and sampling that cannot work."""
        from synthkit.core.types import ListOf

        role = scope.role(self.model)
        if role is not None and role.temperature == 0 and self.n > 1:
            scope.problem(f"{self.n} samples at temperature 0 are the same reply {self.n} times", ("n",), help="n: 1")
        prompt = scope.prompt(self.prompt, ("prompt",))
        for index, name in enumerate(self.blind):
            if name not in scope.columns:
                scope.problem(f"blind: there is no column {name!r}", ("blind", index), help=_known(scope.columns))
            elif prompt is not None and name in prompt.reads:
                scope.problem(
                    f"the template must not read {name!r}, and does at {prompt.reads[name]}",
                    ("blind", index),
                    help="take it out of the template; a model that sees it gives the answer away",
                )
        for index, name in enumerate(self.replace):
            if name not in scope.columns:
                scope.problem(f"replace: there is no column {name!r}", ("replace", index), help=_known(scope.columns))
        reply = scope.type(self.out, ("out",))
        for name, at in _refs(reply, ("out",)) if reply else ():
            if not isinstance(scope.columns.get(name), ListOf):
                scope.problem(f"ref({name}) needs a list column {name!r}", at[:2], help=_known(scope.columns))
        if reply and scope.toolset is None and (at_call := next(_calls(reply, ("out",)), None)):
            scope.problem("a `call` needs tools", at_call[:2], help="name a `toolset:` at the top of the spec")

    @cached_property
    def reply(self) -> Type:
        """The declared reply, parsed once."""
        from synthkit.core.types import parse_type

        return parse_type(self.out)

    def _combinations(self) -> Iterator[dict[str, Value]]:
        """Every combination of the values of `each`; one empty one without `each`."""
        for values in product(*self.each.values()):
            yield dict(zip(self.each, values, strict=True))

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """A row for each sample, or for each item of its list."""
        from synthkit.actions.together import together

        combinations = list(self._combinations())
        answers = await together(
            ctx.ask(self.model, self.prompt, row, key=_key(values), n=self.n, out=self.reply, **values)
            for values in combinations
        )
        made = 0
        for values, replies in zip(combinations, answers, strict=True):
            for reply in replies:
                for child in self._children(row.child(values, tuple(values.values())), reply):
                    made += 1
                    yield child
        if not made and any(answers):
            ctx.reject(f"no {self.explode}")

    def _children(self, parent: Child, reply: Reply) -> Iterator[Child]:
        """The rows of one sample."""
        if self.explode is None:
            yield parent | reply
            return
        rest = {name: value for name, value in reply.items() if name != self.explode}
        for index, item in enumerate(reply[self.explode]):
            columns = item if isinstance(item, Mapping) else {self.explode: item}
            yield Child(parent.parent, {**parent.columns, **rest, **columns}, (*parent.path, *reply.path, index))


def _key(values: Mapping[str, Value]) -> str:
    """The call's name within its row, made of the values and not of their place: `style="factual"`."""
    return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()) or "main"


def _values(values: list[Scalar]) -> Type:
    """The type of a name of `each`."""
    from synthkit.core.types import Bool, Choice, Float, Int, Str

    if all(isinstance(value, str) and value for value in values):
        return Choice(tuple(dict.fromkeys(str(value) for value in values)))
    if all(isinstance(value, bool) for value in values):
        return Bool()
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return Int()
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return Float()
    return Str()


def _inner(type: Type) -> Iterator[tuple[str | int, Type]]:
    """The types a type is made of, with the name of each field."""
    from synthkit.core.types import ListOf, MapOf, Object, Optional

    if isinstance(type, Object):
        yield from type.fields.items()
    elif isinstance(type, ListOf | MapOf | Optional):
        yield "of", type.of


def _refs(type: Type, at: tuple[str | int, ...]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Columns that a reply refers into, and where."""
    from synthkit.core.types import Ref

    if isinstance(type, Ref):
        yield type.column, at
    for name, inner in _inner(type):
        yield from _refs(inner, (*at, name))


def _calls(type: Type, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Where a reply holds tool calls."""
    from synthkit.core.types import Call

    if isinstance(type, Call):
        yield at
    for name, inner in _inner(type):
        yield from _calls(inner, (*at, name))


def _known(columns: Mapping[str, Type]) -> str:
    return f"there are: {', '.join(sorted(columns)) or 'none'}"
