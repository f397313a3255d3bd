"""`dedup`: rows that say the same, word for word or nearly, collapse to the one with the smallest id.

Alike is a Jaccard of shingles at or above `threshold`, found by MinHash and verified exactly; what is alike to a
duplicate is one too. Statements of different dates or figures are alike and must both stay: `apart` keeps them, and
`cluster` ties them, so that two values for one claim can be found. 20k statements take 2.5 s on one
core, with `cluster` 5 s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from synthkit.core.action import Column, NewColumn, Scope, TableAction
from synthkit.core.context import TableContext
from synthkit.core.ids import Id, canonical
from synthkit.core.outcome import Outcome
from synthkit.core.sizes import Share

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.actions.shingles import Shingles
    from synthkit.core.types import Type

_BATCH = 1024
_WORDS = 5


class Dedup(TableAction):
    """Of rows with nearly the same text keep the one with the smallest id.

    Memory per row: its declared columns once, 4 bytes a word for the shingles (twice with `cluster`), 512 for the
    signature and about 300 for the bookkeeping: 1.2 KB for a statement of 20 words.

    Gives: the first row of each kind, by id; with `cluster` the id of its cluster.

    Errors: duplicate `duplicate`, with `dup_of` and the similarity.

    Source: MinHash (Broder 1997) finds candidates, their exact Jaccard decides.
    """

    verb: ClassVar[str] = "dedup"

    by: Column
    """The text that is compared."""
    within: Column | None = None
    """Only rows that share this value are compared."""
    apart: list[Column] = Field(default_factory=list)
    """Rows that differ in one of these are never duplicates."""
    threshold: Annotated[Share, Field(gt=0)] = 0.8
    """Least Jaccard of two texts that are alike; 1 is the same shingles."""
    words: Annotated[int, Field(ge=1, le=50)] | None = None
    """Length of a shingle in words (a Chinese character is one); 5 where neither is given."""
    chars: Annotated[int, Field(ge=1, le=200)] | None = None
    """Length of a shingle in characters instead."""
    cluster: NewColumn | None = None
    """New column: the id of the first of all rows that are alike when numbers and months are not looked at."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The cluster, if asked for."""
        from synthkit.core.types import Str

        return {} if self.cluster is None else {self.cluster: Str()}

    def check(self, scope: Scope) -> None:
        """Settings that exclude each other, and a text that is none."""
        from synthkit.core.types import Choice, Date, Optional, Str

        if self.words is not None and self.chars is not None:
            scope.problem("words and chars exclude each other", ("chars",))
        declared = scope.columns.get(self.by)
        inner = declared.of if isinstance(declared, Optional) else declared
        if inner is not None and not isinstance(inner, Str | Choice | Date):
            scope.problem(f"{self.by!r} must be text, not {declared}", ("by",))

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """The kept rows by id; every other row is a duplicate of one of them."""
        columns = dict.fromkeys(["_id", self.by, *([self.within] if self.within else []), *self.apart])
        frame = scan.select(list(columns)).collect().sort("_id")
        ids: list[Id] = frame["_id"].to_list()
        texts = [text or "" for text in frame[self.by].to_list()]
        groups = _numbered(frame, [self.within] if self.within else [])
        apart = _numbered(frame, self.apart)
        exact = [self._shingles(text, figures=True) for text in texts]
        same = Sets(len(ids))
        alike = same
        loose = exact
        if self.cluster is not None:
            alike, loose = Sets(len(ids)), [self._shingles(text, figures=False) for text in texts]
        for first, second in self._candidates(exact, loose, groups, apart):
            done = same.joined(first, second) or apart[first] != apart[second]
            if done and alike.joined(first, second):
                continue
            if self.cluster is not None and self._alike(loose[first], loose[second]):
                alike.join(first, second)
            if not done and self._alike(exact[first], exact[second]):
                same.join(first, second)
                alike.join(first, second)
        self._drop(ids, exact, same, ctx)
        kept = [at for at in range(len(ids)) if same.first(at) == at]
        for start in range(0, len(kept), _BATCH):
            yield ctx.batch([self._row(ids, at, alike) for at in kept[start : start + _BATCH]])

    def _shingles(self, text: str, *, figures: bool) -> Shingles:
        from synthkit.actions.shingles import shingles, tokens

        words = tokens(text, figures=figures)
        if self.chars is not None:
            return shingles(list(" ".join(words)), self.chars)
        return shingles(words, self.words or _WORDS)

    def _candidates(
        self, exact: list[Shingles], loose: list[Shingles], groups: list[int], apart: list[int]
    ) -> Iterator[tuple[int, int]]:
        """Pairs worth verifying; exact copies are paired with the first of their kind and then left out."""
        from synthkit.actions.shingles import candidates

        first: dict[tuple[int, int, bytes], int] = {}
        rows: list[int] = []
        for row, each in enumerate(exact):
            known = first.setdefault((groups[row], apart[row], each.tobytes()), row)
            if known == row:
                rows.append(row)
            else:
                yield known, row
        for one, other in candidates([loose[row] for row in rows], [groups[row] for row in rows], self.threshold):
            yield rows[one], rows[other]

    def _alike(self, first: Shingles, second: Shingles) -> bool:
        from synthkit.actions.shingles import jaccard

        return jaccard(first, second) >= self.threshold

    def _drop(self, ids: list[Id], exact: list[Shingles], same: Sets, ctx: TableContext) -> None:
        """Account for the duplicates, each with the row it repeats and how alike the two are."""
        from synthkit.actions.shingles import jaccard

        gone = [at for at in range(len(ids)) if same.first(at) != at]
        pairs = [(at, same.first(at)) for at in gone]
        details = ({"dup_of": ids[kept], "similarity": round(jaccard(exact[at], exact[kept]), 4)} for at, kept in pairs)
        ctx.drop([ids[at] for at in gone], Outcome.DUPLICATE, "duplicate", details)

    def _row(self, ids: list[Id], at: int, alike: Sets) -> dict[str, Any]:
        cluster = {} if self.cluster is None else {self.cluster: ids[alike.first(at)]}
        return {"_id": ids[at], "_parents": [ids[at]], **cluster}


class Sets:
    """Disjoint sets of the numbers below `size`; each is known by its smallest member."""

    def __init__(self, size: int) -> None:
        """Every number is its own set."""
        self._parent = list(range(size))

    def first(self, member: int) -> int:
        """The smallest member of the set."""
        parent = self._parent
        while parent[member] != member:
            parent[member] = member = parent[parent[member]]
        return member

    def joined(self, one: int, other: int) -> bool:
        """Whether both are in one set."""
        return self.first(one) == self.first(other)

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        one, other = sorted((self.first(one), self.first(other)))
        self._parent[other] = one


def _numbered(frame: pl.DataFrame, columns: Iterable[str]) -> list[int]:
    """A number for each row, the same where the values of all `columns` are."""
    parts = [frame[name].to_list() for name in columns]
    numbers: dict[bytes, int] = {}
    return [numbers.setdefault(canonical([part[at] for part in parts]), len(numbers)) for at in range(frame.height)]
