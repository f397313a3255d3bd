"""The spec's `audit:` bounds, measured on the tables of a run. What a figure is stands in `plan/figures.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.store import StepCounts
from synthkit.inspect.audits.calls import names_entity, valid_calls
from synthkit.inspect.audits.leakage import answer_leak
from synthkit.inspect.audits.lengths import longest
from synthkit.inspect.choices import Rows, collapsed, length_auc, position_p
from synthkit.inspect.diversity import plans_alike, tools_per_question
from synthkit.inspect.probes import length_bias, position_bias
from synthkit.inspect.rows import stored_rows
from synthkit.plan.figures import FIGURES, NEEDS

if TYPE_CHECKING:
    from synthkit.inspect.run import Run


@dataclass(frozen=True, slots=True)
class Measured:
    """A bound of the spec, and the figure it is on."""

    figure: str
    """`step.figure`."""
    value: float | None
    """None where no row tells it."""
    least: float | None
    most: float | None

    @property
    def range(self) -> str:
        """The bound, as the spec writes it."""
        return f"{'' if self.least is None else f'{self.least:g}'}..{'' if self.most is None else f'{self.most:g}'}"

    @property
    def problem(self) -> str | None:
        """What is wrong, in words; None where the bound holds."""
        if self.value is None:
            return f"{self.figure} cannot be told: there is nothing to measure it on"
        low, high = self.least is not None and self.value < self.least, self.most is not None and self.value > self.most
        if not low and not high:
            return None
        return f"{self.figure} is {self.value:.4g}, outside of {self.range}"


def measured_bounds(run: Run, ledger: Mapping[str, StepCounts]) -> list[Measured]:
    """Every bound of the spec as it was last run, measured."""
    return [
        Measured(each["figure"], measure(run, ledger, each["figure"]), each["least"], each["most"])
        for each in run.state.get("audit", [])
    ]


def check_bounds(run: Run, ledger: Mapping[str, StepCounts]) -> list[str]:
    """What is out of bounds, in words."""
    return [each.problem for each in measured_bounds(run, ledger) if each.problem is not None]


def measure(run: Run, ledger: Mapping[str, StepCounts], name: str) -> float | None:
    """The value of `step.figure`; None where no row tells it."""
    step = max((s for s in run.tables if name.startswith(f"{s}.")), key=len, default=None)
    if step is None:
        raise StoreError(f"{run.path} has no step that {name!r} could mean")
    figure = name[len(step) + 1 :]
    step = run.node(step)
    counts = ledger.get(step)
    if figure in NEEDS:
        return _OF_ROWS[figure](stored_rows(run, step, sorted(NEEDS[figure])))
    if figure in _OF_RUN:
        return _OF_RUN[figure](run, step)
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


def _query_overlap(rows: Rows) -> float | None:
    from synthkit.core.expr import compile_expression

    overlap = compile_expression("call.text | overlap(question)")
    values = [float(overlap.evaluate(row, vars={})) for row in rows if row["call"] and row["call"]["name"]]
    return sum(values) / len(values) if values else None


_OF_ROWS: Mapping[str, Callable[[Rows], float | None]] = {
    "query_overlap": _query_overlap,
    "tools_per_question": tools_per_question,
    "plans_alike": plans_alike,
    "position_p": position_p,
    "length_auc": length_auc,
    "collapsed": collapsed,
}
"""Figures that are computed from the rows themselves."""

_OF_RUN: Mapping[str, Callable[[Run, str], float | None]] = {
    "length_bias": length_bias,
    "position_bias": position_bias,
    "valid_calls": valid_calls,
    "names_entity": names_entity,
    "answer_leak": answer_leak,
    "longest": longest,
}
"""Figures that need more of the run: rejects, definitions, the toolset."""
