"""Naming the published tables of a run for good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from synthkit.core.errors import StoreError
from synthkit.core.registry import open_store
from synthkit.core.store import RunStore


def tag_run(path: Path, name: str, *, store: str = "lance") -> Mapping[str, int]:
    """Let `name` stand for the newest version of every published table; returns the versions. A tag never moves."""
    run: RunStore = open_store(store)(path, write=True, create=False)
    try:
        tagged = run.tag(name)
        if not tagged:
            raise StoreError(f"{path} has no published table to tag; a run publishes when it is complete")
        return tagged
    finally:
        asyncio.run(run.close())
