"""What a run already knows, as far as a plan needs it: plain figures per step, so that the plan knows no store.

`RunState.read` takes the mapping that a run keeps of its steps and ignores keys it does not know; a run without one
is `RunState()`. Figures of a step whose fingerprint has changed still serve as a pilot: an edited prompt seldom moves
rates much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class StepState:
    """One step's figures: totals over its stored rows and answered requests."""

    fingerprint: str = ""
    """Fingerprint the stored rows were made with; other rows are computed again."""
    input: int = 0
    """Input rows that have an outcome."""
    output: int = 0
    """Rows stored."""
    pending: int = 0
    """Input rows that have none yet."""
    requests: int = 0
    """Completions in the journal."""
    samples: int = 0
    """Replies in them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    complete: bool = False
    """Whether `input` is all of the input, not a pilot's."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as it stands."""

    steps: Mapping[str, StepState] = field(default_factory=dict)
    """By node."""
    tokens_per_second: float | None = None
    """Completion tokens a second over the whole run, by which time is estimated."""
    subspecs: Mapping[str, RunState] = field(default_factory=dict)
    """State of the runs of the specs it reads, by node."""

    @classmethod
    def read(cls, steps: Mapping[str, Mapping[str, Any]], tokens_per_second: float | None = None) -> RunState:
        """From plain counts per step."""
        known = {each.name for each in fields(StepState)}
        found = {name: StepState(**{k: v for k, v in counts.items() if k in known}) for name, counts in steps.items()}
        return cls(found, tokens_per_second)

    def step(self, name: str) -> StepState:
        """A step's figures; empty ones where it never ran."""
        return self.steps.get(name, StepState())
