"""The report as a reader of a terminal sees it: a table for each audit that found something to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synthkit.inspect.audits.report import Report

_SHOWN = 8
"""Biases shown of a step; the largest."""


def report_text(found: Report) -> str:
    """The audits of the rows and the bounds; the ledger is printed by its own table."""
    parts = [f"{title}\n{_table(rows)}" for title, rows in _sections(found) if rows]
    return "\n\n".join(parts)


def _sections(found: Report) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield (
        "calls, where they are made and where they are published",
        [
            {
                "step": each.step,
                "calls": each.calls,
                "final": each.final,
                "fit the toolset": _share(each.valid),
                "name an entity": _share(each.names_entity),
                "words known": _share(each.grounded),
                "foreign figures": _share(each.foreign_figures),
                "say the answer": _share(each.answer_leak),
            }
            for each in found.calls
        ],
    )
    yield (
        "decisions",
        [
            {
                "step": each.step,
                "decisions": each.decisions,
                "options": f"{each.options:.1f}",
                "variety": _figure(each.variety),
                "collapsed": _share(each.collapsed),
                "place: p": _figure(each.position_p),
                "length and style: AUC": _figure(each.length_auc),
                "in runs that ended well": _share(each.correct),
            }
            for each in found.decisions
        ],
    )
    yield (
        "where the answer stands, and texts that betray given knowledge",
        [
            {
                "step": each.step,
                "column": each.column,
                "rows": each.rows,
                "with the answer": _share(each.with_answer),
                "betray": _share(each.betrays),
            }
            for each in found.leakage
        ],
    )
    yield (
        "lengths of published rows",
        [
            {
                "table": each.table,
                "in": each.unit,
                "rows": each.rows,
                "total": f"{each.total:,}",
                "min": each.least,
                **each.quantiles,
                "max": each.most,
                **({} if each.outside is None else {f"over {each.window:,}": each.outside}),
            }
            for each in found.lengths
        ],
    )
    yield (
        "verdicts against length and place (0 in the last column: it may be chance)",
        [
            {
                "step": step,
                "verdict": bias.verdict,
                "by": bias.by,
                "rows": bias.rows,
                "measured": f"{bias.measured:+.2f}",
                "beyond chance": f"{bias.least:.2f}",
            }
            for step, biases in found.biases.items()
            for bias in sorted(biases, key=lambda each: (-each.least, -abs(each.measured)))[:_SHOWN]
        ],
    )
    yield (
        "bounds",
        [
            {
                "figure": each.figure,
                "is": "-" if each.value is None else f"{each.value:.4g}",
                "bound": each.range,
                "": "holds" if each.problem is None else "BROKEN",
            }
            for each in found.bounds
        ],
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    import polars as pl

    from synthkit.inspect.tables import as_text

    names = list(dict.fromkeys(name for row in rows for name in row))
    whole = [{name: row.get(name) for name in names} for row in rows]
    return as_text(pl.DataFrame(whole, infer_schema_length=None))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
