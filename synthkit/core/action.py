"""Actions: parameters and behaviour in one class; the verb is the key in YAML.

The planner knows what an action reads and writes from its fields alone: a field annotated `Column` names a column
it reads, `Expr` and `Prompt` read what their text mentions, `NewColumn` is written. What is not declared cannot be
read at run time, so the hash of the declared columns decides what is computed again. Row actions stream one row to
0..k rows; table actions are barriers; source actions have no input.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from synthkit.core.engine import Capability, Role
from synthkit.core.row import Child, Row, Value

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.context import Context, TableContext
    from synthkit.core.expr import Expression
    from synthkit.core.part import Part
    from synthkit.core.prompt import Prompt as PromptFile
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type

MeaningName = Literal["column", "new column", "expr", "prompt", "model", "step", "origin", "type"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Says what a string field stands for; the planner and the editor schema read it."""

    name: MeaningName


Column = Annotated[str, Meaning("column")]
"""Name of a column that is read."""
NewColumn = Annotated[str, Meaning("new column")]
"""Name of a column that is added."""
Expr = Annotated[str, Meaning("expr")]
"""A bare Jinja expression over the columns and `vars`."""
Prompt = Annotated[str, Meaning("prompt")]
"""Path of a template, looked up beside the spec and in `prompts/`."""
Model = Annotated[str, Meaning("model")]
"""Name of a role under `models:`."""
StepName = Annotated[str, Meaning("step")]
"""Name of another step, whose table is read too."""
Origin = Annotated[str, Meaning("origin")]
"""Name of a column, or else of a step above: rows that come from one of its rows belong together."""
OutType = Annotated[Any, Meaning("type")]
"""A type of the `out:` language: a string, or a mapping of field name to type."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an input row costs before a pilot says better; the plan's estimate multiplies it along the graph."""

    calls: float = 0
    """Requests for one input row (items of `each`, criteria asked one by one)."""
    samples: float = 1
    """Replies of one request (`n`, `votes`)."""
    rows: float = 1
    """Rows given for one input row, nothing rejected."""
    total: float | None = None
    """Rows given in all, where the input does not decide (a sampler's `count`, a source that can tell cheaply)."""


class Scope(Protocol):
    """What an action may ask at plan time, before anything runs."""

    step: str
    columns: Mapping[str, Type]
    """Columns of the input rows."""
    vars: Mapping[str, Value]
    toolset: Toolset | None

    def role(self, name: str) -> Role | None:
        """The role of that name; None (and a problem) where there is none."""
        ...

    def capabilities(self, role: str) -> frozenset[Capability]:
        """What the role's engine can do; empty where the role is unknown."""
        ...

    def identity(self, role: str) -> Mapping[str, Value]:
        """What the replies of the role's engine depend on; empty where the role is unknown."""
        ...

    def step_columns(self, step: str) -> Mapping[str, Type]:
        """Columns of another step's rows (`StepName` fields)."""
        ...

    def step_parts(self, step: str) -> Mapping[str, Part]:
        """Columns of another step that are parts of a list of its input; empty where it has none."""
        ...

    def part_of(self, column: str) -> Part | None:
        """The part of a list that an input column is; None where it is none."""
        ...

    def is_origin(self, step: str) -> bool:
        """Whether each input row comes from one row of that step, by way of steps that carry columns."""
        ...

    def published(
        self,
        table: str,
        *,
        spec: str | None,
        run: str | None,
        with_vars: Mapping[str, Value],
        at: tuple[str | int, ...],
    ) -> Mapping[str, Type]:
        """Columns of a table that another spec or a finished run publishes; empty (and a problem) if there is none."""
        ...

    def is_own_run(self, run: str) -> bool:
        """Whether a finished run (`name`, `name@tag` or a path) is this spec's own, where it lies by default."""
        ...

    def prompt(self, name: str, at: tuple[str | int, ...]) -> PromptFile | None:
        """A template; None (and a problem at field path `at`) where there is none or it does not parse."""
        ...

    def expr(self, text: str, at: tuple[str | int, ...]) -> Expression | None:
        """A compiled expression; None (and a problem) where it does not parse."""
        ...

    def type(self, declared: Any, at: tuple[str | int, ...]) -> Type | None:
        """A parsed `out:` type; None (and a problem) where it does not parse."""
        ...

    def problem(self, message: str, at: tuple[str | int, ...] = (), help: str | None = None) -> None:
        """Report something wrong at the field path `at` below the verb, e.g. `("keep", "logic")`."""
        ...


