"""The plan: a graph of bound steps, everything known before a run costs anything.

A node is one step as it is executed: composites are expanded into their inner steps (`plans.drafts`), a union
becomes a node of its own (`text.union`), every column has a type and every definition a fingerprint. Nodes are
immutable and in topological order, so that executors, stores and printers fold over them without looking at YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthkit.core.action import Action
from synthkit.core.engine import EngineConfig, Role
from synthkit.core.errors import Mark, PlanError
from synthkit.core.ids import Id
from synthkit.core.part import Part
from synthkit.core.row import Value
from synthkit.core.store import StepLayout

if TYPE_CHECKING:
    from synthkit.core.prompt import PromptLibrary
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type

Kind = Literal["source", "row", "table", "union"]


class Union(Action):
    """The action of a union node: rows of several steps, one after another, under new ids.

    Written as `from: [a, b]`; a row's id is minted from (its id, this node, the branch it came by).
    """

    verb = "union"


@dataclass(frozen=True, slots=True)
class Until:
    """A quota after a step, filled in source order; what comes later is set aside as `over quota`."""

    rows: int | None = None
    """Rows wanted; None where the quota is in tokens."""
    tokens: int | None = None
    """Sum wanted of the column `tokens`; None where the quota is in rows."""
    per: str | None = None
    """Column whose every value has a quota of its own."""


@dataclass(frozen=True)
class Node:
    """One step as it is executed."""

    name: str
    """Full name: `plans`, an inner step `plans.drafts`, or `text.union`; also the name of its table."""
    action: Action
    kind: Kind
    inputs: tuple[str, ...]
    """Nodes whose rows it takes: none for a source, several only for a union."""
    extra: tuple[str, ...]
    """Nodes whose tables it reads too, whole (`StepName` fields, e.g. of `join`)."""
    columns: Mapping[str, Type]
    """Columns visible after this node."""
    input_columns: Mapping[str, Type]
    """Columns visible before it."""
    reads: frozenset[str]
    """Input columns that decide its result: fields of the action, templates, expressions, `when`, `until.per`."""
    adds: Mapping[str, Type]
    """Columns it adds: stored in its table, or `parts`."""
    keeps_id: bool
    """Whether rows keep their input's id: it gives at most one row per row."""
    carries: bool
    """Whether the input's columns stay visible."""
    hidden: frozenset[str]
    """Columns that end here: inner columns of a composite that its `output.adds` does not name."""
    when: str | None
    """Rows for which this is false pass untouched, with null in the new columns."""
    until: Until | None
    fingerprint: Id
    """Digest of its definition: equal definitions give equal rows from equal input rows."""
    level: int
    """Stage: its sources, tables and unions are complete, in order, before its row steps stream."""
    depth: int
    """Longest path from a source, in nodes; deeper steps go first."""
    roles: tuple[str, ...] = ()
    """Roles it asks."""
    prompts: tuple[str, ...] = ()
    """Templates it renders, as named in the spec."""
    step: str = ""
    """The step of the spec it belongs to: `plans` for `plans.drafts`."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Its `StepName` and `Origin` fields: the step as the action names it -> the node."""
    extra_reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Node of `extra` -> the columns of it that decide; all where it is not named."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Columns among `adds` that are not stored but cut from a list of the input."""
    replaced: frozenset[str] = frozenset()
    """Columns of the input that its `adds` take the place of."""
    reject_rate: float = 0.5
    """Share of failed rows (after 100) at which the run stops."""
    mark: Mark | None = None
    """Where the step stands in the spec."""

    @property
    def parents(self) -> tuple[str, ...]:
        """All nodes that it needs: inputs, then extra ones."""
        return (*self.inputs, *self.extra)

    def layout(self) -> StepLayout:
        """What a store must know of it."""
        return StepLayout(
            name=self.name,
            fingerprint=self.fingerprint,
            adds={name: of for name, of in self.adds.items() if name not in self.parts},
            parents=self.parents,
            carries=self.carries,
            keeps_id=self.keeps_id,
            union=self.kind == "union",
            hidden=self.hidden,
            parts=self.parts,
        )


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """An entry of `publish:`."""

    name: str
    node: str
    """Node whose rows are written."""
    columns: Mapping[str, Type]
    """Columns written, in order."""


@dataclass(frozen=True, slots=True)
class AuditBound:
    """An entry of `audit:`: bounds on a figure of the run; None is open."""

    figure: str
    """`step.figure`, e.g. `aligned.accepted`."""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Graph:
    """A spec, bound and ready to run."""

    name: str
    spec_path: Path
    nodes: Mapping[str, Node]
    """Full name -> node, in topological order (the order of the spec)."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Composite step -> the node its rows come from."""
    vars: Mapping[str, Value] = field(default_factory=dict)
    toolset: Toolset | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    engines: Mapping[str, EngineConfig] = field(default_factory=dict)
    prompts: PromptLibrary | None = None
    tokenizer: str | None = None
    publish: Mapping[str, PublishedTable] = field(default_factory=dict)
    audit: tuple[AuditBound, ...] = ()
    seed: int = 0
    """The spec's `seed`: enters every request's seed and `ctx.rng`."""
    subspecs: Mapping[str, Graph] = field(default_factory=dict)
    """`read: {spec}` node -> the graph of the spec it reads."""
    spec_text: str = ""
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Node -> what its fingerprint covers; `diff` compares them."""
    about: str = ""
    shadowed: tuple[Path, ...] = ()
    """Templates, toolsets and specs that were found second where one would not expect it, and are not read."""

    def resolve(self, step: str) -> Node:
        """The node a step name stands for: itself, or a composite's output; PlanError where there is none."""
        node = self.nodes.get(self.aliases.get(step, step))
        if node is None:
            from synthkit.core.names import nearest

            known = sorted({*self.nodes, *self.aliases})
            raise PlanError(f"no step {step!r} in {self.name!r}; {nearest(step, known, 'steps')}")
        return node

    def layouts(self) -> tuple[StepLayout, ...]:
        """What the store must know, in topological order; composites have no table, see `aliases`."""
        return tuple(node.layout() for node in self.nodes.values())

    def levels(self) -> list[list[Node]]:
        """Nodes by stage; within one, in topological order."""
        stages: list[list[Node]] = [[] for _ in range(1 + max((n.level for n in self.nodes.values()), default=-1))]
        for node in self.nodes.values():
            stages[node.level].append(node)
        return stages

    def ancestors(self, step: str) -> frozenset[str]:
        """A step's node and every node it depends on (`--until`)."""
        found: set[str] = set()
        waiting = [self.resolve(step).name]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.nodes[name].parents)
        return frozenset(found)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Node -> the nodes that take its rows (`inputs`, not `extra`)."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for name in node.inputs:
                found[name].append(node.name)
        return {name: tuple(names) for name, names in found.items()}
