"""`run.json`: what a run directory is, written atomically.

The tables are the authority on rows and the journal on completions; this file keeps what neither can know: the format,
the step layouts (so that a run is readable without its spec) and what the layers above put there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson

from synthkit.core.errors import StoreError
from synthkit.store.writer import disk_error

FORMAT = 1
"""The on-disk format this version reads and writes."""


def load(path: Path) -> dict[str, Any]:
    """The content of `run.json`; StoreError where it is damaged or of a format this version does not know."""
    try:
        state = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise damaged(path, str(error)) from None
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        raise StoreError(
            f"{path} has format {found!r}, this version of synthkit knows format {FORMAT}; "
            "use the version that wrote it, or another --out"
        )
    return dict(state)


def damaged(path: Path, what: str) -> StoreError:
    """A `run.json` that cannot be used."""
    return StoreError(
        f"{path} is damaged: {what}. The tables beside it are untouched: remove {path.name} and run the spec "
        "again, rows and completions are found again"
    )


def fresh() -> dict[str, Any]:
    """The content of a new `run.json`."""
    return {"format": FORMAT, "created": time.time(), "layouts": []}


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace `run.json` so that a reader, or a run after a power cut, sees the old or the new content whole."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error) from error
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable against power loss."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
