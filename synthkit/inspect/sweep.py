"""`sweep`: what another bar would keep, and how right that would be, without a model call.

Every row that the step has judged is judged again by its own expressions, with one variable after the other set to each
value of a range; a person's marks say how many of the kept are good (precision), how many of the good are kept
(recall), and how far that is beyond chance (Cohen's kappa). 10,000 rows at seven values take about 0.5 s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from math import log10
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.expr import ExprError, compile_expression
from synthkit.core.names import nearest
from synthkit.inspect.agreement import Agreement, separation
from synthkit.inspect.judged import Judged, judged

if TYPE_CHECKING:
    from synthkit.inspect.run import Run

Settings = Mapping[str, Sequence[Any]]
"""Variable -> its values, in order."""

_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?:/(\d+(?:\.\d+)?))?")
_POINTS = 1000
_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Point:
    """What one setting would keep."""

    vars: Mapping[str, Any]
    now: bool
    """Whether the run was made with it."""
    kept: int
    share: float
    tokens: int | None
    """Of the kept rows; None where nothing tells it."""
    marks: Agreement | None
    """None without marks."""


@dataclass(slots=True)
class Sweep:
    """All settings of one step."""

    step: str
    judged: int
    without: Mapping[str, int]
    """Rows that could not be judged again, by what became of them."""
    points: list[Point]
    tokens_exact: bool = True
    """Whether tokens are counted and not the mean of the rows that were kept, times their number."""
    marked: int = 0
    good: int = 0
    strangers: int = 0
    """Marks of rows that the step has not judged."""
    separations: Mapping[str, float | None] = field(default_factory=dict)
    """Criterion -> AUC of its probability against the marks."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        points = []
        for point in self.points:
            entry: dict[str, Any] = {"vars": dict(point.vars), "now": point.now, "kept": point.kept}
            entry |= {"share": point.share, "tokens": point.tokens}
            if point.marks is not None:
                entry |= {"precision": point.marks.precision, "interval": point.marks.precision_interval}
                entry |= {"recall": point.marks.recall, "kappa": point.marks.kappa, "marks": asdict(point.marks)}
            points.append(entry)
        found: dict[str, Any] = {"step": self.step, "judged": self.judged, "without": dict(self.without)}
        if self.marked or self.strangers:
            found |= {"marked": self.marked, "good": self.good, "strangers": self.strangers}
            found["auc"] = dict(self.separations)
        return found | {"tokens_exact": self.tokens_exact, "points": points}


def read_settings(given: Sequence[str]) -> dict[str, list[Any]]:
    """`vars.bar=0.3..0.9`, `vars.bar=0.3..0.9/0.05` or `vars.bar=0.5,0.7`: variable -> values."""
    found: dict[str, list[Any]] = {}
    for each in given:
        name, equals, values = each.partition("=")
        if not equals or not name.startswith("vars.") or not values:
            raise StoreError(f"{each!r} is not vars.NAME=VALUES, e.g. vars.bar=0.3..0.9 or vars.bar=0.5,0.7")
        found[name.removeprefix("vars.")] = _values(values)
    return found


def sweep(run: Run, step: str, settings: Settings, marks: Mapping[str, bool] | None = None) -> Sweep:
    """Judge every row again at every combination of the settings, and as the run was made."""
    found = judged(run, step)
    known = dict(run.state.get("vars") or {})
    _check(found, settings, known)
    now = {name: known.get(name) for name in settings}
    grid = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    if now not in grid:
        grid = sorted([*grid, now], key=lambda point: [_order(value) for value in point.values()])
    tokens, exact = _tokens(run, found)
    marks = marks or {}
    marked = [row for row in found.rows if row.id in marks]
    if marks and not marked:
        raise StoreError(f"none of the {len(marks)} marks names a row that {found.step!r} of {run.path} has judged")
    points = [_point(found, point, point == now, known, tokens, marks if marked else None) for point in grid]
    good = [marks[row.id] for row in marked]
    auc = {name: separation([row.scores[name] for row in marked], good) for name in found.criteria} if marked else {}
    strangers = len(marks) - len(marked)
    return Sweep(found.step, len(found.rows), found.without, points, exact, len(marked), sum(good), strangers, auc)


