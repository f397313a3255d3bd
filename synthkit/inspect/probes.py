"""Probes of a judge or a chooser: does its verdict follow the length of a text, or the place where it stands?

Each figure is the least bias that the rows allow at 95 %, whatever was looked at beside it: chance gives 0, so that a
bound such as `..0.2` breaks on evidence only. A judge is measured over kept and rejected rows, a step whose reply picks
one of a list (`ref(options)`) by the place of the picked one and by whether it was the longest. The list must have been
shuffled: one in order of merit is rightly picked from at its front.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from synthkit.inspect.agreement import beyond_chance, quantile, rank_correlation
from synthkit.inspect.judged import definition, judged
from synthkit.inspect.rows import rows_of

if TYPE_CHECKING:
    from synthkit.core.types import Ref, Type
    from synthkit.inspect.run import Run

PAIRS = frozenset({("a", "b"), ("1", "2"), ("first", "second"), ("left", "right")})
"""Labels of a judge that compares two texts by their place, in lower case."""


@dataclass(frozen=True, slots=True)
class Bias:
    """One thing that a verdict was compared with."""

    verdict: str
    """A criterion, or the column that holds the pick."""
    by: str
    """`length of question`, `place 1`, `longest`."""
    rows: int
    measured: float
    """A rank correlation (-1..1), or how much more often than by chance (share of rows)."""
    least: float
    """What is left of its size when chance is taken off, 0..1."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def length_bias(run: Run, step: str) -> float | None:
    """The largest `least` of all lengths; None where the step has no verdict."""
    return _largest(length_biases(run, step))


def position_bias(run: Run, step: str) -> float | None:
    """The largest `least` of all places; None where the step picks nothing by place."""
    return _largest(position_biases(run, step))


def length_biases(run: Run, step: str) -> list[Bias]:
    """Every criterion against the length of each text that the judge reads; every pick against longest and shortest."""
    step = run.node(step)
    if definition(run, step)["verb"] == "judge":
        return _of_scores(run, step)
    found: list[Bias] = []
    for column, ref in _picks(run, step):
        found += _excesses(column, _by_length(run, step, column, ref))
    return found


def position_biases(run: Run, step: str) -> list[Bias]:
    """Every place of every list that the step picks from; of a judge that compares a pair, the first."""
    step = run.node(step)
    if definition(run, step)["verb"] == "judge":
        return _of_pairs(run, step)
    found: list[Bias] = []
    for column, ref in _picks(run, step):
        found += _excesses(column, _by_place(run, step, column, ref))
    return found


def _largest(biases: Sequence[Bias]) -> float | None:
    return max((each.least for each in biases), default=None)


def _of_scores(run: Run, step: str) -> list[Bias]:
    """Rank correlations of probabilities with lengths."""
    import polars as pl

    reads = dict(run.state.get("reads") or {}).get(step, ())
    found = judged(run, step, reads)
    if not found.rows:
        return []
    texts = [name for name, of in found.types.items() if name in reads and _has_text(of)]
    lengths = {name: pl.Series([_length(row.values[name]) for row in found.rows]) for name in texts}
    measured: dict[tuple[str, str], float] = {}
    for criterion in found.criteria:
        scores = pl.Series([float(row.scores[criterion]) for row in found.rows])
        for name, each in lengths.items():
            measured[criterion, name] = rank_correlation(scores, each) or 0.0  # what does not vary follows nothing
    rows, tests = len(found.rows), len(measured)
    return [
        Bias(criterion, f"length of {name}", rows, value, beyond_chance(value, rows, tests))
        for (criterion, name), value in measured.items()
    ]


def _of_pairs(run: Run, step: str) -> list[Bias]:
    """The mean probability of the label that stands for the first place, against a half."""
    rubric = dict(dict(definition(run, step)["parameters"])["rubric"])
    pairs = [name for name, labels in rubric.items() if _labels(labels) in PAIRS]
    rows = judged(run, step).rows
    found = []
    for name in pairs if rows else ():
        scores = [float(row.scores[name]) for row in rows]
        mean = sum(scores) / len(scores)
        spread = sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
        least = max(0.0, abs(mean - 0.5) - quantile(len(pairs)) * _error(spread, mean, len(scores)))
        found.append(Bias(name, "place 1", len(scores), mean - 0.5, least))
    return found


def _error(spread: float, mean: float, rows: int) -> float:
    """Standard error of a mean; where all scores are alike, that of a share one row away from it."""
    return max(spread, sqrt(max(mean * (1 - mean), 1 / rows))) / sqrt(rows)


def _labels(declared: str) -> tuple[str, ...]:
    return tuple(each.strip().strip('"').lower() for each in str(declared).split("|"))


def _picks(run: Run, step: str) -> Iterator[tuple[str, Ref]]:
    """Columns of the step that hold one item of a list."""
    from synthkit.core.types import Ref
    from synthkit.core.types.model import bare

    for name, of in run.steps[step].adds.items():
        inner = bare(of)
        if isinstance(inner, Ref):
            yield name, inner


def _chosen(run: Run, step: str, column: str, ref: Ref) -> Iterator[tuple[list[Any], int]]:
    """The options of each row, and the index of the one picked."""
    for row in rows_of(run, step, [column, ref.column]):
        options, pick = row[ref.column], row[column]
        if pick is None or not options or len(options) < 2:
            continue
        ids = [str(item.get("id", n)) if isinstance(item, Mapping) else str(n) for n, item in enumerate(options, 1)]
        if str(pick) in ids:
            yield options, ids.index(str(pick))


Chances = dict[str, list[tuple[float, float]]]
"""What a pick may favour -> for each row where it could: (1 if it did, the chance that it would)."""


def _by_place(run: Run, step: str, column: str, ref: Ref) -> Chances:
    found: Chances = defaultdict(list)
    for options, pick in _chosen(run, step, column, ref):
        for place in range(len(options)):
            found[f"place {place + 1}"].append((float(pick == place), 1 / len(options)))
        found["last place"].append((float(pick == len(options) - 1), 1 / len(options)))
    return found


def _by_length(run: Run, step: str, column: str, ref: Ref) -> Chances:
    found: Chances = defaultdict(list)
    for options, pick in _chosen(run, step, column, ref):
        lengths = [_length(option) for option in options]
        if len(set(lengths)) == 1:
            continue
        for which, extreme in (("longest", max(lengths)), ("shortest", min(lengths))):
            found[which].append((float(lengths[pick] == extreme), Counter(lengths)[extreme] / len(lengths)))
    return found


def _excesses(column: str, chances: Chances) -> list[Bias]:
    """How much more often than by chance each was picked; less often is another one's more."""
    found = []
    for by, each in chances.items():
        rows = len(each)
        excess = sum(hit - chance for hit, chance in each) / rows
        error = sqrt(sum(chance * (1 - chance) for _, chance in each)) / rows
        found.append(Bias(column, by, rows, excess, max(0.0, excess - quantile(len(chances)) * error)))
    return found


def _has_text(type: Type) -> bool:
    from synthkit.core.types import Call, Json, ListOf, Object, Str
    from synthkit.core.types.model import bare

    inner = bare(type)
    if isinstance(inner, Object):
        return any(map(_has_text, inner.fields.values()))
    return _has_text(inner.of) if isinstance(inner, ListOf) else isinstance(inner, Str | Call | Json)


def _length(value: Any) -> int:
    """Characters of all texts of a value."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_length(item) for name, item in value.items() if name != "id")
    return sum(map(_length, value)) if isinstance(value, list) else 0
