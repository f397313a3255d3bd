"""Named errors, by the boundary that was crossed.

SynthkitError
|-- SpecError      what the user wrote: YAML, types, templates, columns (exit 2)
|   `-- PlanError  what the plan forbids: capabilities, quotas, blind columns (exit 2)
|-- EngineError    a model server or engine
|   |-- RequestRefused   this request can never succeed (too long, bad schema): the row's fault
|   |-- TransportError   it may succeed later: the row stays pending
|   `-- EngineDead       nothing can be asked any more: the run stops, resumably (exit 4)
|-- ParseError     a reply that is not what `out:` declares: re-asked, then rejected
`-- StoreError     the run directory; `StoreLocked` is a second writer (exit 3), `StoreFull` a full disk (exit 5)

All problems of a spec are gathered before one SpecError is raised, so that a user mends them in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a text file; `line` and `column` count from 1, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`file:line:column`, without the parts that are not known."""
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return place


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, and what to do."""

    message: str
    mark: Mark | None = None
    help: str | None = None
    source: str | None = None
    """The text of the marked line; shown with a caret under the column."""
    via: tuple[Mark, ...] = ()
    """In a composite action: the call sites, outermost first."""

    def __str__(self) -> str:
        """The diagnostic as printed: place, message, line, caret, help."""
        lines = [f"{site}: in the action used here" for site in self.via]
        lines.append(f"{self.mark}: {self.message}" if self.mark else self.message)
        if self.mark and self.mark.line and self.source is not None:
            number = f"{self.mark.line:>4}"
            lines.append(f"{number} | {self.source.rstrip()}")
            lines.append(f"{' ' * len(number)} | {' ' * max(self.mark.column - 1, 0)}^")
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


class SynthkitError(Exception):
    """Root of every error that synthkit raises on purpose."""

    exit_code: int = 1


class SpecError(SynthkitError):
    """Everything wrong with a spec, all at once."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | Problem | str) -> None:
        """Take one problem or many; a plain string is a problem without a place."""
        if isinstance(problems, str):
            problems = [Problem(problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("\n\n".join(str(p) for p in self.problems))


class PlanError(SpecError):
    """The spec is well formed, but cannot be run as planned."""


class EngineError(SynthkitError):
    """An engine could not do what it was asked."""


class RequestRefused(EngineError):
    """The engine will never answer this request (too long a prompt, an unusable schema)."""

    def __init__(self, message: str, reason: str = "refused") -> None:
        """`reason` is the short name kept in the rejects table, e.g. `too long`."""
        super().__init__(message)
        self.reason = reason


class TransportError(EngineError):
    """The engine could not be reached or kept failing after its own retries; the row stays pending."""


class EngineDead(EngineError):
    """The engine is gone for good; the run stops and can be resumed."""

    exit_code = 4


class ParseError(SynthkitError):
    """A reply does not fit its declared type."""

    def __init__(self, message: str, reason: str = "not parsed") -> None:
        """`message` is shown to the model when it is asked again; `reason` is kept with the reject."""
        super().__init__(message)
        self.reason = reason


class StoreError(SynthkitError):
    """The run directory cannot be read or written."""


class StoreLocked(StoreError):
    """Another process writes this run."""

    exit_code = 3


class StoreFull(StoreError):
    """The disk is full: the run stops, everything acknowledged is kept, and it can be resumed."""

    exit_code = 5
