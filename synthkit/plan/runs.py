"""What a finished run publishes, for `read: {run: name@tag}`: read from its `run.json`, so that no store is opened.

`run.json` keeps under `publish` the columns of every published table as declared types. A pinned run is never built,
so a missing one is an error here and not an hour later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from synthkit.core.errors import Problem, SpecError
from synthkit.core.ids import digest
from synthkit.core.names import nearest
from synthkit.core.types import Type, TypeSyntaxError, parse_type

RUNS = Path("runs")
"""Where runs lie, below the working directory."""


def published_columns(run: str, table: str) -> Mapping[str, Type]:
    """Columns of a table of a run (`name`, `name@tag`, or a path); SpecError where there is none."""
    name = run.partition("@")[0]
    folder = run_folder(run)
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


def published_version(run: str, table: str) -> str:
    """Names the rows that a table of a run (`name` or `name@tag`) has now; SpecError where there are none.

    Read from Lance's folder, so that planning does not load it: a version is a manifest named 2^64 - 1 - version, so
    the newest comes first, and a manifest names files that no other version has.
    """
    name, _, tag = run.partition("@")
    place = run_folder(run) / "published" / f"{table}.lance"
    manifests = sorted((place / "_versions").glob("*.manifest"))
    if not manifests:
        raise SpecError(Problem(f"the run {name!r} has not published {table!r} yet", help="finish it: synthkit run"))
    if not tag:
        return digest([manifests[0].read_bytes().hex()])
    tags = {path.stem: path for path in (place / "_refs" / "tags").glob("*.json")}
    if tag not in tags:
        raise SpecError(Problem(f"{table!r} of {name!r} has no tag {tag!r}", help=nearest(tag, sorted(tags), "tags")))
    newest = 2**64 - 1 - orjson.loads(tags[tag].read_bytes())["version"]
    return digest([(place / "_versions" / f"{newest}.manifest").read_bytes().hex()])


def run_folder(run: str) -> Path:
    """The directory of a finished run (`name`, `name@tag`, or a path), whether or not there is one."""
    name = run.partition("@")[0]
    return RUNS / name if (RUNS / name).is_dir() else Path(name)
