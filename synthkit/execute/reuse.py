"""Finished rows are looked up in batches before their tree begins, so that a resumed run reads instead of asks.

A stored row stands where the step's fingerprint and the hash of its input row are the same. Batches of source rows are
followed down the level step by step with one look-up and one take a step: about 20 us a row, against 1 ms one by one.
Steps with a quota are decided anew each run (their calls are in the journal), because what was accepted depends on
the rows before them. What a step makes anew is looked up at the steps after it too: a row may come out as it was.
"""

from __future__ import annotations

import asyncio
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
    for runtime, ident, data in places:
        inputs.setdefault(runtime.name, []).append((ident, data))
    for runtime in order:
        rows = inputs.pop(runtime.name, [])
        if not rows or runtime.snapshot is None:
            continue
        found = runtime.snapshot.find([ident for ident, _ in rows])
        hits: list[tuple[Id, Data, Done]] = []
        for (ident, data), done in zip(rows, found, strict=True):
            if done is None:
                continue
            valid = done.input == runtime.input_digest(ident, data)
            memos[runtime.name, ident] = Memo(done, [], valid)
            if valid:
                hits.append((ident, data, done))
        records = iter(runtime.snapshot.take([at for _, _, done in hits for at in done.children]))
        for ident, data, done in hits:
            children: list[tuple[Id, Data]] = []
            for _ in done.children:
                record = next(records)
                children.append((record["_id"], runtime.added(record, data)))
            memos[runtime.name, ident].children = children
            if runtime.gate is None:
                for consumer in runtime.consumers:
                    inputs.setdefault(consumer.name, []).extend(
                        (cid, runtime.child(data, added)) for cid, added in children
                    )
    return memos


class Finder:
    """Looks up rows that a step has just made, those of one turn of the event loop together."""

    def __init__(self, order: Sequence[NodeRuntime]) -> None:
        """`order` are the steps that may be entered, opened."""
        self._order = order
        self._useful = any(runtime.snapshot is not None for runtime in order)
        self._places: list[Place] = []
        self._answer: asyncio.Future[Memos] | None = None

    async def find(self, places: Sequence[Place]) -> Memos:
        """Memos of the places, and of others that were asked for in the same turn."""
        if not self._useful or not any(runtime.snapshot is not None for runtime, _, _ in places):
            return {}
        if self._answer is None:
            loop = asyncio.get_running_loop()
            self._answer = loop.create_future()
            loop.call_soon(self._look_up)
        self._places.extend(places)
        return await asyncio.shield(self._answer)

    def _look_up(self) -> None:
        places, answer = self._places, self._answer
        self._places, self._answer = [], None
        assert answer is not None, "made by the first who asked"
        try:
            answer.set_result(look_up(self._order, places))
        except BaseException as error:  # a panic of native code is no Exception
            answer.set_exception(error)


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
    return stored.keys() == {ident for ident, _ in result.children}
