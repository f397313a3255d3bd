"""The ledger: what became of every input row of every step, counted from the tables alone.

Nothing that the run counted while it ran is trusted: inputs, parents of output rows and row-level rejects are joined
by id, so a row in two places or a child without a parent is found, and named. Rows without any outcome are pending.
Samples: of each call only the newest request counts (older ones belong to an older prompt), and asking again with an
error shown belongs to the sample it mends. 10^6 input rows take 3-6 s and 330 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synthkit.core.outcome import Outcome
from synthkit.core.store import StepCounts, StepLayout, Store

if TYPE_CHECKING:
    import polars as pl

_NAMED = 3
_REASK = r"/\d+\.\d+$"


def ledger(store: Store, *steps: str) -> dict[str, StepCounts]:
    """The counts of the steps named, or of all that have a table, in the order of the spec."""
    return {name: _counts(store, layout) for name, layout in _chosen(store, steps).items()}


def audit(store: Store, *steps: str) -> list[str]:
    """What is wrong with the tables, in words; empty where every row is in exactly one place (pending is a place)."""
    return [problem for layout in _chosen(store, steps).values() for problem in _problems(store, layout)]


def _chosen(store: Store, steps: tuple[str, ...]) -> Mapping[str, StepLayout]:
    for step in steps:
        store.columns(step)  # says which steps exist where this one does not
    return {name: layout for name, layout in store.layouts.items() if not steps or name in steps}


def _counts(store: Store, layout: StepLayout) -> StepCounts:
    import polars as pl

    fates = _fates(store, layout).collect()
    outcomes = dict(fates.group_by("outcome").len().iter_rows())
    undecided = fates.select((~pl.col("kept") & pl.col("outcome").is_null()).sum()).item()
    reasons = fates.drop_nulls("reason").group_by("reason").len().sort(["len", "reason"], descending=[True, False])
    return StepCounts(
        input=fates.height,
        kept=int(fates["kept"].sum()),
        pending=undecided + outcomes.get(Outcome.PENDING.value, 0),
        **{outcome.value: outcomes.get(outcome.value, 0) for outcome in _REJECTED},
        output=store.scan(layout.name, []).select(pl.len()).collect().item(),
        reasons=dict(reasons.iter_rows()),
        **_samples(store, layout, fates.select("row")),
    )


_REJECTED = (Outcome.FILTERED, Outcome.DUPLICATE, Outcome.FAILED, Outcome.UNUSED)


def _fates(store: Store, layout: StepLayout) -> pl.LazyFrame:
    """One line an input row: `row`, `branch`, whether it is `kept`, the `outcome` and `reason` of its reject."""
    import polars as pl

    parents = _parents(store, layout).with_columns(kept=pl.lit(True))
    decided = _decided(store, layout)
    if layout.parents:
        inputs = _inputs(store, layout)
    else:  # a source makes its rows: what it let go of counts as its input too
        inputs = pl.concat([parents.select("row", "branch"), decided.select("row", branch=pl.lit(""))]).unique()
    return (
        inputs.join(parents, on=["row", "branch"], how="left")
        .join(decided, on="row", how="left")
        .with_columns(pl.col("kept").fill_null(False))
    )


def _inputs(store: Store, layout: StepLayout) -> pl.LazyFrame:
    """The rows of the table a step takes (not of those it only reads); a union's rows are told apart by branch."""
    import polars as pl

    tables = layout.parents if layout.union else layout.parents[:1]
    return pl.concat(
        [store.scan(parent, []).select(row="_id", branch=pl.lit(parent if layout.union else "")) for parent in tables]
    )


def _parents(store: Store, layout: StepLayout) -> pl.LazyFrame:
    """The distinct parents of a step's rows; a source's rows stand for themselves."""
    import polars as pl

    if layout.keeps_id or not layout.parents:
        rows = store.scan(layout.name, []).select(row="_id", branch=pl.lit(""))
    elif layout.union:
        rows = store.scan(layout.name, ["_branch"]).select(row=pl.col("_parents").list.first(), branch="_branch")
    else:
        rows = store.scan(layout.name, []).select(row=pl.col("_parents").explode(), branch=pl.lit(""))
    return rows.unique()


def _decided(store: Store, layout: StepLayout) -> pl.LazyFrame:
    """The newest row-level reject of each row."""
    import polars as pl

    return (
        store.rejects()
        .filter((pl.col("step") == layout.name) & pl.col("sample").is_null())
        .unique("row", keep="last", maintain_order=True)
        .select("row", "outcome", "reason")
    )


def _samples(store: Store, layout: StepLayout, rows: pl.DataFrame) -> dict[str, int]:
    """Samples asked, accepted and rejected for the rows that are still input."""
    import polars as pl

    call = ["row", "call"]
    inputs = rows.lazy().unique()
    every = (
        store.completions()
        .filter((pl.col("step") == layout.name) & (pl.col("kind") == "ask") & ~pl.col("call").str.contains(_REASK))
        .select(*call, "attempt", "request", "first", "at", "n")
        .join(inputs, on="row", how="semi")
        .filter(pl.col("attempt") == pl.col("attempt").max().over("row"))
        .collect()
    )
    newest = every.group_by(call).agg(request=pl.col("request").sort_by("at").last())
    asks = every.join(newest, on=[*call, "request"], how="semi")
    samples = (
        store.rejects()
        .filter((pl.col("step") == layout.name) & pl.col("sample").is_not_null() & (pl.col("boundary") != "quota"))
        .select("row", "outcome", "sample", call="key")
        .join(inputs, on="row", how="semi")
        .collect()
    )
    answered = samples.join(asks, on=call).filter(
        (pl.col("sample") >= pl.col("first")) & (pl.col("sample") < pl.col("first") + pl.col("n"))
    )
    pending = samples.filter(pl.col("outcome") == Outcome.PENDING.value).height
    # A sample that was refused before it was asked has no completion, but it was asked for.
    total = int(asks["n"].sum()) + samples.height - answered.height
    return {"asked": total, "accepted": total - samples.height, "rejected": samples.height - pending}


def _problems(store: Store, layout: StepLayout) -> list[str]:
    """Rows in two places, ids that stand twice, children of rows that are not there."""
    import polars as pl

    found = []
    fates = _fates(store, layout)
    both = fates.filter(pl.col("kept") & pl.col("outcome").is_not_null()).select("row").collect()["row"]
    if len(both):
        found.append(f"{layout.name}: {len(both)} input rows are kept and rejected at once: {_some(both)}")
    twice = store.scan(layout.name, []).group_by("_id").len().filter(pl.col("len") > 1).collect()["_id"]
    if len(twice):
        found.append(f"{layout.name}: {len(twice)} ids stand more than once: {_some(twice)}")
    if layout.parents:
        every = pl.concat([store.scan(parent, []).select(row="_id") for parent in layout.parents])
        orphans = _parents(store, layout).select("row").unique().join(every, on="row", how="anti").collect()["row"]
        if len(orphans):
            found.append(f"{layout.name}: rows of {len(orphans)} parents that are gone: {_some(orphans)}")
    return found


def _some(ids: pl.Series) -> str:
    named = ", ".join(ids.sort().head(_NAMED).to_list())
    return named if len(ids) <= _NAMED else f"{named}, ..."
