"""A sweep as a reader of a terminal sees it: a line a setting, the run's own marked."""

from __future__ import annotations

from typing import Any

from synthkit.inspect.agreement import Agreement
from synthkit.inspect.sweep import Point, Sweep


def sweep_text(found: Sweep) -> str:
    """The rows judged, the table, and how well each criterion alone tells good from bad."""
    from synthkit.inspect.tables import as_text

    parts = [_heading(found), as_text(_frame(found))]
    if found.separations:
        told = ", ".join(f"{name} {_two(auc)}" for name, auc in found.separations.items())
        parts.append(f"AUC against the marks (0.5 tells nothing): {told}")
    if not found.marked:
        parts.append("precision needs marks: --marks FILE writes rows to mark, --gold FILE reads them")
    return "\n\n".join(parts)


def _heading(found: Sweep) -> str:
    said = f"{found.step}: {found.judged:,} rows judged"
    if found.marked:
        said += f", {found.marked} of them marked, {found.good} good"
    lines = [said]
    if found.without:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(found.without.items()))
        lines.append(f"without scores, not counted: {told}")
    if found.strangers:
        lines.append(f"{found.strangers} marks name rows that the step has not judged")
    return "\n".join(lines)


def _frame(found: Sweep) -> Any:
    import polars as pl

    rows = [_line(point, found) for point in found.points]
    if all(row["tokens"] is None for row in rows):
        rows = [{name: value for name, value in row.items() if name != "tokens"} for row in rows]
    return pl.DataFrame(rows, infer_schema_length=None)


def _line(point: Point, found: Sweep) -> dict[str, Any]:
    line: dict[str, Any] = {f"vars.{name}": _number(value) for name, value in point.vars.items()}
    line[""] = "as run" if point.now else ""
    tokens = None if point.tokens is None else f"{'' if found.tokens_exact else 'about '}{point.tokens:,}"
    line |= {"kept": point.kept, "share": f"{point.share:.0%}", "tokens": tokens}
    return line if point.marks is None else line | _agreement(point.marks)


def _agreement(marks: Agreement) -> dict[str, Any]:
    kept = marks.kept_good + marks.kept_bad
    interval = marks.precision_interval
    return {
        "precision": "-" if marks.precision is None else f"{marks.precision:.2f} ({marks.kept_good} of {kept})",
        "95 % within": "-" if interval is None else f"{interval[0]:.2f}..{interval[1]:.2f}",
        "recall": _two(marks.recall),
        "kappa": _two(marks.kappa),
    }


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.4f}".rstrip("0").rstrip(".")
        if isinstance(value, float) and not isinstance(value, bool)
        else str(value)
    )
