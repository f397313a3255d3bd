"""Tells that a level with a quota has nothing to do, so that running again asks nothing.

A quota is decided anew in each run, and rows are asked before anyone knows whether their turn will come: at most the
engines' windows, but that is not nothing. So a finished level leaves a mark in `run.json`: its fingerprints, the
order-free digest of its input, and the attempts that `retry` raised; with it, the rows each step has. One pass over
the input, 20 us a row, compares it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthkit.core.ids import Id, digest, unordered
from synthkit.execute.aside import aside
from synthkit.execute.runtime import NodeRuntime, RunScope
from synthkit.execute.tables import row_digests

KEY = "level"


async def level_mark(scope: RunScope, runtimes: Sequence[NodeRuntime]) -> Id | None:
    """The mark of a level as it is now; None where no step has a quota."""
    if all(runtime.gate is None for runtime in runtimes):
        return None
    return await aside(scope.control, _mark, scope, runtimes)


def is_done(scope: RunScope, runtimes: Sequence[NodeRuntime], mark: Id) -> bool:
    """Whether every step of the level finished under this mark, and its rows are still there."""
    steps = _steps(scope)
    return all(
        steps.get(runtime.name, {}).get(KEY) == mark
        and steps[runtime.name].get("rows") == scope.store.table(runtime.name).count()
        for runtime in runtimes
    )


def begin(scope: RunScope, runtimes: Sequence[NodeRuntime]) -> None:
    """Take the marks out before anything is written."""
    steps = _steps(scope)
    if [steps.pop(runtime.name) for runtime in runtimes if KEY in steps.get(runtime.name, {})]:
        scope.store.save()


def finish(scope: RunScope, runtimes: Sequence[NodeRuntime], mark: Id) -> None:
    """Leave the mark, if every row was decided."""
    if not any(runtime.figures.pending for runtime in runtimes):
        rows = {runtime.name: scope.store.table(runtime.name).count() for runtime in runtimes}
        _steps(scope).update({name: {KEY: mark, "rows": count} for name, count in rows.items()})
        scope.store.save()


def _steps(scope: RunScope) -> dict[str, Any]:
    steps: dict[str, Any] = scope.store.state.setdefault("steps", {})
    return steps


def _mark(scope: RunScope, runtimes: Sequence[NodeRuntime]) -> Id:
    names = {runtime.name for runtime in runtimes}
    sources = sorted({runtime.node.inputs[0] for runtime in runtimes} - names)
    wanted = {column for runtime in runtimes for column in runtime.decides}
    inputs = []
    for source in sources:
        types = scope.graph.nodes[source].columns
        columns = {column: types[column] for column in sorted(wanted & types.keys())}
        inputs.append([source, unordered(row_digests(scope, source, columns))])
    attempts = [sorted((row, *said) for row, said in scope.store.attempts(name).items()) for name in sorted(names)]
    steps = [[runtime.name, runtime.node.fingerprint, runtime.beside] for runtime in runtimes]
    return digest([steps, inputs, attempts])
