"""A context for testing row actions without a spec, a run or a store.

`RecordingContext` does in memory what the executor does on disk: renders the prompt, asks the engine, reads the
reply by its declared type, asks again with the error, and keeps a list of everything asked and rejected. It journals
nothing and knows no neighbours: what it cannot show is resume, admission and order between rows. One `ask` over a
scripted engine takes about 0.2 ms.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from synthkit.core.action import RowAction
from synthkit.core.engine import Constraint, Engine, Message, Request, Role, Sample
from synthkit.core.errors import ParseError
from synthkit.core.ids import mint, seed
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.row import Child, Reply, Row, Value

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.prompt import Prompt
    from synthkit.core.store import Store
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type


class Rejected(Exception):
    """What `RecordingContext.reject` raises; `RecordingContext.run` catches it."""

    def __init__(self, reject: Reject) -> None:
        """`reject` is the line that would stand in the rejects table."""
        super().__init__(reject.reason)
        self.reject = reject


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that reached the engine, and the samples it gave."""

    key: str
    request: Request
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """What an action made of one row."""

    children: tuple[Child, ...] = ()
    reject: Reject | None = None
    """The row's reject, where the action called `ctx.reject`."""

    @property
    def rows(self) -> list[dict[str, Value]]:
        """The columns added by each child, in the order they were yielded."""
        return [child.columns for child in self.children]


