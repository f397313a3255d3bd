"""Two runs side by side: which steps are defined otherwise and how, how many rows each has, ids only in one.

Definitions are compared as `run.json` keeps them (`definitions`: what each fingerprint covers), so that the answer is
"the template changed" and not "the fingerprint changed". Ids are compared as sets, about 100 bytes an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synthkit.core.store import StepLayout
from synthkit.inspect.run import Run


@dataclass(slots=True)
class TableDiff:
    """One step or published table in two runs."""

    name: str
    rows: tuple[int | None, int | None]
    """Rows in each run; None where it has no such table."""
    only: tuple[int, int] = (0, 0)
    """Ids that only the first, only the second run has."""
    examples: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    """Some of those ids."""
    changed: list[str] = field(default_factory=list)
    """What its definition differs in, one line each."""

    @property
    def same(self) -> bool:
        """Whether definition and ids are equal."""
        return not self.changed and self.only == (0, 0) and None not in self.rows


@dataclass(slots=True)
class RunDiff:
    """Everything in which two runs differ."""

    settings: list[str] = field(default_factory=list)
    """Variables and other entries of `run.json` that differ."""
    tables: list[TableDiff] = field(default_factory=list)
    """Steps, then published tables; equal ones too."""

    def __str__(self) -> str:
        lines = list(self.settings)
        for table in self.tables:
            if table.same:
                continue
            one, two = ("-" if n is None else str(n) for n in table.rows)
            lines.append(f"{table.name}: {one} -> {two} rows")
            lines += [f"  {line}" for line in table.changed]
            for which, count, ids in zip(("first", "second"), table.only, table.examples, strict=True):
                if count:
                    lines.append(f"  {count} ids only in the {which}: {', '.join(ids)}")
        return "\n".join(lines) or "no differences"


def diff(one: Run, two: Run, *, examples: int = 3) -> RunDiff:
    """Compare two runs; `examples` is how many ids are named on each side."""
    found = RunDiff()
    for name in ("vars", "roles", "limit"):
        found.settings += _changes(name, one.state.get(name), two.state.get(name))
    for name in dict.fromkeys([*one.steps, *two.steps]):
        table = _table(name, _scans(one, name), _scans(two, name), examples)
        if name in one.steps and name in two.steps:
            table.changed = _definition(one, two, name)
        found.tables.append(table)
    for name in dict.fromkeys([*one.store.published_names(), *two.store.published_names()]):
        frames = tuple(run.store.published(name) if name in run.store.published_names() else None for run in (one, two))
        found.tables.append(_table(f"published {name}", frames[0], frames[1], examples))
    return found


def _scans(run: Run, step: str) -> Any:
    return run.store.scan(step, []) if step in run.steps else None


def _table(name: str, one: Any, two: Any, examples: int) -> TableDiff:
    ids = [set(frame.select("_id").collect()["_id"]) if frame is not None else None for frame in (one, two)]
    first, second = ids[0] or set(), ids[1] or set()
    only = sorted(first - second), sorted(second - first)
    return TableDiff(
        name,
        rows=tuple(len(each) if each is not None else None for each in ids),  # type: ignore[arg-type]
        only=(len(only[0]), len(only[1])),
        examples=(only[0][:examples], only[1][:examples]),
    )


def _definition(one: Run, two: Run, step: str) -> list[str]:
    layouts = [_shape(run.steps[step]) for run in (one, two)]
    prints = [run.steps[step].fingerprint for run in (one, two)]
    if prints[0] == prints[1]:
        return []
    kept = [dict(run.state.get("definitions") or {}).get(step, {}) for run in (one, two)]
    lines = [*_changes("", *layouts), *_changes("", *kept)]
    return list(dict.fromkeys(lines)) or [f"fingerprint: {prints[0][:12]} -> {prints[1][:12]}"]


def _shape(layout: StepLayout) -> dict[str, Any]:
    adds = {name: str(declared) for name, declared in layout.adds.items()}
    return {"adds": adds, "from": list(layout.parents), "hidden": sorted(layout.hidden), "keeps_id": layout.keeps_id}


def _changes(at: str, one: Any, two: Any) -> list[str]:
    """Leaves that differ, with their path."""
    if one == two:
        return []
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        lines = []
        for key in dict.fromkeys([*one, *two]):
            lines += _changes(f"{at}.{key}" if at else str(key), one.get(key), two.get(key))
        return lines
    return [f"{at}: {_brief(one)} -> {_brief(two)}"]


def _brief(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
