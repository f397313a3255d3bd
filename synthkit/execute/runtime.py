"""A node while it runs: its counters, its place among the others, and what is computed once for all its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import SpecError
from synthkit.core.expr import compile_expression
from synthkit.core.ids import Id, digest
from synthkit.core.row import Row
from synthkit.core.tokens import load_tokenizer
from synthkit.core.types import Type, parse_type
from synthkit.execute.quota import Gate
from synthkit.plan.graph import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from synthkit.core.engine import Role
    from synthkit.core.store import RunStore, Snapshot, StepTable
    from synthkit.execute.control import Control
    from synthkit.execute.engines import EnginePool, Running


@dataclass(slots=True)
class Figures:
    """What progress shows of one step; the ledger itself is counted from the tables."""

    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    pending: int = 0
    reused: int = 0
    failed: int = 0
    requests: int = 0
    replayed: int = 0
    """Calls answered by the journal."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class RunScope:
    """What all nodes of one run share."""

    def __init__(self, graph: Graph, store: RunStore, pool: EnginePool, control: Control) -> None:
        """`pool` and `control` may be shared with the runs of specs that this one reads."""
        self.graph = graph
        self.store = store
        self.pool = pool
        self.control = control
        self.figures: dict[str, Figures] = {}
        """By full step name, for progress."""
        self._identities: dict[str, Mapping[str, Any]] = {}
        self._running: dict[str, Running] = {}
        self._types: dict[str, Type] = {}
        self._count: Callable[[str], int] | None = None
        self._tools = graph.toolset.prompt_view() if graph.toolset else None
        _announce(graph, pool)

    def running(self, role: str) -> Running:
        """The engine behind a role, perhaps not started yet."""
        if role not in self._running:
            engine = self.graph.roles[role].engine
            self._running[role] = self.pool.get(engine, self.graph.engines[engine], _asking(self.graph, engine))
        return self._running[role]

    def identity(self, role: str) -> Mapping[str, Any]:
        """What the replies of a role's engine depend on; found once, for it may be a hash of weights."""
        engine = self.graph.roles[role].engine
        if engine not in self._identities:
            self._identities[engine] = dict(self.graph.engines[engine].identity())
        return self._identities[engine]

    def type(self, declared: Any) -> Type:
        """A parsed out type; parsed once for each declaration."""
        if isinstance(declared, Type):
            return declared
        key = declared if isinstance(declared, str) else digest(declared)
        if key not in self._types:
            self._types[key] = parse_type(declared)
        return self._types[key]

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the spec's tokenizer."""
        if self._count is None:
            if not self.graph.tokenizer:
                raise SpecError("no tokenizer is set to count tokens; add `tokenizer:` to the spec or the models file")
            self._count = load_tokenizer(self.graph.tokenizer)
        return self._count(text)

    def template_context(self) -> dict[str, Any]:
        """Variables every template has."""
        context: dict[str, Any] = {"vars": self.graph.vars}
        if self._tools is not None:
            context["tools"] = self._tools
        return context


def _asking(graph: Graph, engine: str) -> dict[str, Role]:
    return {name: role for name, role in graph.roles.items() if role.engine == engine}


def _announce(graph: Graph, pool: EnginePool) -> None:
    """Tell the pool who will ask, specs that are read included: the first to ask builds an engine for all of them."""
    for engine, config in graph.engines.items():
        pool.expect(config, _asking(graph, engine))
    for below in graph.subspecs.values():
        _announce(below, pool)


class NodeRuntime:
    """One node of one run."""

    def __init__(self, node: Node, scope: RunScope) -> None:
        """Tables are opened when the node's level begins."""
        self.node = node
        self.scope = scope
        self.name = node.name
        self.reads = tuple(sorted(node.reads))
        self.figures = scope.figures.setdefault(node.name, Figures())
        self.consumers: tuple[NodeRuntime, ...] = ()
        """Row steps of the same level that take this node's rows."""
        self.gate = Gate(node.until.rows, node.until.tokens, node.until.per) if node.until else None
        self.table: StepTable | None = None
        self.snapshot: Snapshot | None = None
        self.attempts: Mapping[Id, tuple[int, Mapping[str, Any]]] = {}
        self.declared = {name: node.input_columns[name] for name in self.reads if name in node.input_columns}
        self.decides = tuple(sorted({*node.reads, *(node.replaced if node.when else ())}))
        """Columns that decide what its rows are: where `when` is false, those that it would have replaced too."""
        self.beside: Id | None = None
        """Digest of the tables it reads whole beside its rows (`StepName` fields of a row step); None without any."""
        self._when = compile_expression(node.when) if node.when else None

    def open(self, store: RunStore) -> None:
        """Open the table for this fingerprint and look at what is done."""
        self.table = store.table(self.name)
        snapshot = self.table.snapshot()
        self.snapshot = snapshot if len(snapshot) else None
        self.attempts = store.attempts(self.name)

    def input_digest(self, id: Id, data: Mapping[str, Any]) -> Id:
        """`_in`: hash of the input row's id and of the columns that decide the result."""
        own = [id, [data.get(name) for name in self.decides]]
        return digest(own if self.beside is None else [*own, self.beside])

    def project(self, id: Id, data: Mapping[str, Any]) -> Row:
        """The row as the action sees it: declared columns only."""
        return Row(id, {name: data.get(name) for name in self.reads})

    def wanted(self, data: Mapping[str, Any]) -> bool:
        """Whether `when:` holds."""
        if self._when is None:
            return True
        return bool(self._when.evaluate(data, vars=self.scope.graph.vars, toolset=self.scope.graph.toolset))

    def added(self, record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that a stored row adds, parts cut from the input row `data`."""
        parts = self.node.parts
        found = {name: record[name] for name in self.node.adds if name not in parts}
        return found | {name: part.value({**found, part.of: data.get(part.of)}) for name, part in parts.items()}

    def child(self, data: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
        """The columns visible after this node."""
        merged = {**data, **added} if self.node.carries else dict(added)
        for name in self.node.hidden:
            merged.pop(name, None)
        return merged
