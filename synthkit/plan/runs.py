"""What a finished run publishes, for `read: {run: name@tag}`: read from its `run.json`, so that no store is opened.

`run.json` keeps under `publish` the columns of every published table as declared types. A pinned run is never built,
so a missing one is an error here and not an hour later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from synthkit.core.errors import Problem, SpecError
from synthkit.core.names import nearest
from synthkit.core.types import Type, TypeSyntaxError, parse_type

RUNS = Path("runs")
"""Where runs lie, below the working directory."""


def published_columns(run: str, table: str) -> Mapping[str, Type]:
    """Columns of a table of a run (`name`, `name@tag`, or a path); SpecError where there is none."""
    name = run.partition("@")[0]
    folder = RUNS / name if (RUNS / name).is_dir() else Path(name)
    try:
        state = orjson.loads((folder / "run.json").read_bytes())
        tables = state["publish"] if isinstance(state, dict) else {}
    except OSError:
        known = sorted(path.parent.name for path in RUNS.glob("*/run.json"))
        raise SpecError(Problem(f"there is no run {name!r} in {RUNS}", help=nearest(name, known, "runs"))) from None
    except (orjson.JSONDecodeError, KeyError):
        raise SpecError(
            Problem(f"the run {name!r} has published nothing", help=f"finish it: synthkit show {folder}")
        ) from None
    if table not in tables:
        raise SpecError(
            Problem(f"the run {name!r} publishes no table {table!r}", help=nearest(table, sorted(tables), "tables"))
        )
    try:
        return {column: parse_type(text) for column, text in tables[table].items()}
    except (TypeSyntaxError, AttributeError) as error:
        raise SpecError(f"{folder / 'run.json'} is damaged: {error}") from None
