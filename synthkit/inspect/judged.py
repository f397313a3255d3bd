"""The rows that a step has judged, kept and set aside alike, with what its expressions read: ready to be judged again.

A judge's scores stand in its own column where the row was kept and in the reject's detail where it was not; a filter's
columns are those of its input. So the expressions have values again without a model call. Rows over a quota have no
scores (they were judged after the quota was full, or not at all) and are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.expr import compile_expression
from synthkit.core.outcome import Outcome
from synthkit.inspect.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type
    from synthkit.inspect.run import Run

_EXPRESSIONS = {"judge": "keep", "filter": "where"}
"""Verb -> the parameter that holds its expressions."""


@dataclass(slots=True)
class JudgedRow:
    """One row that the step has decided."""

    id: str
    values: dict[str, Any]
    """Columns of the step's input."""
    scores: dict[str, Any]
    """Criterion -> probability; empty at a filter."""
    kept: bool

    def kept_by(self, keep: Mapping[str, str], vars: Mapping[str, Any], toolset: Toolset | None) -> bool:
        """What these expressions say of it; ExprError where one has no value."""
        given = {"p": self._probability}
        expressions = map(compile_expression, keep.values())
        return all(each.evaluate(self.values, vars=vars, toolset=toolset, extra=given) for each in expressions)

    def _probability(self, criterion: str) -> float:
        return float(self.scores[criterion])


@dataclass(slots=True)
class Judged:
    """What a step has judged."""

    step: str
    """The node that decides."""
    verb: str
    keep: dict[str, str]
    """Name -> expression."""
    criteria: list[str]
    """A judge's criteria; none at a filter."""
    types: Mapping[str, Type]
    """Of the columns in `values`."""
    rows: list[JudgedRow] = field(default_factory=list)
    """By id."""
    toolset: Toolset | None = None
    """The tools that the run knew, for `is valid`."""
    without: dict[str, int] = field(default_factory=dict)
    """Rows of the input that cannot be judged again, by what became of them."""


def definition(run: Run, step: str) -> Mapping[str, Any]:
    """What `run.json` keeps of a step's definition; StoreError where it keeps none."""
    found: Mapping[str, Any] | None = dict(run.state.get("definitions") or {}).get(step)
    if found is None:
        raise StoreError(f"{run.path} does not say how {step!r} is defined; run its spec again")
    return found


def toolset_of(run: Run) -> Toolset | None:
    """The tools that the run's spec names; None where it names none."""
    from synthkit.core.toolset import Toolset

    kept = run.state.get("toolset")
    return Toolset.model_validate(kept) if kept else None


def judged(run: Run, step: str, columns: Sequence[str] = ()) -> Judged:
    """Everything that the step has judged; `columns` of its input are read beside those of its expressions."""
    run.columns(step)  # says which steps exist where this one does not
    node = run.node(step)
    defined = definition(run, node)
    verb = str(defined["verb"])
    if verb not in _EXPRESSIONS:
        decide = [name for name in run.steps if definition(run, name)["verb"] in _EXPRESSIONS]
        raise StoreError(f"{step!r} is a {verb}, which decides by no expression; those that do: {', '.join(decide)}")
    parameters = dict(defined["parameters"])
    keep = {name: text for name, text in parameters[_EXPRESSIONS[verb]]}
    criteria = [name for name, _ in parameters.get("rubric", [])]
    parent = run.steps[node].parents[0]
    there = run.store.columns(parent)
    read = {name for text in keep.values() for name in compile_expression(text).names} | set(columns)
    types = {name: there[name] for name in there if name in read}
    found = Judged(node, verb, keep, criteria, types, toolset=toolset_of(run))
    scores = _scores(run, found)
    for values in rows_of(run, parent, list(types)):
        row_id = values.pop("_id")
        if row_id in scores:
            kept, of_row = scores[row_id]
            found.rows.append(JudgedRow(row_id, values, of_row, kept))
    found.rows.sort(key=lambda row: row.id)
    return found


def _scores(run: Run, found: Judged) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Row -> whether it was kept, and its scores; counts the others in `found.without`."""
    import polars as pl

    scores: dict[str, tuple[bool, dict[str, Any]]] = {}
    column = found.step.rpartition(".")[2]
    if found.criteria and column not in run.store.columns(found.step):
        raise StoreError(f"the scores of {found.step!r} are hidden; name {column!r} in the composite's output.adds")
    frame = run.store.scan(found.step, [column] if found.criteria else []).collect()
    untouched = 0
    for row in frame.iter_rows(named=True):
        given = row[column] if found.criteria else {}
        if given is None:
            untouched += 1
        else:
            scores[row["_id"]] = (True, {name: given[name] for name in found.criteria})
    if untouched:
        found.without["outside of `when`"] = untouched
    reasons = {f"not {name}" for name in found.keep}
    lines = run.rejects.filter((pl.col("step") == found.step) & pl.col("sample").is_null())
    for line in lines.collect().iter_rows(named=True):
        detail = _detail(line["detail"]) if line["reason"] in reasons else None
        if line["outcome"] == Outcome.FILTERED and detail is not None and all(c in detail for c in found.criteria):
            scores[line["row"]] = (False, {name: detail[name] for name in found.criteria})
        else:
            what = str(line["reason"] if line["outcome"] == Outcome.UNUSED else line["outcome"])
            found.without[what] = found.without.get(what, 0) + 1
    return scores


def _detail(text: str | None) -> dict[str, Any]:
    import orjson

    return dict(orjson.loads(text)) if text else {}
