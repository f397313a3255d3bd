"""What actions meet when they are planned and run, without a spec, a store or an executor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from synthkit.core.action import Action, SourceAction, TableAction
from synthkit.core.engine import Capability, Role
from synthkit.core.expr import Expression, ExprSyntaxError, compile_expression
from synthkit.core.ids import Id, mint, seed
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.part import Part
from synthkit.core.prompt import Prompt, PromptLibrary, PromptNotFound, PromptSyntaxError
from synthkit.core.resources import shipped
from synthkit.core.row import Row
from synthkit.core.toolset import Toolset
from synthkit.core.types import ListOf, Str, Type, TypeSyntaxError, parse_type
from synthkit.core.types.arrow import decode, encode

Rows = Sequence[Mapping[str, Any]]
EVERYTHING: frozenset[Capability] = frozenset({"json", "n", "labels", "seed"})


def types(declared: Mapping[str, Any]) -> dict[str, Type]:
    return {name: parse_type(each) for name, each in declared.items()}


@dataclass
class FakeScope:
    """A planner that answers from what the test gives it and keeps the problems."""

    columns: Mapping[str, Type] = field(default_factory=dict)
    step: str = "step"
    vars: Mapping[str, Any] = field(default_factory=dict)
    toolset: Toolset | None = None
    roles: Mapping[str, Role] = field(default_factory=lambda: {"writer": Role(engine="e")})
    can: frozenset[Capability] = EVERYTHING
    others: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    origins: Collection[str] = ()
    folders: Sequence[Any] = ()
    problems: list[tuple[str, tuple[str | int, ...]]] = field(default_factory=list)

    def role(self, name: str) -> Role | None:
        return self.roles.get(name) or self.problem(f"no role {name}")

    def capabilities(self, role: str) -> frozenset[Capability]:
        return self.can

    def step_columns(self, step: str) -> Mapping[str, Type]:
        return self.others.get(step, {})

    def step_parts(self, step: str) -> Mapping[str, Part]:
        return self.parts.get(step, {})

    def part_of(self, column: str) -> Part | None:
        return next((parts[column] for parts in self.parts.values() if column in parts), None)

    def is_origin(self, step: str) -> bool:
        return step in self.origins

    def published(self, table: str, **where: Any) -> Mapping[str, Type]:
        return self.others.get(table, {})

    def is_own_run(self, run: str) -> bool:
        return run.partition("@")[0] == self.step

    def identity(self, role: str) -> Mapping[str, Any]:
        return {"model": role}

    def prompt(self, name: str, at: tuple[str | int, ...]) -> Prompt | None:
        try:
            return PromptLibrary([*self.folders, shipped("prompts")]).get(name)
        except (PromptNotFound, PromptSyntaxError) as error:
            return self.problem(str(error), at)

    def expr(self, text: str, at: tuple[str | int, ...]) -> Expression | None:
        try:
            return compile_expression(text)
        except ExprSyntaxError as error:
            return self.problem(str(error), at)

    def type(self, declared: Any, at: tuple[str | int, ...]) -> Type | None:
        try:
            return declared if isinstance(declared, Type) else parse_type(declared)
        except TypeSyntaxError as error:
            return self.problem(str(error), at)

    def problem(self, message: str, at: tuple[str | int, ...] = (), help: str | None = None) -> None:
        self.problems.append((message, at))

    def told(self, action: Action) -> list[str]:
        """Everything an action finds wrong."""
        action.adds(self)
        action.reads(self)
        action.check(self)
        return list(dict.fromkeys(message for message, _ in self.problems))


class FakeStore:
    """A run's folder for artifacts, gone with the test."""

    def __init__(self, path: Path | None = None) -> None:
        self._temporary = TemporaryDirectory() if path is None else None
        self.path = path or Path(self._temporary.name) / "run"

    def artifact(self, name: str) -> Path:
        folder = self.path / "artifacts" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass
