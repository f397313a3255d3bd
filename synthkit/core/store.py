"""What the layers above know of a run on disk; the Lance implementation is one of possibly many.

A run directory holds one table a step (only the columns the step adds), `rejects`, `attempts`, `completions` with
its write-ahead segments, `published/` tables written whole, and `run.json`. One process writes; readers never block.
Commit order that makes `kill -9` harmless: sample rejects first, then stale rows out, then a parent's children in
one append. A row whose children are missing is computed again from the journal, without a model call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from synthkit.core.ids import Id, digest
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.part import Part

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.types import Type


@dataclass(frozen=True, slots=True)
class StepLayout:
    """What a store must know of a step to keep its table and to join it with its ancestors."""

    name: str
    """Full name, `plans.drafts` for an inner step of a composite; the table is `<name>.lance`."""
    fingerprint: Id
    adds: Mapping[str, Type]
    """Columns stored in this step's table."""
    parents: tuple[str, ...] = ()
    """Steps that `_parents` refers to: none for a source, several for a union or a join."""
    carries: bool = True
    """Whether the parent's columns are visible here (joined on reading through the first parent)."""
    keeps_id: bool = False
    """Whether rows keep their parent's id: then the join is on `_id` alone."""
    union: bool = False
    """A union of `parents`: the column `_branch` names the parent each row came from."""
    hidden: frozenset[str] = frozenset()
    """Columns of ancestors or of this step that are not visible from here on (inner columns of a composite)."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Columns that are not stored but cut from a list of the (first) parent on reading; not among `adds`."""


@dataclass(frozen=True, slots=True)
class JournalKey:
    """Names one call; `request` is the hash of all that was sent but `n` and the seed."""

    row: Id
    step: str
    call: str
    attempt: int
    request: Id

    def digest(self) -> Id:
        """What records are found by."""
        return digest([self.row, self.step, self.call, self.attempt, self.request])


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One finished completion (or effect), all of whose samples are durable together or not at all."""

    key: JournalKey
    first: int
    """Index of the first sample; a larger `n` later adds a second record that starts where this one ends."""
    samples: tuple[Mapping[str, Any], ...]
    """Each `{text, finish, reasoning, label_logprobs}`; an effect has one sample whose text is its JSON value."""
    kind: Literal["ask", "effect"] = "ask"
    model: str = ""
    """Role that was asked."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """From sending to the last token."""
    at: float = 0.0
    """Unix time of the answer."""


class Journal(Protocol):
    """The durable record of every finished call. All methods are called from one event loop."""

    async def find(self, key: JournalKey) -> list[JournalRecord]:
        """Records of that call, by `first`; empty where it was never answered. Look-ups of one tick are batched."""
        ...

    def append(self, record: JournalRecord) -> None:
        """Durable against `kill -9` once it returns: one write of one framed record to the open segment."""
        ...

    async def sync(self) -> None:
        """fsync the segment (called each second: bounds what power loss can take) and roll full ones into Lance."""
        ...

    async def close(self) -> None:
        """Move every record into the completions table; segments are deleted after the commit."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished row left behind: its kept children's positions, or why there are none."""

    input: Id
    """Hash of the input row it was computed from (`_in`)."""
    children: tuple[int, ...] = ()
    """Positions in the snapshot; empty where the row was not kept."""
    outcome: Outcome = Outcome.KEPT
    reason: str = ""


