"""Cleaning a run directory: what no tag and no newest version refers to goes, and how much it was is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

from synthkit.core.registry import open_store
from synthkit.core.store import Freed, RunStore


def collect(path: Path, store: str = "lance") -> Freed:
    """Clean a run; takes its lock, so a run that is being written is refused with StoreLocked."""
    run: RunStore = open_store(store)(path, write=True, create=False)
    try:
        return run.clean()
    finally:
        asyncio.run(run.close())


def as_text(freed: Freed) -> str:
    """What was freed, in words."""
    lines = [f"freed {size(freed.bytes)}"]
    if freed.files:
        lines.append(f"removed {', '.join(freed.files)}")
    if freed.unused:
        lines.append(
            f"kept tables of steps that the run no longer has: {', '.join(freed.unused)}; remove their folders "
            "if you do not mean to go back"
        )
    return "\n".join(lines)


def size(count: int) -> str:
    """Bytes for humans."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
