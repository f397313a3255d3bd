"""Chooses rejected rows to ask again: their attempt is raised and their rejects go, so that the next run decides anew.

Only rows that were not kept are chosen; a kept row has nothing to ask for. Without an expression these are the failed
ones: rows that were filtered were decided, not broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from synthkit.core.engine import Role
from synthkit.core.errors import Problem, SpecError
from synthkit.core.expr import ExprError, Expression, ExprSyntaxError, compile_expression
from synthkit.core.names import nearest
from synthkit.core.outcome import Outcome
from synthkit.core.registry import open_store
from synthkit.core.store import RunStore

if TYPE_CHECKING:
    from synthkit.core.ids import Id

_TEXT = ("step", "row", "outcome", "reason", "sample", "key", "attempt", "boundary", "raw", "input")


def raise_attempts(
    path: Path,
    *,
    step: str | None = None,
    where: str | None = None,
    sets: Sequence[str] = (),
    dry_run: bool = False,
    store: str = "lance",
) -> dict[str, int]:
    """Raise the attempts of the rejects that `where` holds for; returns the number of rows by step.

    `where` is an expression over the columns of the rejects table (`detail` as a mapping); it chooses a row if it holds
    for the row's own line or for one of its samples. `sets` are `FIELD=VALUE` of the role, for these rows only.
    """
    fields = role_fields(sets)
    expression = _compiled(where)
    run: RunStore = open_store(store)(path, write=not dry_run, create=False)
    try:
        if step is not None:
            run.columns(step)
        chosen = _chosen(run, step, expression)
        if not dry_run:
            for name, rows in chosen.items():
                run.retry(name, dict.fromkeys(rows, fields))
        return {name: len(rows) for name, rows in chosen.items()}
    finally:
        asyncio.run(run.close())


def role_fields(sets: Sequence[str]) -> dict[str, Any]:
    """`FIELD=VALUE` texts as checked role fields; SpecError names every one that is wrong."""
    known = [name for name in Role.model_fields if name != "engine"]
    found: dict[str, Any] = {}
    problems = []
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            what = f"{name!r} is no field of a role" if equals else f"{text!r} is not FIELD=VALUE"
            problems.append(Problem(f"--set: {what}", help=nearest(name, known, "fields")))
            continue
        try:
            found[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            found[name] = value
    try:
        Role(engine="any", **found)
    except ValidationError as error:
        problems += [Problem(f"--set {e['loc'][0]}={found[str(e['loc'][0])]!r}: {e['msg']}") for e in error.errors()]
    if problems:
        raise SpecError(problems)
    return found


def _compiled(where: str | None) -> Expression | None:
    if where is None:
        return None
    try:
        expression = compile_expression(where)
    except ExprSyntaxError as error:
        raise SpecError(Problem(f"--where: {error}", source=where)) from None
    unknown = sorted(expression.names - {*_TEXT, "detail"})
    if unknown:
        raise SpecError(Problem(f"--where: rejects have no {unknown[0]!r}", help=nearest(unknown[0], _TEXT, "columns")))
    return expression


def _chosen(run: RunStore, step: str | None, where: Expression | None) -> dict[str, list[Id]]:
    import polars as pl

    lines = run.rejects() if step is None else run.rejects().filter(pl.col("step") == step)
    rejected = lines.filter(pl.col("sample").is_null()).select("step", "row").unique()
    lines = lines.join(rejected, on=["step", "row"], how="semi")
    if where is None:
        lines = lines.filter((pl.col("outcome") == Outcome.FAILED.value) & pl.col("sample").is_null())
    found: dict[str, dict[Id, None]] = {}
    for batch in lines.select(*_TEXT, "detail").collect_batches(chunk_size=4096):
        for line in batch.iter_rows(named=True):
            if where is None or _holds(where, line):
                found.setdefault(line["step"], {})[line["row"]] = None
    return {name: list(rows) for name, rows in found.items()}


def _holds(where: Expression, line: Mapping[str, Any]) -> bool:
    try:
        return bool(where.evaluate({**line, "detail": orjson.loads(line["detail"])}, vars={}))
    except ExprError:  # details differ from reject to reject: what has none of that name is not meant
        return False
