"""What can become of an input row at a step: exactly one of these, and the ledger proves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from synthkit.core.ids import Id


class Outcome(StrEnum):
    """The fate of an input row; `KEPT` rows are parents of output rows, all others stand in the rejects."""

    KEPT = "kept"
    FILTERED = "filtered"
    """An expression, a rubric or the action said no."""
    DUPLICATE = "duplicate"
    """Another row says the same; `detail.dup_of` names it."""
    FAILED = "failed"
    """No usable reply came: parse errors, schema misses, refused requests."""
    UNUSED = "unused"
    """Not needed: not sampled, not matched, over quota."""
    PENDING = "pending"
    """Not decided yet: transport failures; a plain `run` asks again."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One line of the rejects table: a row (`sample` is None) or one sample of a row that was not kept."""

    step: str
    row: Id
    outcome: Outcome
    reason: str
    sample: int | None = None
    key: str | None = None
    """The call key (`ctx.ask(key=...)`) that the sample belongs to."""
    attempt: int = 0
    boundary: str = "action"
    """Where it was decided: action, parse, engine, transport, quota."""
    raw: str | None = None
    """The raw completion, where there was one."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    input: str = ""
    """Hash of the input row the decision was made on."""