class Action(BaseModel):
    """Base of every verb. Fields are the YAML parameters; a docstring under each becomes schema and reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: ClassVar[str]
    """The YAML key."""
    gives: ClassVar[Any] = {}
    """Columns it adds, in the out: language; override `adds` where they depend on the parameters."""
    carries: ClassVar[bool] = True
    """Whether the columns of the input row carry forward; a group or a sampler starts afresh."""
    embeds: ClassVar[bool] = False
    """Whether the models it names are asked for vectors (`Context.embed`) and not for text."""
    shorthand: ClassVar[str | None] = None
    """Field that takes the whole value where the mapping in YAML is itself the parameter (`filter`, `let`)."""

    def keeps_id(self) -> bool:
        """True where every input row gives at most one row, which then keeps the id of its input."""
        return False

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """Columns added, with their types; reports problems to `scope`."""
        from synthkit.core.types import Object

        declared = scope.type(type(self).gives, ()) if type(self).gives else None
        return dict(declared.fields) if isinstance(declared, Object) else {}

    def reads(self, scope: Scope) -> frozenset[str]:
        """Columns of the input that decide the result; derived from the fields' annotations."""
        found: set[str] = set()
        for meaning, at, text in self.mentions():
            if meaning == "column" or (meaning == "origin" and text in scope.columns):
                found.add(text)
            elif meaning == "expr":
                expression = scope.expr(text, at)
                found |= expression.names if expression else set()
            elif meaning == "prompt":
                prompt = scope.prompt(text, at)
                found |= (set(prompt.reads) - self.provides()) if prompt else set()
        return frozenset(found)

    def provides(self) -> frozenset[str]:
        """Template variables that the action itself hands to its prompts (`criterion`, names of `each`)."""
        return frozenset()

    def replaces(self) -> frozenset[str]:
        """Columns of the input that it may add anew; adding any other existing column is a PlanError."""
        return frozenset(getattr(self, "replace", ()))

    def reads_of(self, step: str, scope: Scope) -> frozenset[str] | None:
        """Columns of another step (`StepName` fields) that decide the result; None for all."""
        return None

    def parts(self) -> Mapping[str, Part]:
        """Those of its columns that are not stored but cut from a list of the input row; `adds` types them too."""
        return {}

    def hides(self, scope: Scope) -> frozenset[str]:
        """Columns of the input that are not visible after the step."""
        return frozenset()

    def branches(self) -> Mapping[str, str]:
        """Names that `from: step.name` may take -> the column that says which of them a row belongs to."""
        return {}

    def check(self, scope: Scope) -> None:
        """Report what is wrong beyond types and columns, e.g. three votes at temperature 0."""

    def depends(self) -> Mapping[str, Value]:
        """What its rows depend on beside parameters and code (digests of files it reads); part of the fingerprint."""
        return {}

    def cost(self) -> Cost:
        """Expected requests and rows for one input row; override where `each`, `n`, `votes` or `explode` multiply."""
        return Cost(calls=float(any(meaning == "model" for meaning, _, _ in self.mentions())))

    def mentions(self) -> Iterator[tuple[MeaningName, tuple[str | int, ...], str]]:
        """Every annotated string in the fields: (meaning, field path, text); None values are left out."""
        for name, field in type(self).model_fields.items():
            yield from _mentions(field.annotation, list(field.metadata), getattr(self, name), (field.alias or name,))


class RowAction(Action):
    """One row in, 0..k rows out, as they come; all rows of a stage run side by side."""

    def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """Yield `row | columns` for each row made; `ctx.reject(reason)` where there is none to make."""
        raise NotImplementedError(type(self).verb)


class TableAction(Action):
    """All rows in, rows out: a barrier. Its docstring states the bytes of memory it takes per input row."""

    def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Yield batches with `_id`, `_parents` and the added columns; `ctx.drop` every row left out."""
        raise NotImplementedError(type(self).verb)


class SourceAction(Action):
    """Rows from outside: files, or the table of another run."""

    async def stamp(self, ctx: TableContext) -> str | None:
        """A cheap mark of what would be read (sizes and times of files, a table's version): the same, nothing is read.

        None where it cannot be told; then everything is read again. `read: {spec}` brings that run up to date here.
        """
        return None

    def batches(self, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Yield batches with `_id`, empty `_parents` and the added columns, in source order."""
        raise NotImplementedError(type(self).verb)


def _mentions(
    annotation: Any, metadata: list[Any], value: Any, at: tuple[str | int, ...]
) -> Iterator[tuple[MeaningName, tuple[str | int, ...], str]]:
    """Walk an annotation and its value side by side."""
    from types import UnionType
    from typing import Union, get_args, get_origin

    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        yield from _mentions(inner, [*metadata, *extra], value, at)
        return
    if value is None:
        return
    meaning = next((m for m in metadata if isinstance(m, Meaning)), None)
    if meaning is None and get_origin(annotation) in (Union, UnionType):
        yield from dict.fromkeys(each for one in get_args(annotation) for each in _mentions(one, metadata, value, at))
        return
    if meaning and isinstance(value, str):
        yield meaning.name, at, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _mentions(
                field.annotation, list(field.metadata), getattr(value, name), (*at, field.alias or name)
            )
    elif isinstance(value, Mapping):
        args = get_args(_member(annotation, Mapping)) or (Any, Any)
        for key, item in value.items():
            yield from _mentions(args[-1], [], item, (*at, key))
    elif isinstance(value, list | tuple):
        args = get_args(_member(annotation, (list, tuple))) or (Any,)
        for index, item in enumerate(value):
            yield from _mentions(args[0], [], item, (*at, index))


def _member(annotation: Any, kinds: Any) -> Any:
    """The member of a union (or the annotation itself) whose origin is one of `kinds`."""
    from typing import get_args, get_origin

    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, kinds):
        return annotation
    for each in get_args(annotation):
        found = _member(each, kinds) if each is not annotation else None
        if found is not None:
            return found
    return None
