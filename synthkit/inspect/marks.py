"""A person's marks as a CSV file: a table out to be marked, and back in.

Rows are drawn by the hash of (seed, id) from those kept and those set aside alike, so that fifty are the first fifty of
a hundred; neither decision nor scores stand in the table, for they would lead the hand. What begins like a formula gets
an apostrophe, and the file has a byte order mark, without which spreadsheets take Chinese for something else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthkit.core.errors import StoreError
from synthkit.core.ids import digest
from synthkit.inspect.judged import Judged

GOOD = frozenset({"1", "yes", "y", "true", "pass", "good", "keep", "ok", "right", "x", "对", "是", "好", "√", "✓", "✔"})
"""Marks of a good row, in any case."""
BAD = frozenset({"0", "no", "n", "false", "fail", "bad", "drop", "wrong", "错", "否", "坏", "×", "✗", "✘"})
"""Marks of a bad row."""
_ROW, _MARK = "row", "mark"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_marks(found: Judged, path: Path, *, rows: int, seed: int, width: int) -> int:
    """Write up to `rows` rows with an empty mark; texts have at most `width` characters. Returns how many."""
    if path.exists():
        raise StoreError(f"{path} is there already, perhaps with marks in it; give another name")
    drawn = sorted(found.rows, key=lambda row: digest([seed, row.id]))[:rows]
    if not drawn:
        raise StoreError(f"{found.step!r} has judged no row yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow([_ROW, _MARK, *found.types])
        for row in drawn:
            table.writerow([row.id, "", *(_cell(row.values[name], width) for name in found.types)])
    return len(drawn)


def read_marks(path: Path) -> dict[str, bool]:
    """Row -> whether it is good; rows without a mark are left out. StoreError names the line that cannot be read."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    head = text.partition("\n")[0]
    table = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=head.count))
    lacking = [name for name in (_ROW, _MARK) if name not in (table.fieldnames or ())]
    if lacking:
        has = ", ".join(table.fieldnames or ()) or "none"
        raise StoreError(f"{path} has no column {' and '.join(map(repr, lacking))}; its columns: {has}")
    marks: dict[str, bool] = {}
    for line in table:
        mark = (line[_MARK] or "").strip().casefold()
        if not mark:
            continue
        if mark not in GOOD | BAD:
            raise StoreError(
                f"{path}, row {line[_ROW]}: {line[_MARK]!r} is no mark; good: {', '.join(sorted(GOOD))}; "
                f"bad: {', '.join(sorted(BAD))}; empty: not marked"
            )
        marks[str(line[_ROW]).strip()] = mark in GOOD
    return marks


def _cell(value: Any, width: int) -> str:
    text = _text(value)
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return f"'{text}" if text.startswith(_FORMULA) else text


def _text(value: Any) -> str:
    """Texts as they are, lists an item a line, calls as they are written."""
    import orjson

    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping):
        return orjson.dumps({key: item for key, item in value.items() if item is not None}).decode()
    if isinstance(value, Sequence):
        return "\n".join(_text(item) for item in value)
    return str(value)
