"""What the ledger reads: the ids in the tables of a run as 64-bit hashes, each table once.

10^5 rows a table at a time: more are counted in shares, by hash, so that memory does not follow the run. An id takes 8
bytes and, while tables are joined, up to 250: 69 MiB for 10^6 rows of three steps and 14 s of processor time, 2 % more
of that run than shares of 2.5 x 10^5 take, which hold 119 MiB. Two of 10^6 ids have the same hash in one of 37 million
runs: there the count of a step can be off by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from synthkit.core.store import StepLayout, Store

if TYPE_CHECKING:
    import polars as pl

SHARE = 100_000
"""Rows of the largest table that are counted at a time, while that makes no more shares than `SHARES`."""
SHARES = 16
"""The most: each reads all ids again, 0.3 s for 10^6 rows."""
_REASK = r"/\d+\.\d+$"


def shares(store: Store) -> int:
    """In how many shares a run of this size is counted."""
    import polars as pl

    tables = [store.scan(name, []) for name in store.layouts]
    counts = pl.collect_all([each.select(pl.len()) for each in (*tables, store.completions(), store.rejects())])
    return min(SHARES, 1 + int(max(count.item() for count in counts)) // SHARE)


class Books:
    """One share of a run: all rows, parents, rejects and calls whose row hashes to it."""

    def __init__(self, store: Store, share: int = 0, of: int = 1) -> None:
        """`share` counts from 0."""
        self.store = store
        self._share = share
        self._of = of
        self._ids: dict[str, pl.DataFrame] = {}

    def ids(self, step: str) -> pl.DataFrame:
        """`row` of every row of a table, as often as it stands there."""
        if step not in self._ids:
            import polars as pl

            rows = self.store.scan(step, []).select(row=pl.col("_id").hash())
            self._ids[step] = self._mine(rows)
        return self._ids[step]

    def parents(self, layout: StepLayout) -> pl.DataFrame:
        """`row` and `branch` (empty but in a union) of the distinct parents of a step; a source's are its rows."""
        import polars as pl

        if layout.keeps_id or not layout.parents:
            return self.ids(layout.name).unique().with_columns(branch=pl.lit(""))
        if layout.union:
            rows = self.store.scan(layout.name, ["_branch"])
            found = rows.select(row=pl.col("_parents").list.first().hash(), branch="_branch")
        else:
            rows = self.store.scan(layout.name, [])
            found = rows.select(row=pl.col("_parents").explode().hash(), branch=pl.lit(""))
        return self._mine(found.unique())

    @cached_property
    def rejects(self) -> pl.DataFrame:
        """Lines of `rejects`: `step`, `row`, `outcome`, `reason`, `sample`, `call` and whether a `quota` let it go."""
        import polars as pl

        return self._mine(
            self.store.rejects().select(
                pl.col("step", "outcome", "reason").cast(pl.Categorical),
                "sample",
                row=pl.col("row").hash(),
                call=pl.col("key").hash(),
                quota=pl.col("boundary") == "quota",
            )
        )

    @cached_property
    def calls(self) -> pl.DataFrame:
        """Completions asked for rows: `step`, `row`, `call`, `attempt`, `request`, `first`, `n`, `at`.

        Asking again with an error shown is left out: it belongs to the sample it mends.
        """
        import polars as pl

        return self._mine(
            self.store.completions()
            .filter((pl.col("kind") == "ask") & ~pl.col("call").str.contains(_REASK))
            .select(
                pl.col("step").cast(pl.Categorical),
                pl.col("row", "call", "request").hash(),
                *("attempt", "first", "n", "at"),
            )
        )

    def named(self, step: str, column: str, rows: pl.Series, most: int) -> list[str]:
        """Some ids of a column of a step's table (`_id` or `_parents`) by their hashes, the smallest first."""
        import polars as pl

        ids = self.store.scan(step, []).select(row=pl.col(column) if column == "_id" else pl.col(column).explode())
        some = ids.filter(pl.col("row").hash().is_in(rows.implode())).unique().sort("row").head(most)
        return some.collect(engine="streaming")["row"].to_list()

    def _mine(self, rows: pl.LazyFrame) -> pl.DataFrame:
        import polars as pl

        if self._of > 1:
            rows = rows.filter(pl.col("row") % self._of == self._share)
        return rows.collect(engine="streaming")


def every_share(store: Store) -> Iterator[Books]:
    """The shares of a run, one after the other: what was read of one is let go before the next."""
    of = shares(store)
    for share in range(of):
        yield Books(store, share, of)
