"""Planned calls against the tools and the memory: the first audit that AgentFounder asks for (arXiv 2509.13310).

A planned call is never executed, so what a plan makes up shows nowhere else: a tool that is not there, a query about
nothing that the question or the memory holds, a number from nowhere, the answer before any search. All of it is told
without a model, by words and figures; what it cannot see is a query that names the right things and asks the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthkit.core.expr.figures import figures
from synthkit.core.expr.text import mentions, overlap
from synthkit.inspect.judged import toolset_of
from synthkit.inspect.rows import rows_of

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset
    from synthkit.inspect.run import Run

COLUMNS = (
    *("call", "steps", "question", "answer", "analysis"),
    *("entities", "entity", "aliases", "statements", "past", "seen", "state"),
)
"""What the audit looks at, where a step has it."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What the calls of a step's rows look like; shares are None where nothing tells them."""

    step: str
    calls: int
    """Calls of `call`, or of all `steps` of a trajectory."""
    final: int
    """Of these, answers in place of a tool."""
    valid: float | None
    """Share that fits the toolset."""
    names_entity: float | None
    """Of the tool calls that are planned (`call`): share that names one of the row's entities."""
    grounded: float | None
    """Mean share of the words of a planned call that the question or the evidence has."""
    foreign_figures: float | None
    """Share with a figure that neither has."""
    answer_leak: float | None
    """Share whose analysis or call says the answer."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def calls(run: Run, step: str) -> Calls | None:
    """The audit of one step; None where its rows hold no calls."""
    there = run.store.columns(run.node(step))
    if not there.keys() & {"call", "steps"}:
        return None
    tools = toolset_of(run)
    total = final = valid = 0
    planned = _Planned()
    for row in rows_of(run, step, COLUMNS):
        for call in calls_of(row):
            total += 1
            final += call.get("final") is not None
            valid += tools is not None and tools.problem(call) is None
        move = row.get("call")
        if isinstance(move, Mapping) and move.get("name"):
            planned.add(row, str(move.get("text") or ""))
    if not total:
        return None
    return Calls(step, total, final, valid / total if tools else None, **planned.shares())


def calls_of(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The calls of a row: its `call`, or that of each of its `steps`."""
    steps = row.get("steps")
    held = [row.get("call")] if "call" in row else [s.get("call") for s in steps or () if isinstance(s, Mapping)]
    yield from (call for call in held if isinstance(call, Mapping))


def valid_calls(run: Run, step: str) -> float | None:
    """The figure of that name."""
    tools: Toolset | None = toolset_of(run)
    held = [call for row in rows_of(run, step, ("call", "steps")) for call in calls_of(row)]
    return sum(tools.problem(call) is None for call in held) / len(held) if tools is not None and held else None


def names_entity(run: Run, step: str) -> float | None:
    """The figure of that name."""
    found = calls(run, step)
    return None if found is None else found.names_entity


class _Planned:
    """Sums over planned tool calls, and of how many rows each tells."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, row: Mapping[str, Any], text: str) -> None:
        names = entities_of(row)
        evidence = list(_evidence(row))
        if names:
            self._count("names_entity", float(mentions(text, names)))
        if any(evidence):
            self._count("grounded", overlap(text, evidence))
            known = {figure for each in evidence for figure in figures(each)}
            self._count("foreign_figures", float(not set(figures(text)) <= known))
        if row.get("answer"):
            self._count("answer_leak", float(mentions([str(row.get("analysis") or ""), text], [str(row["answer"])])))

    def _count(self, name: str, value: float) -> None:
        total, rows = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + value, rows + 1

    def shares(self) -> dict[str, float | None]:
        """Means, None where no row told."""
        names = ("names_entity", "grounded", "foreign_figures", "answer_leak")
        return {
            name: total / rows if rows else None for name in names for total, rows in [self._sums.get(name, (0, 0))]
        }


def entities_of(row: Mapping[str, Any]) -> list[str]:
    """Names of the row's entities, with their other names: of `entities`, `entity`, `aliases` and the statements."""
    found: list[str] = []
    for value in (row.get("entities"), row.get("entity"), row.get("aliases")):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                found += [str(each.get("entity") or each.get("name") or ""), *map(str, each.get("aliases") or ())]
            elif isinstance(each, str):
                found.append(each)
    found += [str(each.get("entity") or "") for each in _statements(row)]
    return [name for name in dict.fromkeys(found) if name]


def _evidence(row: Mapping[str, Any]) -> Iterator[str]:
    """What the writer of a call may have known: the question, its statements, and what was seen before the call."""
    yield str(row.get("question") or "")
    for each in _statements(row):
        yield str(each.get("statement") or "")
    for step in (*(row.get("past") or ()), row.get("seen")):
        if isinstance(step, Mapping):
            yield str(step.get("response") or "")
    yield str(row.get("state") or "")


def _statements(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in row.get("statements") or () if isinstance(each, Mapping)]
