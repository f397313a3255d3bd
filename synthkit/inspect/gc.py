"""Cleaning a run directory: what no tag and no newest version refers to goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from synthkit.core.registry import open_store
from synthkit.core.store import RunStore


def collect_garbage(path: Path, *, dry_run: bool = False, store: str = "lance") -> int:
    """Clean a run, or only say how much would go; returns bytes. A run that is being written is StoreLocked."""
    run: RunStore = open_store(store)(path, write=True, create=False)
    try:
        return run.clean(dry_run=dry_run)
    finally:
        asyncio.run(run.close())
