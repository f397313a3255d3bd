"""The toolset of a finished run's trajectories, as a file to tidy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import SpecError
from synthkit.core.trajectory import STEP
from synthkit.core.trajectory.derive import derive, toolset_yaml
from synthkit.inspect.run import Run

if TYPE_CHECKING:
    from synthkit.core.trajectory import Step

_BATCH = 256


def new_toolset(name: str, run: Run, folder: Path, table: str | None = None) -> Path:
    """Write `toolsets/<name>.yaml` from the calls in the trajectories of `table` (else of the first step with any)."""
    path = folder / "toolsets" / f"{name}.yaml"
    if path.exists():
        raise SpecError(f"{path} is there already; choose another name or remove it")
    found = table or next((each for each in run.steps if _column(run, each)), None)
    if found is None or (column := _column(run, found)) is None:
        what = f"table {found!r} has no" if found else "no step has a"
        raise SpecError(f"{run.path}: {what} column of steps; `as_trajectory` gives one")
    text = toolset_yaml(derive(name, _runs(run, found, column)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _column(run: Run, table: str) -> str | None:
    """The column that holds the steps of a trajectory."""
    from synthkit.core.types import ListOf, parse_type

    steps = ListOf(parse_type(STEP))
    return next((name for name, declared in run.columns(table).items() if declared == steps), None)


def _runs(run: Run, table: str, column: str) -> Iterator[Sequence[Step]]:
    from synthkit.core.types.arrow import decode

    types = {column: run.columns(table)[column]}
    for frame in run[table].select(column).collect_batches(chunk_size=_BATCH, maintain_order=True):
        records: list[dict[str, Any]] = decode(frame.to_arrow(), types)
        for record in records:
            yield record[column] or []
