"""Everything that one source row becomes within a level.

Children go on as soon as they are made, side by side; the tree is committed when it is complete. Where the level has
quotas the tree stops at each gate until its turn in source order, then goes on with what was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome, Reject
from synthkit.execute.quota import Gate
from synthkit.execute.reuse import Finder, Memos, Place, as_visit, same
from synthkit.execute.runtime import NodeRuntime
from synthkit.execute.visit import Data, Visit, visit


@dataclass(frozen=True, slots=True)
class GatePlace:
    """A quota of the level, and the step whose whole tree it can take back."""

    runtime: NodeRuntime
    gate: Gate
    entry: NodeRuntime | None
    """The level's only entry, where all that follows leads to this gate and the stratum is known before it."""

    def over(self, source: Data) -> bool:
        """Whether the tree of such a source row is taken back whole, however far it has come."""
        return self.entry is not None and self.gate.full(source)


@dataclass(frozen=True)
class Course:
    """The way of a level's source rows: its steps, those that take them first, and the quotas."""

    order: Sequence[NodeRuntime]
    entries: Sequence[NodeRuntime]
    gates: Sequence[GatePlace]
    finder: Finder

    @classmethod
    def of(cls, order: Sequence[NodeRuntime], entries: Sequence[NodeRuntime]) -> Course:
        """`order` is topological; the steps are open."""
        return cls(order, entries, _gate_places(order, entries), Finder(order))


def _gate_places(order: Sequence[NodeRuntime], entries: Sequence[NodeRuntime]) -> list[GatePlace]:
    places: list[GatePlace] = []
    for runtime in order:
        if runtime.gate is None:
            continue
        entry = entries[0] if len(entries) == 1 else None
        if places:  # whether a tree is started would decide what an earlier quota counts
            entry = None
        if entry is not None:
            per = runtime.gate.per
            known = per is None or (per in entry.node.input_columns and not _changes(entry, runtime, per))
            if known and _leads_only_to(entry, runtime):
                runtime.gate.gives = _gives(entry, runtime)
            else:
                entry = None
        places.append(GatePlace(runtime, runtime.gate, entry))
    return places


def _gives(start: NodeRuntime, gate: NodeRuntime) -> float:
    """Candidates that one row of `start`, from which one way leads to the gate, is worth if nothing is rejected."""
    rows = start.node.action.cost().rows
    return rows if start is gate else rows * _gives(start.consumers[0], gate)


def _leads_only_to(start: NodeRuntime, gate: NodeRuntime) -> bool:
    if start is gate:
        return True
    return bool(start.consumers) and all(_leads_only_to(each, gate) for each in start.consumers)


def _changes(start: NodeRuntime, gate: NodeRuntime, column: str) -> bool:
    return column in start.node.adds or (start is not gate and any(_changes(c, gate, column) for c in start.consumers))


