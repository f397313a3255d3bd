"""The ledger: what became of every input row of every step, counted from the tables alone.

Nothing that the run counted while it ran is trusted: inputs, parents of output rows and row-level rejects are joined
by id, so a row in two places or a child without a parent is found, and named. Rows without any outcome are pending.
Samples: of each call only the newest request counts (older ones belong to an older prompt).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from synthkit.core.outcome import Outcome
from synthkit.core.store import StepCounts, StepLayout, Store
from synthkit.inspect.books import Books, every_share

if TYPE_CHECKING:
    import polars as pl

_NAMED = 3
_REJECTED = (Outcome.FILTERED, Outcome.DUPLICATE, Outcome.FAILED, Outcome.UNUSED)


@dataclass(frozen=True, slots=True)
class Account:
    """What the tables of a run say."""

    counts: Mapping[str, StepCounts]
    """By step, in the order of the spec."""
    problems: list[str]
    """What is wrong with the tables, in words; empty where every row is in exactly one place (pending is a place)."""


def account(store: Store, *steps: str) -> Account:
    """Count the steps named, or all, and check them, in one reading of each table."""
    chosen = _chosen(store, steps)
    counts: dict[str, StepCounts] = {name: StepCounts() for name in chosen}
    problems: dict[str, list[str]] = {name: [] for name in chosen}
    for books in every_share(store):
        for name, layout in chosen.items():
            fates = _fates(books, layout)
            counts[name] = _sum(counts[name], _counts(books, layout, fates))
            problems[name].extend(_problems(books, layout, fates))
    return Account(counts, [problem for found in problems.values() for problem in found])


def _chosen(store: Store, steps: tuple[str, ...]) -> Mapping[str, StepLayout]:
    for step in steps:
        store.columns(step)  # says which steps exist where this one does not
    return {name: layout for name, layout in store.layouts.items() if not steps or name in steps}


def _counts(books: Books, layout: StepLayout, fates: pl.DataFrame) -> StepCounts:
    import polars as pl

    outcomes = dict(fates.drop_nulls("outcome").group_by("outcome").len().iter_rows())
    undecided = fates.select((~pl.col("kept") & pl.col("outcome").is_null()).sum()).item()
    reasons = fates.drop_nulls("reason").group_by("reason").len()
    return StepCounts(
        input=fates.height,
        kept=int(fates["kept"].sum()),
        pending=undecided + outcomes.get(Outcome.PENDING.value, 0),
        **{outcome.value: outcomes.get(outcome.value, 0) for outcome in _REJECTED},
        output=books.ids(layout.name).height,
        reasons=dict(reasons.iter_rows()),
        **_samples(books, layout, fates.select("row")),
    )


def _fates(books: Books, layout: StepLayout) -> pl.DataFrame:
    """One line an input row: `row`, `branch`, whether it is `kept`, the `outcome` and `reason` of its reject."""
    import polars as pl

    parents = books.parents(layout).with_columns(kept=pl.lit(True))
    decided = (
        books.rejects.filter((pl.col("step") == layout.name) & pl.col("sample").is_null())
        .unique("row", keep="last", maintain_order=True)
        .select("row", "outcome", "reason")
    )
    if layout.parents:
        inputs = _inputs(books, layout)
    else:  # a source makes its rows: what it let go of counts as its input too
        inputs = pl.concat([parents.select("row", "branch"), decided.select("row", branch=pl.lit(""))]).unique()
    return (
        inputs.join(parents, on=["row", "branch"], how="left")
        .join(decided, on="row", how="left")
        .with_columns(pl.col("kept").fill_null(False))
    )


def _inputs(books: Books, layout: StepLayout) -> pl.DataFrame:
    """The rows of the table a step takes (not of those it only reads); a union's rows are told apart by branch."""
    import polars as pl

    tables = layout.parents if layout.union else layout.parents[:1]
    return pl.concat(
        [books.ids(parent).with_columns(branch=pl.lit(parent if layout.union else "")) for parent in tables]
    )


def _samples(books: Books, layout: StepLayout, rows: pl.DataFrame) -> dict[str, int]:
    """Samples asked, accepted and rejected for the rows that are still input."""
    import polars as pl

    call = ["row", "call"]
    inputs = rows.unique()
    every = (
        books.calls.filter(pl.col("step") == layout.name)
        .join(inputs, on="row", how="semi")
        .filter(pl.col("attempt") == pl.col("attempt").max().over("row"))
    )
    newest = every.group_by(call).agg(request=pl.col("request").sort_by("at").last())
    asks = every.join(newest, on=[*call, "request"], how="semi")
    samples = books.rejects.filter(
        (pl.col("step") == layout.name) & pl.col("sample").is_not_null() & ~pl.col("quota")
    ).join(inputs, on="row", how="semi")
    answered = samples.join(asks, on=call).filter(
        (pl.col("sample") >= pl.col("first")) & (pl.col("sample") < pl.col("first") + pl.col("n"))
    )
    pending = samples.filter(pl.col("outcome") == Outcome.PENDING.value).height
    # A sample that was refused before it was asked has no completion, but it was asked for.
    total = int(asks["n"].sum()) + samples.height - answered.height
    return {"asked": total, "accepted": total - samples.height, "rejected": samples.height - pending}


def _problems(books: Books, layout: StepLayout, fates: pl.DataFrame) -> Iterator[str]:
    """Rows in two places, ids that stand twice, children of rows that are not there."""
    import polars as pl

    name = layout.name
    both = fates.filter(pl.col("kept") & pl.col("outcome").is_not_null())["row"]
    if len(both):
        of = "_id" if layout.keeps_id or not layout.parents else "_parents"
        yield f"{name}: {len(both)} input rows are kept and rejected at once: {_some(books, name, of, both)}"
    ids = books.ids(name)
    if ids["row"].n_unique() < ids.height:
        twice = ids.group_by("row").len().filter(pl.col("len") > 1)["row"]
        yield f"{name}: {len(twice)} ids stand more than once: {_some(books, name, '_id', twice)}"
    if layout.parents:
        every = pl.concat([books.ids(parent) for parent in layout.parents])
        orphans = books.parents(layout).select("row").unique().join(every, on="row", how="anti")["row"]
        if len(orphans):
            named = _some(books, name, "_parents", orphans)
            yield f"{name}: rows of {len(orphans)} parents that are gone: {named}"


def _some(books: Books, step: str, column: str, rows: pl.Series) -> str:
    named = ", ".join(books.named(step, column, rows, _NAMED))
    return named if len(rows) <= _NAMED else f"{named}, ..."


def _sum(one: StepCounts, other: StepCounts) -> StepCounts:
    reasons = {
        reason: one.reasons.get(reason, 0) + other.reasons.get(reason, 0) for reason in one.reasons | other.reasons
    }
    ordered = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    numbers = [field.name for field in fields(StepCounts) if field.name != "reasons"]
    return StepCounts(**{name: getattr(one, name) + getattr(other, name) for name in numbers}, reasons=ordered)
