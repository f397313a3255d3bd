"""Text for a terminal: the ledger, aligned columns, folded and cut lines.

A ledger is one table where that fits the terminal. Where it does not, samples get a table of their own, and then
reasons a line below their step. Columns without a figure are left out. What a model wrote is shown without control
characters: a reply must not move the cursor of who reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap

from synthkit.core.store import StepCounts

_ROWS = ("input", "kept", "filtered", "duplicate", "failed", "unused", "pending")
_SAMPLES = ("asked", "accepted", "rejected")
_ALWAYS = {"input", "kept", "rows out"}
_LONGEST_LINE = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def width() -> int:
    """Columns of the terminal (or of the environment's COLUMNS); 100 where there is none."""
    return max(40, get_terminal_size((_LONGEST_LINE, 24)).columns)


def ledger_table(ledger: Mapping[str, StepCounts], reasons: int = 3, columns: int | None = None) -> str:
    """input = kept + filtered + duplicate + failed + unused + pending; asked = accepted + rejected + pending.

    `columns` is the room there is, the terminal's by default; `reasons` are the commonest that are named.
    """
    room = width() if columns is None else columns
    why = {name: _reasons(counts, reasons) for name, counts in ledger.items()}
    lines = _table(ledger, (*_ROWS, "rows out", *_SAMPLES), why)
    if _widest(lines) <= room:
        return "\n".join(lines)
    rows = _table(ledger, (*_ROWS, "rows out"), why)
    if _widest(rows) > room:
        head, *below = _table(ledger, (*_ROWS, "rows out"), {})
        rows = [head]
        for line, said in zip(below, why.values(), strict=True):
            rows += [line, *wrap("; ".join(said), room, initial_indent="    ", subsequent_indent="    ")]
    asked = {name: counts for name, counts in ledger.items() if counts.asked}
    samples = ["", *_table(asked, _SAMPLES, {}, first="samples of")] if asked else []
    return "\n".join([*rows, *samples])


def _table(
    ledger: Mapping[str, StepCounts], named: Sequence[str], why: Mapping[str, Sequence[str]], first: str = "step"
) -> list[str]:
    """A line a step, and one for each further reason."""
    counted = {name: [_figure(counts, each) for each in named] for name, counts in ledger.items()}
    used = [at for at, each in enumerate(named) if each in _ALWAYS or any(row[at] for row in counted.values())]
    last = ("reasons",) if any(why.values()) else ()
    lines = [(first, *(named[at] for at in used), *last)]
    for name, row in counted.items():
        said = why.get(name) or ("",)
        figures = [f"{row[at]:,}" if row[at] else "." for at in used]
        lines.append((name, *figures, said[0]) if last else (name, *figures))
        lines += [("", *("" for _ in used), more) for more in said[1:]]
    return align(lines, (0, len(lines[0]) - 1) if last else (0,))


def _reasons(counts: StepCounts, most: int) -> list[str]:
    """The commonest reasons; the rest in one line, where it is more than one."""
    ranked = sorted(counts.reasons.items(), key=lambda each: (-each[1], each[0]))
    shown = len(ranked) if len(ranked) == most + 1 else most
    said = [f"{count:,} {reason}" for reason, count in ranked[:shown]]
    if rest := ranked[shown:]:
        said.append(f"{sum(count for _, count in rest):,} for {len(rest)} other reasons")
    return said


def _figure(counts: StepCounts, name: str) -> int:
    return int(getattr(counts, "output" if name == "rows out" else name))


def _widest(lines: Iterable[str]) -> int:
    return max(map(len, lines), default=0)


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


def printable(text: str) -> str:
    """A text without control characters, but for tabs and ends of lines: each is a replacement character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def folded(text: str, indent: str = "", hanging: str = "", columns: int | None = None) -> list[str]:
    """A text's lines, folded between words; `hanging` is put before the second and later lines of each."""
    room = min(width(), _LONGEST_LINE) if columns is None else columns
    lines: list[str] = []
    for line in printable(text).splitlines():
        later = indent + hanging
        lines += wrap(line, room, initial_indent=indent, subsequent_indent=later, break_on_hyphens=False) or [""]
    return lines


def cut(text: str, columns: int) -> str:
    """A text on one line that takes at most so many columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    line = " ".join(printable(text).split())
    return line if cell_len(line) <= columns else set_cell_size(line, columns - 1).rstrip() + "…"
