"""Lengths of published rows in tokens, and how many do not fit a window: those a trainer would cut or leave out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthkit.inspect.run import Run

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of what is shown; the least and the most beside them."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of one table."""

    table: str
    unit: str
    """`tokens` of the column of that name, else `characters` of the column `text`."""
    rows: int
    total: int
    least: int
    quantiles: dict[str, int]
    most: int
    window: int | None = None
    """Tokens that fit."""
    outside: int | None = None
    """Rows that do not."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def lengths(run: Run, table: str, window: int | None = None) -> Lengths | None:
    """The lengths of a published table or a step; None where it has neither `tokens` nor `text`, or no row."""
    import polars as pl

    there = run.columns(table)
    if "tokens" in there:
        unit, value = "tokens", pl.col("tokens")
    elif "text" in there:
        unit, value = "characters", pl.col("text").str.len_chars()
    else:
        return None
    sizes = run[table].select(value.alias("size")).drop_nulls().collect()["size"]
    if not len(sizes):
        return None
    known = window if unit == "tokens" else None
    return Lengths(
        table,
        unit,
        len(sizes),
        int(sizes.sum()),
        int(sizes.min()),  # type: ignore[arg-type]
        {f"{q:.0%}": round(sizes.quantile(q) or 0) for q in QUANTILES},
        int(sizes.max()),  # type: ignore[arg-type]
        known,
        int((sizes > known).sum()) if known is not None else None,
    )


def longest(run: Run, step: str) -> float | None:
    """The figure of that name."""
    import polars as pl

    found = run.store.scan(run.node(step), ["tokens"]).select(pl.col("tokens").max()).collect().item()
    return None if found is None else float(found)
