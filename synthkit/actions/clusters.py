"""Drawing clusters from a memory; what `sample_entities` does, without tables.

Every choice is the candidate with the smallest hash of (seed, where it is chosen, its own id): no generator whose
state one more entity would shift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthkit.actions.mentions import NameIndex
from synthkit.core.ids import Id, digest, seed
from synthkit.core.sizes import Range

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity of the memory."""

    id: Id
    names: tuple[str, ...]
    """The canonical name first."""
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Entities and some of their statements, grouped by entity, each group by time."""

    sampler: str
    entities: tuple[Entity, ...]
    statements: tuple[tuple[Entity, Statement], ...]


class Clusters:
    """What can be drawn from a memory."""

    def __init__(self, entities: Sequence[Entity], size: Range, statements: Range, seed: int) -> None:
        """`size` and `statements` bound a cluster."""
        self.entities = entities
        self.size = size
        self.statements = statements
        self.seed = seed
        self._links = _links(entities)

    def draw(self, shares: Mapping[str, float], count: int) -> Iterator[Cluster]:
        """Up to `count` different clusters: samplers take turns so that each keeps its share at every length."""
        streams = {name: self._stream(name) for name, share in shares.items() if share > 0}
        taken = dict.fromkeys(streams, 0)
        seen: set[Id] = set()
        drawn = 0
        while drawn < count and streams:
            turn = max(sorted(streams), key=lambda name: shares[name] * (drawn + 1) - taken[name])
            cluster = next(streams[turn], None)
            if cluster is None:
                del streams[turn]
                continue
            key = digest([sorted(e.id for e in cluster.entities), sorted(s["id"] for _, s in cluster.statements)])
            if key not in seen:
                seen.add(key)
                taken[turn] += 1
                drawn += 1
                yield cluster

    def _stream(self, sampler: str) -> Iterator[Cluster]:
        """A sampler's clusters, best rank first: one around each entity, then a second round, until nothing is new.

        From the second round on at least half of a cluster's statements were in none around the same entity before.
        """
        chosen: Callable[[int, Any], list[int]] = {
            "single": self._single, "co_mention": self._co_mention, "walk": self._walk
        }[sampler]  # fmt: skip
        told: dict[int, set[Id]] = defaultdict(set)
        around = 0
        while True:
            fresh = 0
            order = sorted(range(len(self.entities)), key=lambda at: self._rank(sampler, around, self.entities[at].id))
            for at in order:
                cluster = self._cluster(sampler, chosen(at, (sampler, around)), around, told[at])
                if cluster is None:
                    continue
                ids = {statement["id"] for _, statement in cluster.statements}
                if 2 * len(ids - told[at]) >= len(ids):
                    told[at] |= ids
                    fresh += 1
                    yield cluster
            if not fresh:
                return
            around += 1

    def _rank(self, *key: Any) -> Id:
        return digest([self.seed, *key])

    def _number(self, low: int, high: int, *key: Any) -> int:
        """A number of the range, drawn by the key."""
        return low + seed(self.seed, *key) % (high - low + 1)

    def _wanted(self, key: Any, anchor: int) -> int:
        """How many entities a cluster around `anchor` shall have; two at least."""
        high = self.size.high or 2
        return self._number(min(max(self.size.low or 1, 2), high), high, "entities", key, self.entities[anchor].id)

    def _single(self, anchor: int, key: Any) -> list[int]:
        """The entity alone."""
        return [anchor] if 1 in self.size else []

    def _co_mention(self, anchor: int, key: Any) -> list[int]:
        """The entity and some of those it is linked to."""
        near = self._near("near", key, anchor, self._links[anchor])
        return [anchor, *near[: self._wanted(key, anchor) - 1]] if near else []

    def _walk(self, anchor: int, key: Any) -> list[int]:
        """Entities on a path that begins at this one and visits none twice."""
        path = [anchor]
        while len(path) < self._wanted(key, anchor):
            here = path[-1]
            onward = self._near("step", key, here, self._links[here].keys() - set(path))
            if not onward:
                break
            path.append(onward[0])
        return path if len(path) > 1 else []

    def _near(self, choice: str, key: Any, here: int, found: Iterable[int]) -> list[int]:
        """Linked entities, best rank first."""
        return sorted(found, key=lambda at: self._rank(choice, key, self.entities[here].id, self.entities[at].id))

    def _cluster(self, sampler: str, members: list[int], around: int, told: set[Id]) -> Cluster | None:
        """The entities with their share of statements; None where there are too few of either."""
        low = self.statements.low or 1
        if not members or len(members) < (self.size.low or 1):
            return None
        entities = tuple(self.entities[at] for at in members)
        total = sum(len(entity.statements) for entity in entities)
        if total < low or not all(entity.statements for entity in entities):
            return None
        key = (sampler, around, entities[0].id)
        wanted = min(self._number(low, max(self.statements.high or low, low), "statements", *key), total)
        wanted = max(wanted, len(entities))
        queues = [self._ranked(at, members, key, told) for at in members]
        picked: list[tuple[int, Statement]] = []
        while len(picked) < wanted:  # one of each entity in turn
            for place, queue in enumerate(queues):
                if queue and len(picked) < wanted:
                    picked.append((place, queue.pop()))
        picked.sort(key=lambda each: (each[0], each[1].get("time") or "9999", each[1]["id"]))
        return Cluster(sampler, entities, tuple((entities[place], statement) for place, statement in picked))

    def _ranked(self, at: int, members: list[int], key: Any, told: set[Id]) -> list[Statement]:
        """An entity's statements, the one to take first at the end: new ones, then those that name another member."""
        others = {member for member in members if member != at}
        linking = {s for other in others for s in self._links[at].get(other, ())} if others else set()
        statements = list(enumerate(self.entities[at].statements))

        def rank(each: tuple[int, Statement]) -> tuple[bool, bool, Id]:
            place, statement = each
            return statement["id"] in told, place not in linking, self._rank("statement", *key, statement["id"])

        statements.sort(key=rank, reverse=True)
        return [statement for _, statement in statements]


class _Links(dict[int, set[int]]):
    """Entities linked to one, with the places of its own statements that name each."""


def _links(entities: Sequence[Entity]) -> list[_Links]:
    """For each entity those that its statements name, or whose statements name it."""
    index = NameIndex({at: entity.names for at, entity in enumerate(entities)})
    found: dict[int, _Links] = defaultdict(_Links)
    for at, entity in enumerate(entities):
        for place, statement in enumerate(entity.statements):
            for other in index.find(statement["statement"]):
                if other != at:
                    found[at].setdefault(other, set()).add(place)
                    found[other].setdefault(at, set())
    return [found[at] for at in range(len(entities))]
