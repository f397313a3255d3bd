"""What a run already knows, as far as a plan needs it: plain figures per step, so that the plan knows no store.

Figures of a step whose fingerprint has changed still serve as a pilot, since an edited prompt seldom moves rates much;
its rows are not reused. What the journal holds is of the run's whole life, so it gives only averages per request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synthkit.core.store import StepCounts

OVER_QUOTA = "over quota"
"""Reason of rows that came after a quota was full."""


@dataclass(frozen=True, slots=True)
class StepState:
    """One step's figures."""

    fingerprint: str = ""
    """Fingerprint the stored rows were made with; under another one they are computed again."""
    input: int = 0
    """Input rows that have an outcome."""
    output: int = 0
    """Rows stored."""
    over: int = 0
    """Rows that came after the quota was full."""
    samples: int = 0
    """Replies asked for, for these input rows."""
    requests: int = 0
    """Completions in the journal."""
    replies: int = 0
    """Replies in them."""
    prompt_tokens: int = 0
    """Of these completions."""
    completion_tokens: int = 0
    """Of these completions."""
    complete: bool = False
    """Whether this is all of the input, and not a pilot's part of it."""


@dataclass(frozen=True, slots=True)
class PlanState:
    """A run as it stands; `PlanState()` is one that never was."""

    steps: Mapping[str, StepState] = field(default_factory=dict)
    """By node."""
    tokens_per_second: float | None = None
    """Reply tokens a second over the whole run, by which time is estimated."""
    subspecs: Mapping[str, PlanState] = field(default_factory=dict)
    """The runs of the specs it reads, by node."""

    @classmethod
    def of(
        cls,
        ledger: Mapping[str, StepCounts],
        *,
        fingerprints: Mapping[str, str],
        usage: Iterable[Mapping[str, Any]] = (),
        complete: bool = False,
        tokens_per_second: float | None = None,
        subspecs: Mapping[str, PlanState] | None = None,
    ) -> PlanState:
        """From a run's ledger, the fingerprints of its tables and its usage (`step requests samples *_tokens`).

        `complete` is whether the run ended, and without `--limit`.
        """
        steps = {
            name: StepState(
                fingerprint=fingerprints.get(name, ""),
                input=counts.input - counts.pending,
                output=counts.output,
                over=counts.reasons.get(OVER_QUOTA, 0),
                samples=counts.asked,
                complete=complete,
            )
            for name, counts in ledger.items()
        }
        for line in usage:
            seen = steps.get(line["step"], StepState())
            steps[line["step"]] = replace(
                seen,
                requests=seen.requests + line["requests"],
                replies=seen.replies + line["samples"],
                prompt_tokens=seen.prompt_tokens + line["prompt_tokens"],
                completion_tokens=seen.completion_tokens + line["completion_tokens"],
            )
        return cls(steps, tokens_per_second, subspecs or {})

    def step(self, name: str) -> StepState:
        """A step's figures; empty ones where it never ran."""
        return self.steps.get(name, StepState())
