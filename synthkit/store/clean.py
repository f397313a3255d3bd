"""What a run directory can do without: old untagged versions, files of writes that died, leftovers.

Only with the lock held: a write under way has files that look orphaned. Versions that tags name stay, the newest ones
stay, and so do tables of steps the spec no longer has (they are named, for the user to decide).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from synthkit.core.store import Freed
from synthkit.store.dataset import Dataset

_OWN = frozenset({"rejects", "completions", "attempts"})


def clean(run: Path, steps: frozenset[str]) -> Freed:
    """Remove what nothing refers to; `steps` are the steps the run has."""
    freed = Freed()
    for path in sorted([*run.glob("*.lance"), *run.glob("published/*.lance")]):
        dataset = Dataset.open(path)
        if dataset is None:
            continue
        freed.bytes += dataset.clean(timedelta(0), orphans=True)
        if path.parent == run and path.stem not in steps and path.stem not in _OWN:
            freed.unused.append(path.stem)
    for stray in run.glob("*.new"):
        freed.bytes += stray.stat().st_size
        freed.files.append(str(stray.relative_to(run)))
        stray.unlink()
    return freed