class Tree:
    """One source row on its way."""

    def __init__(self, sequence: int, row: Id, data: Data, memos: Memos, finder: Finder) -> None:
        """`sequence` is its place in source order; `memos` may be shared with other trees."""
        self.sequence = sequence
        self.row = row
        self.data = data
        self.memos = memos
        self._finder = finder
        self.visits: list[Visit] = []
        self._at_gates: dict[NodeRuntime, list[tuple[Visit, Data]]] = {}
        self._before: GatePlace | None = None
        """The quota that may take the tree back, until it is passed."""

    async def grow(self, course: Course) -> list[Visit]:
        """Run the row through the level's steps; all visits of the tree."""
        self._before = next((place for place in course.gates if place.entry is not None), None)
        if self._before is not None:
            await self._before.gate.begin(self.data)
        if self._before is None or not self._before.over(self.data):
            await self._all([(runtime, self.row, self.data) for runtime in course.entries])
        for place in course.gates:
            await place.gate.turn(self.sequence)
            accepted: list[Place] = []
            if place.entry is not None and place.over(self.data):
                self._cut(place.runtime, place.entry)
            else:
                accepted = self._decide(place.runtime, place.gate)
            place.gate.passed(self.data if place is self._before else None)
            self._before = None
            self.memos.update(await self._finder.find(accepted))
            await self._all(accepted)
        return self.visits

    async def _all(self, places: Sequence[Place]) -> None:
        if len(places) == 1:
            await self._descend(*places[0])
        elif places:
            async with asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(self._descend(*place))

    async def _descend(self, runtime: NodeRuntime, row: Id, data: Data) -> None:
        memo = self.memos.get((runtime.name, row))
        if self._before is not None and self._before.over(self.data):
            self.visits.append(Visit(runtime, row, runtime.input_digest(row, data)))  # to be taken back
            return
        if runtime.gate is not None and runtime.gate.full(data):
            result = self._over(runtime, row, data)
        elif memo is not None and memo.valid and runtime.gate is None:
            result = as_visit(runtime, row, memo)
        else:
            result = await visit(runtime, row, data)
            result.stale = memo is not None
        self.visits.append(result)
        if runtime.gate is not None:
            self._at_gates.setdefault(runtime, []).append((result, data))
            return
        onward = self._onward(runtime, result, data)
        if not result.reused:
            self.memos.update(await self._finder.find(onward))
        await self._all(onward)

    def _onward(self, runtime: NodeRuntime, result: Visit, data: Data) -> list[Place]:
        if not runtime.consumers:
            return []
        children = [(ident, runtime.child(data, added)) for ident, added in result.children]
        return [(consumer, ident, child) for ident, child in children for consumer in runtime.consumers]

    def _over(self, runtime: NodeRuntime, row: Id, data: Data) -> Visit:
        """A row whose stratum was full before it was asked."""
        result = Visit(runtime, row, runtime.input_digest(row, data), stale=True)
        result.decline("over quota", Outcome.UNUSED, "quota")
        return result

    def _decide(self, runtime: NodeRuntime, gate: Gate) -> list[Place]:
        """Accept candidates in order; the rest of a row's children are over quota."""
        onward: list[Place] = []
        candidates = sorted(self._at_gates.pop(runtime, []), key=lambda each: each[0].row)
        # Whether such a row was asked before anyone knew is a matter of timing; what becomes of it is not.
        late = [gate.full(data) for _, data in candidates]
        for (result, data), over in zip(candidates, late, strict=True):
            if over:
                result.pending = result.reused = False
                result.rejects.clear()
                result.decline("over quota", Outcome.UNUSED, "quota")
                result.stale = True
                continue
            if result.pending or not result.children:
                continue
            kept = []
            for index, (ident, added) in enumerate(result.children):
                if gate.accept(runtime.child(data, added)):
                    kept.append((ident, added))
                else:
                    result.rejects.append(_over_quota(result, index))
            if kept:
                result.children = kept
            else:
                result.rejects.clear()
                result.decline("over quota", Outcome.UNUSED, "quota")
            memo = self.memos.get((runtime.name, result.row))
            result.reused = same(memo, result)
            result.stale = not result.reused
            onward.extend(self._onward(runtime, result, data))
        return onward

    def _cut(self, runtime: NodeRuntime, entry: NodeRuntime) -> None:
        """Take the whole tree back: its steps were started before anyone knew that the quota would be full.

        What a tree leaves then depends on the rows before it alone, and not on how fast replies came.
        """
        self._at_gates.pop(runtime, None)
        inputs = {(each.runtime, each.row): each.input for each in self.visits}
        waiting = [(entry, self.row)]
        while waiting:  # an earlier run may have let it through
            at, row = waiting.pop()
            memo = self.memos.get((at.name, row))
            if memo is not None:
                inputs.setdefault((at, row), memo.done.input)
                waiting.extend((consumer, ident) for ident, _ in memo.children for consumer in at.consumers)
        stored = [each for each in inputs if each[0] is not entry and (each[0].name, each[1]) in self.memos]
        gone = [Visit(at, row, inputs[at, row], stale=True, gone=True) for at, row in stored]
        self.visits = [self._over(entry, self.row, self.data), *gone]


def _over_quota(result: Visit, index: int) -> Reject:
    first = Reject(result.runtime.name, result.row, Outcome.UNUSED, "over quota", sample=index, boundary="quota")
    return replace(first, fingerprint=result.runtime.node.fingerprint, input=result.input)
