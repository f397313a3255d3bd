"""What was not kept, as a reader of a terminal sees it: counts by step and reason, then whole rejects.

A reject of a whole row is shown with the columns that its step read, joined by id for the few rows shown: a reason
without what it was about would only send the reader to Python. A row that failed because its samples did is told by
these. A long reply, such as one that ran in circles until it was cut, is shown by its beginning and its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import StoreError
from synthkit.core.names import nearest
from synthkit.inspect.text import folded

if TYPE_CHECKING:
    import polars as pl

    from synthkit.core.types import Type
    from synthkit.inspect.run import Run

_PLAIN = ("", "{}", None)
_REPLY_BEGIN, _REPLY_END = 800, 200


def describe_rejects(run: Run, *, step: str | None = None, reason: str | None = None, samples: int = 5) -> str:
    """Counts, then the first `samples` rejects by step and id, with what the step saw of their rows."""
    import polars as pl

    from synthkit.inspect.tables import as_text

    frame = run.rejects
    if step is not None:
        run.columns(step)  # says which steps exist where this one does not
        wanted = run.node(step)
        frame = frame.filter((pl.col("step") == wanted) | pl.col("step").str.starts_with(f"{step}."))
    if reason is not None:
        known = frame.select(pl.col("reason").unique().sort()).collect()["reason"].to_list()
        if reason not in known:
            raise StoreError(f"nothing was rejected for {reason!r}; {nearest(reason, known, 'reasons')}")
        frame = frame.filter(pl.col("reason") == reason)
    of = pl.when(pl.col("sample").is_null()).then(pl.lit("row")).otherwise(pl.lit("sample"))
    counts = (
        frame.group_by("step", "outcome", "reason", of=of)
        .agg(count=pl.len())
        .sort("step", "of", "count", "reason", descending=[False, False, True, False])
        .collect()
    )
    if not len(counts):
        return "no rejects"
    parts = [as_text(counts.select("step", "of", "outcome", "reason", "count"))]
    if samples:
        told = _told(frame)
        shown = told.sort("step", "row", "sample").head(samples).collect()
        inputs = _inputs(run, shown)
        parts += [_described(line, inputs.get((line["step"], line["row"]), "")) for line in shown.iter_rows(named=True)]
        if len(shown) < (every := told.select(pl.len()).collect().item()):
            parts.append(f"{len(shown):,} of {every:,} shown; --samples N shows more, --step and --reason choose")
    return "\n\n".join(parts)


def _told(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Without the rows that say no more than their samples do."""
    import polars as pl

    of_sample = frame.filter(pl.col("sample").is_not_null()).select("step", "row", "attempt", "reason").unique()
    empty = pl.col("sample").is_null() & pl.col("raw").fill_null("").is_in(["", "{}"])
    same = ["step", "row", "attempt", "reason"]
    return pl.concat([frame.filter(~empty), frame.filter(empty).join(of_sample, on=same, how="anti", nulls_equal=True)])


def _described(line: Mapping[str, Any], data: str) -> str:
    """One reject: what was decided, what the step read, what the model said."""
    import json

    from synthkit.inspect.tables import dumps

    which = f"row {line['row']}"
    if line["sample"] is not None:
        which += f", sample {line['sample']}" + (f" of call {line['key']}" if line["key"] not in (None, "main") else "")
    head = f"{line['step']}: {line['outcome']}, {line['reason']}\n  {which}, decided by {line['boundary']}"
    if line["attempt"]:
        head += f", attempt {line['attempt']}"
    parts = [head]
    if line["detail"] not in _PLAIN:
        parts += folded(f"detail: {dumps(json.loads(line['detail']))}", "  ", "  ")
    if data:
        parts.append(data)
    if line["raw"] not in _PLAIN:
        parts += ["  reply:", *_reply(str(line["raw"]))]
    return "\n".join(parts)


def _reply(raw: str) -> list[str]:
    left_out = len(raw) - _REPLY_BEGIN - _REPLY_END
    if left_out < _REPLY_END:
        return folded(raw, "    ")
    said = f"    ... {left_out:,} characters left out; all of it: synthkit.open(RUN).rejects ..."
    return [*folded(raw[:_REPLY_BEGIN], "    "), said, *folded(raw[-_REPLY_END:].lstrip(), "    ")]


def _inputs(run: Run, shown: pl.DataFrame) -> dict[tuple[str, str], str]:
    """The columns that each step read, for the rows shown; rows that are gone, or a source's, have none."""
    import polars as pl

    from synthkit.inspect.tables import described

    found = {}
    for step in shown["step"].unique().to_list():
        parents = run.steps[step].parents if step in run.steps else ()
        if not parents:
            continue
        read = _read(run, step, parents[0])
        ids = shown.filter(pl.col("step") == step)["row"].unique()
        rows = run.store.scan(parents[0], list(read)).filter(pl.col("_id").is_in(ids.implode())).collect()
        for row_id, text in described(rows, read).items():
            found[step, row_id] = "\n".join(f"  {each}" for each in text.splitlines())
    return found


def _read(run: Run, step: str, parent: str) -> dict[str, Type]:
    """Columns that decide the step's result; all of its input's where run.json does not say."""
    there = run.store.columns(parent)
    reads = dict(run.state.get("reads") or {}).get(step)
    return {name: there[name] for name in there if reads is None or name in reads}
