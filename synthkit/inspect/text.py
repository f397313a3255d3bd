"""The ledger as a reader of a terminal sees it: two lines of arithmetic a step, and the commonest reasons.

Columns without a figure are left out, and reasons stand one below the other, so that a ledger fits into 100 columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from synthkit.core.store import StepCounts

_ROWS = ("input", "kept", "filtered", "duplicate", "failed", "unused", "pending")
_SAMPLES = ("asked", "accepted", "rejected")
_ALWAYS = {"input", "kept", "rows out"}


def ledger_table(ledger: Mapping[str, StepCounts], reasons: int = 3) -> str:
    """input = kept + filtered + duplicate + failed + unused + pending; asked = accepted + rejected + pending."""
    counted = {name: _figures(counts) for name, counts in ledger.items()}
    head = [
        name for name in (*_ROWS, "rows out", *_SAMPLES) if name in _ALWAYS or any(c[name] for c in counted.values())
    ]
    lines = [("step", *head, "reasons")]
    for name, counts in ledger.items():
        most = sorted(counts.reasons.items(), key=lambda each: (-each[1], each[0]))
        said = [f"{count:,} {reason}" for reason, count in most[:reasons]]
        if len(most) > reasons:
            said.append(f"{sum(count for _, count in most[reasons:]):,} for {len(most) - reasons} other reasons")
        figures = [f"{counted[name][each]:,}" if counted[name][each] else "." for each in head]
        lines.append((name, *figures, said[0] if said else ""))
        lines += [("", *("" for _ in head), more) for more in said[1:]]
    if not any(line[-1] for line in lines[1:]):
        lines = [(*line[:-1], "") for line in lines]
    return "\n".join(align(lines))


def _figures(counts: StepCounts) -> dict[str, int]:
    return {name: getattr(counts, "output" if name == "rows out" else name) for name in (*_ROWS, "rows out", *_SAMPLES)}


def align(rows: Sequence[Sequence[str]], left: Iterable[int] | None = None) -> list[str]:
    """Columns as wide as their widest cell; numbers to the right, the first and the last column to the left."""
    columns = len(rows[0])
    lefts = {0, columns - 1} if left is None else set(left)
    widths = [max(len(row[at]) for row in rows) for at in range(columns)]
    return [
        "  ".join(
            row[at].ljust(widths[at]) if at in lefts else row[at].rjust(widths[at]) for at in range(columns)
        ).rstrip()
        for row in rows
    ]
