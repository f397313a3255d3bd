"""The surroundings in which a step is bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthkit.spec.model import Step


class Unbound(Exception):
    """The step cannot become a node; why has been reported."""


@dataclass
class Frame:
    """The surroundings of a step: the spec itself, or one call of a composite."""

    prefix: str = ""
    step: str = ""
    """The spec's step that the call belongs to; empty at the top."""
    names: dict[str, str | None] = field(default_factory=dict)
    """Steps above -> node; None where a step could not be bound."""
    labels: dict[str, str] = field(default_factory=dict)
    """Step -> what a message calls it, where that is not its name (`input`)."""
    when: tuple[Step, ...] = ()
    """Calls around it that have a `when`, outermost first."""
