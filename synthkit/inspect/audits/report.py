"""The report of `synthkit audit`: the ledger, what does not balance, the bounds, and the audits of the rows.

Calls are looked at where they are made and where they are published, so that the report says what the filters between
have done; decisions where their options are made; leaks, lengths at the published tables; biases at every judge and
every pick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthkit.core.store import StepCounts
from synthkit.inspect.audits.calls import Calls, calls
from synthkit.inspect.audits.decisions import Decisions, decisions
from synthkit.inspect.audits.leakage import Leak, leakage
from synthkit.inspect.audits.lengths import Lengths, lengths
from synthkit.inspect.bounds import Measured, measured_bounds
from synthkit.inspect.probes import Bias, length_biases, position_biases
from synthkit.plan.figures import decides

if TYPE_CHECKING:
    from synthkit.core.types import Type
    from synthkit.inspect.run import Run


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of a run's rows."""

    run: str
    ledger: Mapping[str, StepCounts]
    unbalanced: list[str]
    """What the tables contradict each other in."""
    bounds: list[Measured]
    calls: list[Calls]
    decisions: list[Decisions]
    leakage: list[Leak]
    lengths: list[Lengths]
    biases: Mapping[str, list[Bias]]
    """By step."""

    @property
    def problems(self) -> list[str]:
        """What makes the audit fail: tables that do not balance, bounds that do not hold."""
        return [*self.unbalanced, *(each.problem for each in self.bounds if each.problem is not None)]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run,
            "holds": not self.problems,
            "problems": self.problems,
            "bounds": [{**asdict(each), "holds": each.problem is None} for each in self.bounds],
            "ledger": {step: asdict(counts) for step, counts in self.ledger.items()},
            "calls": [each.as_json() for each in self.calls],
            "decisions": [each.as_json() for each in self.decisions],
            "leakage": [each.as_json() for each in self.leakage],
            "lengths": [each.as_json() for each in self.lengths],
            "biases": {step: [each.as_json() for each in biases] for step, biases in self.biases.items()},
        }


def report(run: Run, *, window: int | None = None) -> Report:
    """Audit a run; `window` is the number of tokens that a row may have."""
    account = run.account()
    published: dict[str, str] = dict(run.state.get("published_from") or {})
    nodes = list(dict.fromkeys(published.values()))
    made = [name for name, layout in run.steps.items() if any(map(_has_call, layout.adds.values()))]
    at = [*made, *(name for name in nodes if name not in made)]
    found = [calls(run, step) for step in at]
    decided = [decisions(run, step) for step, each in run.steps.items() if decides(each.adds) and not _hides(run, step)]
    tables = [name for name in published if name in run.store.published_names()]
    measured = [lengths(run, name, window) for name in tables]
    return Report(
        run=str(run.path),
        ledger=account.counts,
        unbalanced=account.problems,
        bounds=measured_bounds(run, account.counts),
        calls=[each for each in found if each is not None],
        decisions=[each for each in decided if each is not None],
        leakage=[leak for step in nodes for leak in leakage(run, step)],
        lengths=[each for each in measured if each is not None],
        biases={step: biases for step in run.steps if (biases := _biases(run, step))},
    )


def _biases(run: Run, step: str) -> list[Bias]:
    """Of a step whose definition is known and whose scores can be read."""
    if step not in (run.state.get("definitions") or {}) or _hides(run, step):
        return []
    return [*length_biases(run, step), *position_biases(run, step)]


def _hides(run: Run, step: str) -> bool:
    """Whether columns of the step are hidden, as within a composite that does not give them out."""
    return bool(run.steps[step].adds.keys() - run.store.columns(step).keys())


def _has_call(type: Type) -> bool:
    from synthkit.core.types import Call, ListOf, Object
    from synthkit.core.types.model import bare

    inner = bare(type)
    if isinstance(inner, Object):
        return any(map(_has_call, inner.fields.values()))
    return _has_call(inner.of) if isinstance(inner, ListOf) else isinstance(inner, Call)
