"""Finds dates in case-folded text and writes them as ISO 8601 of the precision they have."""

from __future__ import annotations

import re

_NAMES = (
    "january|jan|february|feb|march|mar|april|apr|may|june|jun|july|jul|august|aug|september|sept|sep|october|oct|"
    "november|nov|december|dec"
)
MONTH = re.compile(_NAMES)
"""An English month, lower case."""
_NUMBER = {name: number for number, names in enumerate(
    ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
     "september sept sep", "october oct", "november nov", "december dec"), 1) for name in names.split()}  # fmt: skip
_DAY = r"(?P<{0}>0?[1-9]|[12]\d|3[01])"
_FORMS = [
    re.compile(r"(?<![\d-])(?P<y>\d{4})-(?P<m>0[1-9]|1[0-2])(?:-(?P<d>0[1-9]|[12]\d|3[01]))?(?![\d-])"),
    re.compile(r"(?<![\d/])(?P<y>\d{4})/(?P<m>1[0-2]|0?[1-9])/(?P<d>3[01]|[12]\d|0?[1-9])(?![\d/])"),
    re.compile(r"(?P<y>\d{4})\s?年\s?(?P<m>1[0-2]|0?[1-9])\s?月(?:\s?(?P<d>3[01]|[12]\d|0?[1-9])\s?[日号])?"),
    re.compile(rf"\b{_DAY.format('d')}(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m>{_NAMES})\b\.?,?\s+(?P<y>\d{{4}})\b"),
    re.compile(rf"\b(?P<m>{_NAMES})\b\.?\s+{_DAY.format('d')}(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})\b"),
    re.compile(rf"\b(?P<m>{_NAMES})\b\.?,?\s+(?P<y>\d{{4}})\b(?P<d>)"),
]
_HINT = re.compile(rf"\d{{4}}[-/]\d|年|(?:{_NAMES})\b")


def dates_of(text: str) -> tuple[list[str], str]:
    """The dates of at least month precision in a text, and the text without them."""
    found: list[str] = []
    if not _HINT.search(text):
        return found, text

    def take(match: re.Match[str]) -> str:
        month = match["m"]
        number = _NUMBER.get(month) or int(month)
        found.append(f"{match['y']}-{number:02d}" + (f"-{int(match['d']):02d}" if match["d"] else ""))
        return " "

    for form in _FORMS:
        text = form.sub(take, text)
    return found, text


_MONTH_WORD = re.compile(rf"\b(?P<name>{_NAMES})\b|(?P<number>1[0-2]|0?[1-9])\s?月")


def months_of(text: str) -> set[int]:
    """The months (1..12) that a text names, with a year or without."""
    return {_NUMBER[match["name"]] if match["name"] else int(match["number"]) for match in _MONTH_WORD.finditer(text)}
