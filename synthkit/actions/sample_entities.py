"""`sample_entities`: clusters of statements that questions are made from.

Each sampler draws one cluster around each entity and round; candidates are ranked by a hash of (seed, sampler, round,
entity), and the samplers take turns by their shares. So the first N clusters are the same whatever `count` is, and new
entities step in between without moving the others. Links between entities are names that occur in each other's
statements: nothing is built or stored, and 20k statements of 3k entities take 1 s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Column, Cost, Scope, TableAction
from synthkit.core.context import TableContext
from synthkit.core.ids import Id, mint
from synthkit.core.outcome import Outcome
from synthkit.core.row import Value
from synthkit.core.sizes import Count, Range, Share

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.types import Type

Sampler = Literal["single", "co_mention", "walk"]
_MIX: dict[Sampler, float] = {"co_mention": 0.6, "single": 0.2, "walk": 0.2}
_BATCH = 256
_SHOWN = ("statement", "time", "source")


class SampleEntities(TableAction):
    """Draw clusters of one to some entities with some of their statements.

    Memory: the statements as Python values, about 0.7 KB each (7 KB for an entity of ten), and 100 bytes for each pair
    of entities that occur together.

    Gives: a row for each cluster: `entities`, `statements` (of the fields that there are), `sampler`.

    Errors: unused `not sampled` for entities that are in no cluster.

    Source: AgentFounder samples entities and clusters of them; the samplers are ours.
    """

    verb: ClassVar[str] = "sample_entities"
    carries: ClassVar[bool] = False

    by: dict[Sampler, Share] = Field(default_factory=lambda: dict(_MIX))
    """Sampler -> share of the clusters. `single`: one entity; `co_mention`: an entity and some that its statements
    name or that name it; `walk`: from entity to entity along such links."""
    entities: Range = Range(1, 3)
    """Entities of a cluster."""
    statements: Range = Range(4, 8)
    """Statements of a cluster; entities that cannot give so many are not drawn."""
    contested: Literal["exclude", "keep"] = "exclude"
    """What becomes of statements that give two values for one claim and date: they have no gold answer."""
    count: Annotated[Count, Field(ge=1)]
    """Clusters wanted; more adds some and changes none."""
    seed: int = 0
    """Another seed, other clusters."""
    entity: Column = "entity"
    """The entity's name."""
    aliases: Column | None = "aliases"
    """Its other names; `none` where there are no such column."""
    items: Column = "statements"
    """Its statements: a list of {id, statement}, and if known time, source, claim, figures."""

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """`entities`, `statements` and `sampler`."""
        from synthkit.core.types import Choice, ListOf, Object, Str

        fields = self._fields(scope)
        shown = {name: fields[name] for name in _SHOWN if name in fields}
        return {
            "entities": ListOf(Str()),
            "statements": ListOf(Object({"id": Str(), "entity": Str(), **shown})),
            "sampler": Choice(("single", "co_mention", "walk")),
        }

    def _fields(self, scope: Scope) -> Mapping[str, Type]:
        """The fields of a statement."""
        from synthkit.core.types import ListOf, Object

        listed = scope.columns.get(self.items)
        return listed.of.fields if isinstance(listed, ListOf) and isinstance(listed.of, Object) else {}

    def check(self, scope: Scope) -> None:
        """Shares that are a whole, ranges that can be met, fields that are there."""
        if abs(sum(self.by.values()) - 1) > 1e-6:
            scope.problem(f"the shares of `by` make {sum(self.by.values()):.0%}, not 100%", ("by",))
        if (self.entities.high or 1) < 2 and any(self.by.get(name) for name in ("co_mention", "walk")):
            scope.problem("co_mention and walk need two entities or more", ("entities",), help="write entities: 1..3")
        if not self.statements.high or not self.entities.high:
            name = "entities" if not self.entities.high else "statements"
            scope.problem(f"{name} needs an upper end", (name,), help=f"write {name}: 4..8")
        fields = self._fields(scope)
        needed = ["id", "statement", *(["claim", "figures"] if self.contested == "exclude" else [])]
        missing = [name for name in needed if name not in fields]
        if self.items in scope.columns and missing:
            scope.problem(
                f"{self.items!r} lacks {', '.join(missing)} (it has: {', '.join(fields) or 'no fields'})",
                ("items",) if set(missing) & {"id", "statement"} else ("contested",),
                help="collect them in `group` (dedup's `cluster` and a `let` give them), or write contested: keep",
            )

    def cost(self) -> Cost:
        """`count` clusters."""
        return Cost(total=float(self.count))

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """The clusters in the order they were drawn; entities that are in none are unused."""
        from synthkit.actions.clusters import Clusters, Entity

        columns = dict.fromkeys(["_id", self.entity, *([self.aliases] if self.aliases else []), self.items])
        frame = scan.select(list(columns)).collect().sort("_id")
        entities = []
        for row in map(ctx.row, frame.iter_rows(named=True)):
            names = (row[self.entity] or "", *((row[self.aliases] or []) if self.aliases else []))
            statements = list(row[self.items] or [])
            if self.contested == "exclude":
                statements = list(_uncontested(statements))
            entities.append(Entity(row.id, names, tuple(statements)))
        clusters = Clusters(entities, self.entities, self.statements, self.seed)
        used: set[Id] = set()
        waiting = []
        for cluster in clusters.draw({str(name): share for name, share in self.by.items()}, self.count):
            used.update(entity.id for entity in cluster.entities)
            waiting.append(self._row(cluster.sampler, cluster.entities, cluster.statements, ctx.step))
            if len(waiting) == _BATCH:
                yield ctx.batch(waiting)
                waiting = []
        if waiting:
            yield ctx.batch(waiting)
        ctx.drop([each.id for each in entities if each.id not in used], Outcome.UNUSED, "not sampled")

    def _row(self, sampler: str, entities: Any, statements: Any, step: str) -> dict[str, Value]:
        """A cluster as a row; its id is made of what is in it, whichever sampler drew it."""
        shown = [
            {"id": each["id"], "entity": entity.names[0], **{name: each[name] for name in _SHOWN if name in each}}
            for entity, each in statements
        ]
        ids = sorted(entity.id for entity in entities)
        return {
            "_id": mint("", step, ids, sorted(each["id"] for each in shown)),
            "_parents": [entity.id for entity in entities],
            "entities": [entity.names[0] for entity in entities],
            "statements": shown,
            "sampler": sampler,
        }


def _uncontested(statements: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Statements but those whose claim has other figures for the same date."""
    values: dict[tuple[Any, Any], set[tuple[str, ...]]] = {}
    for each in statements:
        values.setdefault((each["claim"], each.get("time")), set()).add(_figures(each))
    for each in statements:
        if len(values[each["claim"], each.get("time")]) == 1:
            yield each


def _figures(statement: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(map(str, statement["figures"] or ())))
