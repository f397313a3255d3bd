"""Which row of a step above each row came from: ids followed upwards, table by table.

Steps that keep ids are skipped over. Where a row has several parents (a join) the first counts; a union is followed
branch by branch. About 130 bytes a row and table that mints ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthkit.core.store import Store

if TYPE_CHECKING:
    import polars as pl


def ancestors(store: Store, step: str, origin: str) -> pl.LazyFrame:
    """`_id` of each row of `step`, and `_origin`: the id of the row of `origin` above that it came from."""
    import polars as pl

    rows = store.scan(step, [])
    layout = store.layouts[step]
    if step == origin:
        return rows.select("_id", _origin=pl.col("_id"))
    if layout.union:
        parents = store.scan(step, ["_branch"]).select("_id", "_branch", _above=pl.col("_parents").list.first())
        return pl.concat(
            [
                parents.filter(pl.col("_branch") == name).join(_above(store, name, origin), on="_above").drop("_above")
                for name in layout.parents
            ]
        ).select("_id", "_origin")
    above = pl.col("_id") if layout.keeps_id else pl.col("_parents").list.first()
    return rows.select("_id", _above=above).join(_above(store, layout.parents[0], origin), on="_above").drop("_above")


def _above(store: Store, step: str, origin: str) -> pl.LazyFrame:
    """The same for a step on the way, its id named `_above`."""
    while store.layouts[step].keeps_id and step != origin:
        step = store.layouts[step].parents[0]
    return ancestors(store, step, origin).rename({"_id": "_above"})
