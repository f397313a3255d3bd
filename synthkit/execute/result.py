"""What a run came to: light, so that who only checks a spec loads no event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthkit.core.store import StepCounts
    from synthkit.execute.control import Stopped


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to."""

    path: Path
    """The run directory."""
    tables: Mapping[str, int] = field(default_factory=dict)
    """Published tables and their rows; empty with `until`."""
    ledger: Mapping[str, StepCounts] = field(default_factory=dict)
    """By step, in order."""
    problems: Sequence[str] = ()
    """What does not balance; empty in a sound run."""
    stopped: Stopped | None = None
    """Why it ended early, if it did; everything finished is kept."""
    reads: Sequence[RunResult] = ()
    """The runs of the specs it reads, in the order they were brought up to date."""
