"""Finished rows are looked up in batches before their tree begins, so that a resumed run reads instead of asks.

A stored row stands where the step's fingerprint and the hash of its input row are the same. Batches of source rows are
followed down the level step by step with one look-up and one take a step: about 20 us a row, against 1 ms one by one.
Steps with a quota are decided anew each run (their calls are in the journal), because what was accepted depends on
the rows before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome
from synthkit.core.store import Done
from synthkit.execute.runtime import NodeRuntime
from synthkit.execute.visit import Data, Visit


@dataclass(slots=True)
class Memo:
    """What a step's table says of one row."""

    done: Done
    children: list[tuple[Id, Data]]
    """Ids and added columns; empty for a stale entry and for a row that was not kept."""
    valid: bool
    """Whether the input row is the one it was computed from."""


Memos = dict[tuple[str, Id], Memo]
Place = tuple[NodeRuntime, Id, Data]
"""A row about to enter a step."""


def look_up(order: Sequence[NodeRuntime], places: Iterable[Place]) -> Memos:
    """Memos of rows about to enter steps of the level, and of what became of them up to the next quota."""
    memos: Memos = {}
    if all(runtime.snapshot is None for runtime in order):
        return memos
    inputs: dict[str, list[tuple[Id, Data]]] = {}
    for runtime, id, data in places:
        inputs.setdefault(runtime.name, []).append((id, data))
    for runtime in order:
        rows = inputs.pop(runtime.name, [])
        if not rows or runtime.snapshot is None:
            continue
        found = runtime.snapshot.find([id for id, _ in rows])
        hits: list[tuple[Id, Data, Done]] = []
        for (id, data), done in zip(rows, found, strict=True):
            if done is None:
                continue
            valid = done.input == runtime.input_digest(id, data)
            memos[runtime.name, id] = Memo(done, [], valid)
            if valid:
                hits.append((id, data, done))
        records = iter(runtime.snapshot.take([at for _, _, done in hits for at in done.children]))
        for id, data, done in hits:
            children: list[tuple[Id, Data]] = []
            for _ in done.children:
                record = next(records)
                children.append((record["_id"], {name: record[name] for name in runtime.node.adds}))
            memos[runtime.name, id].children = children
            if runtime.gate is None:
                for consumer in runtime.consumers:
                    inputs.setdefault(consumer.name, []).extend(
                        (cid, runtime.child(data, added)) for cid, added in children
                    )
    return memos


def as_visit(runtime: NodeRuntime, row: Id, memo: Memo) -> Visit:
    """A finished row as if it had just been visited; nothing of it is written again."""
    result = Visit(runtime, row, memo.done.input, children=memo.children, reused=True)
    if memo.done.outcome is not Outcome.KEPT:
        result.decline(memo.done.reason, memo.done.outcome)
    return result


def same(memo: Memo | None, result: Visit) -> bool:
    """Whether a step decided anew came to what its table holds already."""
    if memo is None or not memo.valid or not result.children:
        return False
    stored: Mapping[Id, Any] = dict(memo.children)
    return stored.keys() == {id for id, _ in result.children}
