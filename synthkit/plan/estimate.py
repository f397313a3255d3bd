"""What a run will cost and give, before it costs anything.

Rows are carried along the graph: a step gives its input times the rate seen in the run so far (a pilot with `--limit`
is enough), or, where it never ran, times what the action says of itself with nothing rejected. So without a pilot the
figures are upper bounds and say so; token counts and time are only told from a pilot. A quota caps a step and is met
if what reaches it is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthkit.core.types import Bool, Choice
from synthkit.core.types.model import bare
from synthkit.plan.graph import Graph, Node
from synthkit.plan.state import PlanState, StepState


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """One step; None is unknown."""

    rows: float | None
    """Rows that come in; of a source, rows it gives."""
    output: float | None
    """Rows it gives, the quota applied."""
    reuse: float = 0
    """Input rows that are done."""
    compute: float | None = None
    """Input rows to be worked on."""
    requests: float | None = 0
    samples: float | None = 0
    prompt_tokens: float | None = 0
    completion_tokens: float | None = 0
    piloted: bool = False
    """Whether rates are from a run; else nothing is taken to be rejected."""
    quota: float | None = None
    """Rows wanted in all, where the step has a quota in rows and the number of its groups is known."""
    available: float | None = None
    """Rows that reach the quota."""

    @property
    def short(self) -> bool:
        """Whether the quota cannot be met by what is expected."""
        return self.quota is not None and self.available is not None and self.available < self.quota


@dataclass(frozen=True, slots=True)
class Estimate:
    """A whole run, the specs it reads included."""

    steps: Mapping[str, StepEstimate]
    """By node."""
    tables: Mapping[str, float | None]
    """Published table -> rows expected."""
    requests: float | None
    samples: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    seconds: float | None
    """Time at the pilot's speed."""
    piloted: bool
    """Whether every step that asks a model has been seen at work."""
    subspecs: Mapping[str, Estimate]


def estimate(graph: Graph, state: PlanState | None = None) -> Estimate:
    """Rows, requests, tokens, time and yield of a run of the graph, from where `state` says it stands."""
    state = state or PlanState()
    below = {name: estimate(sub, state.subspecs.get(name)) for name, sub in graph.subspecs.items()}
    steps: dict[str, StepEstimate] = {}
    # What came over a quota of a whole run is not asked for again, unless a step was changed since.
    settled = all(
        state.step(n).complete and state.step(n).fingerprint == at.fingerprint for n, at in graph.nodes.items()
    )
    for name, node in graph.nodes.items():
        rows = [steps[each].output for each in node.inputs]
        given = _total(rows) if rows else None
        steps[name] = _step(node, state.step(name), given, _published(node, below), settled)
    asking = [name for name, node in graph.nodes.items() if node.roles]
    everything: list[StepEstimate | Estimate] = [*steps.values(), *below.values()]
    tokens = _total([each.completion_tokens for each in everything])
    speed = state.tokens_per_second
    return Estimate(
        steps=steps,
        tables={name: steps[table.node].output for name, table in graph.publish.items()},
        requests=_total([each.requests for each in everything]),
        samples=_total([each.samples for each in everything]),
        prompt_tokens=_total([each.prompt_tokens for each in everything]),
        completion_tokens=tokens,
        seconds=tokens / speed if tokens is not None and speed else None,
        piloted=all(steps[name].piloted for name in asking) and all(each.piloted for each in below.values()),
        subspecs=below,
    )


def _published(node: Node, below: Mapping[str, Estimate]) -> float | None:
    """Rows of the table of another spec that the node reads."""
    table = getattr(node.action, "table", None)
    return below[node.name].tables.get(table) if node.name in below and isinstance(table, str) else None


def _step(node: Node, seen: StepState, rows: float | None, published: float | None, settled: bool) -> StepEstimate:
    """One step, from the rows that come in."""
    cost = node.action.cost()
    piloted = seen.input > 0
    if node.kind == "source":
        told = cost.total
        if told is not None and seen.fingerprint == node.fingerprint:
            told = max(0, told - (seen.input - seen.output))  # records that were read and set aside
        known = [each for each in (published, told, seen.output if seen.complete else None) if each is not None]
        output = rows = known[0] if known else None
    elif node.kind == "union":
        output = rows
    else:
        over = 0 if settled else seen.over
        rate = (seen.output + over) / seen.input if piloted else cost.rows
        output = None if rows is None else rows * rate
        if cost.total is not None and not (seen.complete and piloted):
            output = cost.total if output is None or not piloted else min(cost.total, output)
    done = seen.input if seen.fingerprint == node.fingerprint else 0
    reuse = float(done if rows is None else min(done, rows))
    compute = None if rows is None else rows - reuse
    samples = _times(compute, seen.samples / seen.input if piloted else cost.calls * cost.samples)
    each = seen.replies / seen.requests if seen.requests else cost.samples
    requests = samples / each if samples else samples
    wanted = _wanted(node)
    capped = output if wanted is None else wanted if output is None else min(wanted, output)
    return StepEstimate(
        rows=rows,
        output=capped,
        reuse=reuse,
        compute=compute,
        requests=requests,
        samples=samples,
        prompt_tokens=_tokens(requests, seen.prompt_tokens, seen.requests),
        completion_tokens=_tokens(samples, seen.completion_tokens, seen.replies),
        piloted=piloted,
        quota=wanted,
        available=output,
    )


def _wanted(node: Node) -> float | None:
    """Rows the quota lets through in all; None where there is none or its groups cannot be counted."""
    if node.until is None or node.until.rows is None:
        return None
    if node.until.per is None:
        return node.until.rows
    values = bare(node.columns[node.until.per])
    if isinstance(values, Choice):
        return node.until.rows * len(values.values)
    return node.until.rows * 2 if isinstance(values, Bool) else None


def _times(rows: float | None, factor: float) -> float | None:
    """A product that is 0 for a step that asks nothing, whatever comes in."""
    return 0 if factor == 0 else None if rows is None else rows * factor


def _tokens(number: float | None, seen: int, answered: int) -> float | None:
    """Tokens of that number of requests (or replies) at the average so far; unknown without one."""
    if number == 0:
        return 0
    return number * seen / answered if number is not None and answered else None


def _total(parts: list[float | None]) -> float | None:
    """A sum; unknown if a part is."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total
