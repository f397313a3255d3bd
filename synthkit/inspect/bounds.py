"""The spec's `audit:` bounds, measured on the tables of a run. What a figure is stands in `plan/figures.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.store import StepCounts
from synthkit.plan.figures import FIGURES

if TYPE_CHECKING:
    from synthkit.inspect.run import Run


def check_bounds(run: Run, ledger: Mapping[str, StepCounts]) -> list[str]:
    """What is out of bounds, in words; bounds are those of the spec as it was last run."""
    problems = []
    for bound in run.state.get("audit", []):
        name, least, most = bound["figure"], bound["least"], bound["most"]
        found = measure(run, ledger, name)
        if found is None:
            problems.append(f"{name} cannot be told: there is nothing to measure it on")
        elif (least is not None and found < least) or (most is not None and found > most):
            problems.append(f"{name} is {found:.4g}, outside of {_range(least, most)}")
    return problems


def measure(run: Run, ledger: Mapping[str, StepCounts], name: str) -> float | None:
    """The value of `step.figure`; None where no row tells it."""
    step = max((s for s in run.tables if name.startswith(f"{s}.")), key=len, default=None)
    if step is None:
        raise StoreError(f"{run.path} has no step that {name!r} could mean")
    figure = name[len(step) + 1 :]
    step = run.node(step)
    counts = ledger.get(step)
    if figure == "query_overlap":
        return _query_overlap(run, step)
    if figure in FIGURES:
        return _share(counts, figure) if counts else None
    return _mean(run, step, figure)


def _share(counts: StepCounts, figure: str) -> float | None:
    if figure == "rows":
        return float(counts.output)
    if figure == "samples_accepted":
        return counts.accepted / counts.asked if counts.asked else None
    decided = counts.input - counts.pending
    part = counts.kept if figure == "accepted" else getattr(counts, figure)
    return part / decided if decided else None


def _mean(run: Run, step: str, figure: str) -> float | None:
    import polars as pl

    column, *inner = figure.split(".")
    value = pl.col(column)
    for name in inner:
        value = value.struct.field(name)
    found: Any = run.store.scan(step, [column]).select(value.cast(pl.Float64).mean()).collect().item()
    return None if found is None else float(found)


def _query_overlap(run: Run, step: str) -> float | None:
    from synthkit.core.expr import compile_expression

    overlap = compile_expression("call.text | overlap(question)")
    rows = run.store.scan(step, ["call", "question"]).collect().to_dicts()
    values = [float(overlap.evaluate(row, vars={})) for row in rows if row["call"] and row["call"]["name"]]
    return sum(values) / len(values) if values else None


def _range(least: float | None, most: float | None) -> str:
    return f"{'' if least is None else f'{least:g}'}..{'' if most is None else f'{most:g}'}"
