"""What a run directory can do without: old untagged versions, files of writes that died, leftovers.

Only with the lock held: a write under way has files that look orphaned. Versions that tags name stay, so do the newest
ones, and so do tables of steps that the spec no longer has: their rows may have cost money.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from synthkit.store.dataset import Dataset


def clean(run: Path, dry_run: bool) -> int:
    """Remove what nothing refers to, or only count it; returns the bytes."""
    freed = 0
    for path in sorted([*run.glob("*.lance"), *run.glob("published/*.lance"), *run.glob("artifacts/*/*.lance")]):
        dataset = Dataset.open(path)
        if dataset is not None:
            freed += dataset.garbage() if dry_run else dataset.clean(timedelta(0), orphans=True)
    for stray in run.glob("*.new"):
        freed += stray.stat().st_size
        if not dry_run:
            stray.unlink()
    return freed