def _point(
    found: Judged,
    point: Mapping[str, Any],
    now: bool,
    vars: Mapping[str, Any],
    tokens: Mapping[str, float],
    marks: Mapping[str, bool] | None,
) -> Point:
    values = {**vars, **point}
    try:
        kept = {row.id for row in found.rows if row.kept_by(found.keep, values, found.toolset)}
    except ExprError as error:
        raise StoreError(f"{found.step!r} cannot be judged again from the run alone: {error}") from error
    total = round(sum(tokens[row] for row in kept)) if tokens else None
    agreement = None
    if marks is not None:
        rows = [row.id for row in found.rows if row.id in marks]
        agreement = Agreement.of([row in kept for row in rows], [marks[row] for row in rows])
    return Point(point, now, len(kept), len(kept) / len(found.rows) if found.rows else 0.0, total, agreement)


def _check(found: Judged, settings: Settings, vars: Mapping[str, Any]) -> None:
    """Variables that some expression reads: another one would change nothing, and the table would not say so."""
    if not found.keep:
        raise StoreError(f"{found.step!r} keeps every row: it has no `keep`")
    read = {name for text in found.keep.values() for name in compile_expression(text).vars_read}
    for name in settings:
        if name not in vars:
            raise StoreError(f"there is no variable {name!r}; {nearest(name, sorted(vars), 'vars')}")
        if name not in read:
            said = ", ".join(f"{key}: {text}" for key, text in found.keep.items())
            known = f"they read {', '.join(sorted(read))}" if read else "they read none: write vars.NAME in them"
            raise StoreError(f"no expression of {found.step!r} reads vars.{name}; {known} ({said})")
    points = 1
    for values in settings.values():
        points *= len(values)
    if points > _POINTS:
        raise StoreError(
            f"{points:,} combinations are too many; {_POINTS:,} at most: write fewer values, or a wider step"
        )


def _tokens(run: Run, found: Judged) -> tuple[dict[str, float], bool]:
    """Tokens of each judged row: of its own column, else the mean of the documents rendered from the kept ones."""
    import polars as pl

    there = run.store.columns(run.steps[found.step].parents[0])
    if "tokens" in there:
        frame = run.store.scan(run.steps[found.step].parents[0], ["tokens"]).collect()
        known = dict(zip(frame["_id"], frame["tokens"].fill_null(0), strict=True))
        return {row.id: float(known[row.id]) for row in found.rows}, True
    below = {found.step}
    for name, layout in run.steps.items():
        if layout.parents and layout.parents[0] in below and layout.keeps_id:
            below.add(name)
            if "tokens" in layout.adds:
                mean = run.store.scan(name, ["tokens"]).select(pl.col("tokens").mean()).collect().item()
                return ({row.id: float(mean) for row in found.rows} if mean is not None else {}), False
    return {}, True


def _values(text: str) -> list[Any]:
    """The values of a range or a list."""
    whole = _RANGE.fullmatch(text)
    if whole is None:
        return [_scalar(each.strip()) for each in text.split(",")]
    low, high = float(whole[1]), float(whole[2])
    counted = not any("." in (end or "") for end in whole.groups()) and high - low > 1
    step = float(whole[3]) if whole[3] else max(_step(high - low), float(counted))
    if low >= high or step <= 0:
        raise StoreError(f"{text!r} is no range; write the lower end first and a step above 0, as in 0.3..0.9/0.05")
    count = int((high - low) / step + 1e-9) + 1
    if count > _POINTS:
        raise StoreError(f"{text!r} has {count:,} values; {_POINTS:,} at most")
    values = [round(low + at * step, 10) for at in range(count)]
    return [int(value) for value in values] if counted else values


def _step(width: float) -> float:
    """A round step that gives six to twelve values."""
    if width <= 0:
        return 1.0
    power = 10.0 ** int(log10(width) // 1 - 1)
    return next(step * power for step in (*_STEPS, 20.0) if width / (step * power) <= 11)


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def _order(value: Any) -> tuple[bool, Any]:
    number = isinstance(value, int | float)
    return (not number, value if number else str(value))
