"""What was not kept, as a reader of a terminal sees it: counts by step and reason, then whole rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthkit.inspect.run import Run

_SHOWN = ("step", "row", "sample", "key", "attempt", "outcome", "reason", "boundary", "detail", "raw")


def describe_rejects(run: Run, *, step: str | None = None, reason: str | None = None, samples: int = 5) -> str:
    """Counts, then the first `samples` rejects by step and id."""
    import polars as pl

    from synthkit.inspect.tables import as_text

    frame = run.rejects
    if step is not None:
        run.columns(step)  # says which steps exist where this one does not
        wanted = run.resolve(step) or step
        frame = frame.filter((pl.col("step") == wanted) | pl.col("step").str.starts_with(f"{step}."))
    if reason is not None:
        frame = frame.filter(pl.col("reason") == reason)
    counts = (
        frame.group_by("step", "outcome", "reason", of=pl.when(pl.col("sample").is_null()).then(pl.lit("row")).otherwise(pl.lit("sample")))
        .agg(count=pl.len())
        .sort("step", "of", "count", "reason", descending=[False, False, True, False])
        .collect()
    )
    if not len(counts):
        return "no rejects"
    parts = [as_text(counts.select("step", "of", "outcome", "reason", "count"))]
    shown = frame.sort("step", "row", "sample").head(samples).collect()
    for line in shown.iter_rows(named=True):
        fields = [f"{name}: {line[name]}" for name in _SHOWN if line.get(name) not in (None, "", "{}")]
        parts.append("\n".join(fields))
    return "\n\n".join(parts)