class Snapshot(Protocol):
    """A step's finished work as it stood when the stage began; about 60 bytes of memory a row."""

    def __len__(self) -> int:
        """Input rows that have an outcome, kept or not, without pending ones."""
        ...

    def find(self, rows: Sequence[Id]) -> list[Done | None]:
        """What became of each input row; marks those found as visited."""
        ...

    def take(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Stored records as plain values, `_id` and `_parents` included, in the order asked for."""
        ...

    def unvisited(self) -> Iterator[list[Id]]:
        """Input rows never looked for, in batches: they left the input, and so must their children."""
        ...


class StepTable(Protocol):
    """One step's rows."""

    layout: StepLayout

    def count(self) -> int:
        """Rows stored now."""
        ...

    def snapshot(self) -> Snapshot:
        """The finished work of this fingerprint, from the table and the rejects."""
        ...

    async def write(
        self, rows: Sequence[Mapping[str, Any]], rejects: Sequence[Reject], stale: Sequence[Id] = ()
    ) -> None:
        """Commit a batch of whole parents: `rows` have `_id`, `_parents`, `_in` and the added columns.

        Order: rejects of `stale` parents out, new rejects in, rows of `stale` parents out, new rows in.
        """
        ...

    async def replace(self, batches: Iterable[pa.RecordBatch] | None, rejects: Iterable[Reject]) -> None:
        """A table step's result: the whole table and this step's rejects, anew (`None` keeps the rows)."""
        ...

    def ids(self) -> pl.Series:
        """All `_id`s; for audits."""
        ...


class Store(Protocol):
    """Reading side of a run; what actions and inspect see."""

    path: Path
    layouts: Mapping[str, StepLayout]
    """The steps of the run, in order: as described, else as `run.json` keeps them."""
    state: dict[str, Any]
    """Content of `run.json`; the key `layouts` is the store's own, the others belong to the layers above."""

    def columns(self, step: str) -> Mapping[str, Type]:
        """The visible columns of a step and their types."""
        ...

    def scan(self, step: str, columns: Sequence[str] | None = None, *, ordered: bool = False) -> pl.LazyFrame:
        """A step's visible columns (or some of them), joined along its ancestors, with `_id` and `_parents`.

        `ordered` gives the rows by `_id` in batches, and holds no more than the ids of all.
        """
        ...

    def published(self, table: str, tag: str | None = None) -> pl.LazyFrame:
        """A published table, newest or as tagged."""
        ...

    def published_names(self) -> list[str]:
        """Tables that were published."""
        ...

    def published_version(self, table: str, tag: str | None = None) -> int:
        """The version that `published` would read now; `published(table, ...)` keeps it only while a tag names it."""
        ...

    def published_types(self, table: str, tag: str | None = None) -> Mapping[str, Type]:
        """The columns of a published table and their types, `_id` left out."""
        ...

    def rejects(self) -> pl.LazyFrame:
        """Everything that was not kept, one line per (step, row, sample, attempt)."""
        ...

    def completions(self) -> pl.LazyFrame:
        """The journal, without records still in an open segment."""
        ...

    def artifact(self, name: str) -> Path:
        """A folder for what an action keeps beside the tables (an index, signatures)."""
        ...


class RunStore(Store, Protocol):
    """Writing side of a run; holds the lock while it is open."""

    journal: Journal

    def save(self) -> None:
        """Write `run.json` atomically; call it after changing `state`."""
        ...

    def describe(self, layouts: Sequence[StepLayout]) -> None:
        """Tell the store the steps of the plan, in order; `scan` joins along them."""
        ...

    def table(self, step: str) -> StepTable:
        """Open a described step's table for its fingerprint: as it is, from an older tagged version, or empty.

        Another fingerprint starts a new Lance version by overwrite; the last three stay tagged `fp-<12 hex>`.
        """
        ...

    def attempts(self, step: str) -> Mapping[Id, tuple[int, Mapping[str, Any]]]:
        """Rows of a step that `retry` raised: row -> (attempt, role fields set for it)."""
        ...

    def retry(self, step: str, rows: Mapping[Id, Mapping[str, Any]]) -> None:
        """Raise the attempt of rejected rows and take their rejects out, so that the next run asks again."""
        ...

    def publish(self, table: str, step: str, columns: Sequence[str], types: Mapping[str, Type]) -> int:
        """Write a published table whole, if its rows changed; returns its row count."""
        ...

    def tag(self, name: str) -> Mapping[str, int]:
        """Let a tag name the newest version of every published table; returns the versions. A tag never moves."""
        ...

    def clean(self, *, dry_run: bool = False) -> int:
        """Remove old untagged versions and files of writes that died (or only count); returns the bytes freed."""
        ...

    async def close(self) -> None:
        """Flush the journal, save the state, release the lock."""
        ...


@dataclass(slots=True)
class StepCounts:
    """The two ledger lines of a step."""

    input: int = 0
    kept: int = 0
    filtered: int = 0
    duplicate: int = 0
    failed: int = 0
    unused: int = 0
    pending: int = 0
    output: int = 0
    asked: int = 0
    """Samples asked for; asked = accepted + rejected + pending."""
    accepted: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def balanced(self) -> bool:
        """Whether every input row is in exactly one place."""
        return self.input == self.kept + self.filtered + self.duplicate + self.failed + self.unused + self.pending