class FakeTable:
    """A table context in memory: rows in, rows and rejects out."""

    rows: Rows = ()
    """With `_id`, or one is made of the content."""
    columns: Mapping[str, Type] = field(default_factory=dict)
    step: str = "step"
    adds: Mapping[str, Type] = field(default_factory=dict)
    others: Mapping[str, tuple[Mapping[str, Type], Rows]] = field(default_factory=dict)
    cut: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    """Parts of the other steps' columns."""
    of: Mapping[str, str] = field(default_factory=dict)
    """Row -> its origin, where that is not its own id."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    rejects: list[Reject] = field(default_factory=list)
    read: list[Any] = field(default_factory=list)
    store: FakeStore = field(default_factory=FakeStore)

    def scan(self, step: str | None = None, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        types, rows = (self.columns, self.rows) if step is None else self.others[step]
        named = [{"_id": mint("", "in", dict(row)), **row} for row in rows]
        frame = pl.from_arrow(encode({"_id": Str(), "_parents": ListOf(Str()), **types}, named)).lazy()
        return frame.drop("_parents") if step is None else frame.select("_id", "_parents", *(columns or types))

    def origins(self, step: str) -> pl.LazyFrame:
        ids = self.scan().collect()["_id"].to_list()
        named = {"_id": ids, "_origin": [self.of.get(each, each) for each in ids]}
        return pl.LazyFrame(named, schema={"_id": pl.String, "_origin": pl.String})

    def parts(self, step: str) -> Mapping[str, Part]:
        return self.cut[step]

    def evaluate(self, expr: str, row: Mapping[str, Any]) -> Any:
        return compile_expression(expr).evaluate(row, vars=self.vars)

    def drop(
        self, rows: Iterable[Id], outcome: Outcome, reason: str, details: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        given = iter(details)
        self.rejects.extend(Reject(self.step, row, outcome, reason, detail=next(given, {})) for row in rows)

    async def read_spec(self, spec: str, table: str, with_vars: Mapping[str, Any]) -> pl.LazyFrame:
        self.read.append((spec, table, dict(with_vars)))
        return self.scan(table)

    def read_run(self, run: str, table: str) -> pl.LazyFrame:
        self.read.append((run, table))
        return self.scan(table)

    def run_folder(self, run: str) -> Path:
        folder: Path = self.store.path.parent / run.partition("@")[0]
        return folder

    def row(self, record: Mapping[str, Any]) -> Row:
        batch = pl.DataFrame([dict(record)], schema_overrides={}, infer_schema_length=None).to_arrow()
        values = decode(batch, {name: self.columns[name] for name in record if name in self.columns})[0]
        return Row(record["_id"], values)

    def batch(self, records: Rows) -> Any:
        return encode({"_id": Str(), "_parents": ListOf(Str()), **self.adds}, records)

    def rng(self, *key: Any) -> Random:
        return Random(seed(self.step, *key))

    async def run(self, action: TableAction | SourceAction) -> list[dict[str, Any]]:
        """The action's rows, and what it drops; every input row must be accounted for exactly once."""
        others = {name: each[0] for name, each in self.others.items()}
        scope = FakeScope(columns=self.columns, others=others, parts=self.cut)
        self.adds = self.adds or action.adds(scope)
        columns = {"_id": Str(), "_parents": ListOf(Str()), **self.adds}
        batches = action.table(self.scan(), self) if isinstance(action, TableAction) else action.batches(self)
        made = [row async for batch in batches for row in decode(batch, columns)]
        assert len({row["_id"] for row in made}) == len(made), "an id twice"
        if isinstance(action, TableAction):
            ids = set(self.scan().collect()["_id"].to_list())
            kept = {parent for row in made for parent in row["_parents"]} & ids
            gone = [reject.row for reject in self.rejects]
            assert len(set(gone)) == len(gone), "a row dropped twice"
            assert kept | set(gone) == ids, "a row lost"
            assert not kept & set(gone), "a row both kept and dropped"
            if action.keeps_id():
                assert all(row["_parents"] == [row["_id"]] for row in made)
        return made

    def gone(self) -> dict[str, int]:
        """Dropped rows by reason."""
        found: dict[str, int] = {}
        for reject in self.rejects:
            found[reject.reason] = found.get(reject.reason, 0) + 1
        return found
