"""The ledger as a reader of a terminal sees it: two lines of arithmetic a step, and the commonest reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from synthkit.core.store import StepCounts

_ROWS = ("input", "kept", "filtered", "duplicate", "failed", "unused", "pending")
_SAMPLES = ("asked", "accepted", "rejected")


def ledger_table(ledger: Mapping[str, StepCounts], reasons: int = 3) -> str:
    """input = kept + filtered + duplicate + failed + unused + pending; asked = accepted + rejected + pending."""
    head = ("step", *_ROWS, "rows out", *_SAMPLES)
    lines = []
    for name, counts in ledger.items():
        figures = [getattr(counts, each) for each in (*_ROWS, "output", *_SAMPLES)]
        most = sorted(counts.reasons.items(), key=lambda each: (-each[1], each[0]))[:reasons]
        said = ", ".join(f"{reason} {count:,}" for reason, count in most)
        lines.append((name, *(f"{figure:,}" if figure else "." for figure in figures), said))
    return "\n".join(align([(*head, "reasons"), *lines]))


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