@dataclass
class RecordingContext:
    """A `core.context.Context` over any engine; every field has a default that suits a small test."""

    engine: Engine | None = None
    """Answers `ask`; a `ScriptedEngine` with its defaults where none is given."""
    models: Mapping[str, Role] = field(default_factory=dict)
    """Roles by name; an unknown name is a role with default sampling."""
    prompts: Mapping[str, str] | Sequence[Path] = ()
    """Template texts by name, or folders to look in; the shipped prompts are always found as well."""
    step: str = "step"
    vars: Mapping[str, Value] = field(default_factory=dict)
    toolset: Toolset | None = None
    columns: Mapping[str, Type] = field(default_factory=dict)
    adds: Mapping[str, Type] = field(default_factory=dict)
    seed: int = 0
    tables: Store | None = None
    """What `store` gives; using it without one is an error of the test."""
    asked: list[Asked] = field(default_factory=list)
    """Every request, in the order of the answers."""
    rejects: list[Reject] = field(default_factory=list)
    """Rejected rows and samples, in the order they were decided."""
    effects: dict[str, Value] = field(default_factory=dict)
    """Journaled effects by key; fill it beforehand to replay them."""

    def __post_init__(self) -> None:
        """Make the default engine and the prompt library."""
        from synthkit.core.prompt import PromptLibrary
        from synthkit.core.resources import shipped
        from synthkit.testing.scripted import ScriptedConfig, ScriptedEngine

        self.engine = self.engine or ScriptedEngine(ScriptedConfig())
        self._row = ""
        self._folder: TemporaryDirectory[str] | None = None
        if isinstance(self.prompts, Mapping):
            self._folder = TemporaryDirectory(prefix="synthkit-prompts-", ignore_cleanup_errors=True)
            folders = [Path(self._folder.name)]
            for name, text in self.prompts.items():
                path = folders[0] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        else:
            folders = list(self.prompts)
        self._library = PromptLibrary([*folders, shipped("prompts")])

    @property
    def store(self) -> Store:
        """The tables given as `tables`."""
        if self.tables is None:
            raise LookupError("this context has no store; give RecordingContext(tables=...) one if the action reads it")
        return self.tables

    async def run(self, action: RowAction, row: Row | Mapping[str, Value]) -> Ran:
        """Give `action` one row; plain columns become a row with an id of their content."""
        if not isinstance(row, Row):
            row = Row(mint("", self.step, dict(row)), dict(row))
        self._row = row.id
        children: list[Child] = []
        try:
            async for child in action.rows(row, self):
                children.append(child)
        except Rejected as rejected:
            return Ran(reject=rejected.reject)
        return Ran(tuple(children))

    async def ask(
        self,
        model: str,
        prompt: str,
        row: Mapping[str, Value],
        *,
        key: str = "main",
        n: int = 1,
        out: Any = None,
        labels: Sequence[str] = (),
        **extra: Value,
    ) -> list[Reply]:
        """As `core.context.Context.ask`; errors of the engine are raised as they are."""
        declared = self._type(out)
        messages = self._prompt(prompt).messages(self._view(row, extra))
        request = Request(
            messages=messages,
            role=self.models.get(model) or Role(engine="scripted"),
            model=model,
            n=n,
            seed=seed(self.seed, self._row, self.step, key, 0, 0),
            constraint=None if declared is None or labels else Constraint("json", self._schema(declared, row)),
            labels=tuple(labels),
        )
        samples = await self._complete(key, request)
        replies = [await self._reply(key, request, declared, row, index, each) for index, each in enumerate(samples)]
        return [reply for reply in replies if reply is not None]

    async def embed(self, model: str, text: str, *, key: str = "main") -> list[float]:
        """As `core.context.Context.embed`."""
        from synthkit.core.vector import from_text

        role = self.models.get(model) or Role(engine="scripted")
        request = Request((Message("user", text),), role, model, embed=True)
        return from_text((await self._complete(key, request))[0].text)

    async def effect(self, key: str, fn: Callable[[], Awaitable[Value]]) -> Value:
        """The result of `fn`, called once for each key."""
        if key not in self.effects:
            self.effects[key] = await fn()
        return self.effects[key]

    def scan(self, step: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """A step of `tables`."""
        return self.store.scan(step, columns)

    def render(self, prompt: str, row: Mapping[str, Value], **extra: Value) -> tuple[str, list[dict[str, Any]]]:
        """A document and its role spans."""
        return self._prompt(prompt).document(self._view(row, extra))

    def evaluate(self, expr: str, row: Mapping[str, Value], **extra: Any) -> Value:
        """The value of an expression over the row."""
        from synthkit.core.expr import compile_expression

        return compile_expression(expr).evaluate(row, vars=self.vars, toolset=self.toolset, extra=extra)

    def rng(self, *key: Any) -> Random:
        """A generator seeded by (seed, step, key)."""
        return Random(seed(self.seed, self.step, *key))

    def count_tokens(self, text: str) -> int:
        """Tokens by the engine."""
        assert self.engine is not None
        return self.engine.count_tokens(text)

    def reject(self, reason: str, outcome: Outcome = Outcome.FILTERED, **detail: Value) -> NoReturn:
        """Record the reject and end the action."""
        reject = Reject(self.step, self._row, outcome, reason, detail=detail)
        self.rejects.append(reject)
        raise Rejected(reject)

    def _prompt(self, name: str) -> Prompt:
        return self._library.get(name)

    def _view(self, row: Mapping[str, Value], extra: Mapping[str, Value]) -> dict[str, Value]:
        tools = {} if self.toolset is None else {"tools": self.toolset.prompt_view()}
        return {**row, **extra, "vars": self.vars, **tools}

    def _type(self, out: Any) -> Type | None:
        from synthkit.core.types import Type, parse_type

        return out if out is None or isinstance(out, Type) else parse_type(out)

    def _schema(self, declared: Type, row: Mapping[str, Value]) -> dict[str, Any]:
        from synthkit.core.types import json_schema

        return json_schema(declared, row=row, toolset=self.toolset)

    async def _complete(self, key: str, request: Request) -> tuple[Sample, ...]:
        assert self.engine is not None
        completion = await self.engine.complete(request)
        self.asked.append(Asked(key, request, completion.samples))
        if completion.failure is not None:
            raise completion.failure
        return completion.samples

    async def _reply(
        self, key: str, request: Request, declared: Type | None, row: Mapping[str, Value], index: int, sample: Sample
    ) -> Reply | None:
        """Read one sample, asking again where it does not parse; None once the last try failed."""
        for left in range(request.role.reask, -1, -1):
            try:
                return self._read(key, declared, row, index, sample)
            except ParseError as error:
                if left:
                    again = (Message("assistant", sample.text), Message("user", f"{error} Answer again."))
                    asked = replace(request, messages=request.messages + again, n=1)
                    (sample,) = await self._complete(key, asked)
                else:
                    self._set_aside(key, index, sample, error.reason, {"error": str(error)}, "parse")
        return None

    def _read(self, key: str, declared: Type | None, row: Mapping[str, Value], index: int, sample: Sample) -> Reply:
        from synthkit.core.types import read_reply

        fields: Mapping[str, Value] = {}
        if declared is not None and sample.label_logprobs is None:
            value = read_reply(declared, sample.text, row=row, toolset=self.toolset)
            fields = value if isinstance(value, Mapping) else {"value": value}
        return Reply(
            fields,
            text=sample.text,
            index=index,
            finish=sample.finish,
            reasoning=sample.reasoning,
            probabilities=probabilities(sample.label_logprobs),
            reject=lambda i, reason, detail: self._set_aside(key, i, sample, reason, detail, "action"),
        )

    def _set_aside(
        self, key: str, index: int, sample: Sample, reason: str, detail: Mapping[str, Value], boundary: str
    ) -> None:
        outcome = Outcome.FAILED if boundary == "parse" else Outcome.FILTERED
        self.rejects.append(
            Reject(self.step, self._row, outcome, reason, index, key, 0, boundary, sample.text, dict(detail))
        )


def probabilities(logprobs: Mapping[str, float] | None) -> dict[str, float] | None:
    """The probabilities of the labels, normalised over the labels."""
    if logprobs is None:
        return None
    top = max(logprobs.values())
    weights = {label: exp(value - top) for label, value in logprobs.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
