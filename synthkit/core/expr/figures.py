"""Figures of a text: numbers, percentages and dates, in one normal form each."""

from __future__ import annotations

import re
from typing import Any

from synthkit.core.expr.dates import dates_of
from synthkit.core.expr.normal import norm, texts

_POWERS = {"thousand": 3, "k": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9, "trillion": 12}
_ZH_POWERS = {"十": 1, "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8}
FIGURE = re.compile(
    r"(?<![A-Za-z\d.])(?P<sign>(?:(?<![\w)\]])[-\u2212])?)(?P<number>\d+(?:\.\d+)?)"
    r"(?P<magnitude>\s?(?:thousand|million|billion|trillion|[bm]n\b|[十百千万萬]?[亿億]|[十百千]?[万萬]|[百千])|k\b)?"
    r"(?P<percent>\s?(?:%|per\s?cent\b|percentage points?\b))?"
)
"""A number of normalised text without its dates."""


def figures(text: Any) -> list[str]:
    """Numbers, percentages and dates of the text in one normal form each, sorted, without repeats.

    1,240 and 1240 give "1240", "2.50 million" and "250万" give "2500000", 5 per cent gives "5%", "5 March 2021" and
    2021年3月5日 give "2021-03-05". Number words are not read; digits inside names (A320) are left out.
    """
    found: set[str] = set()
    for each in texts(text):
        dates, rest = dates_of(norm(each))
        found.update(dates)
        found.update(map(plain, FIGURE.finditer(rest)))
    return sorted(found)


def plain(match: re.Match[str]) -> str:
    """The normal form of a number that `FIGURE` found."""
    whole, _, part = match["number"].partition(".")
    power = _power((match["magnitude"] or "").strip())
    part = part.rstrip("0")
    if power:
        whole, part = whole + part[:power].ljust(power, "0"), part[power:]
    whole = whole.lstrip("0") or "0"
    number = f"{whole}.{part}" if part else whole
    return f"{'-' if match['sign'] and number != '0' else ''}{number}{'%' if match['percent'] else ''}"


def _power(magnitude: str) -> int:
    return _POWERS[magnitude] if magnitude in _POWERS else sum(_ZH_POWERS[each] for each in magnitude)
