"""Figures of a text that come from nowhere: the cheapest sign of an invented fact.

Reasoning may round and compute: 38,400 - 35,900 = 2,500 is no invention. So a figure is foreign where it is neither
known, nor a coarser form of a known one, nor the result of one operation on figures that the text states.
The price is that an invented figure which happens to be such a result passes; a judge is left to find it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from synthkit.core.expr.dates import months_of
from synthkit.core.expr.figures import figures
from synthkit.core.expr.normal import norm, texts

_DATE = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?")
_LIST_MARK = re.compile(r"^\s*[(（]?\d{1,2}[.)、）](?!\d)", re.MULTILINE)
_DECADE = re.compile(r"(?<!\d)(\d{3})0(?:'?s\b|\s?年代)")
_ZH_DECADE = re.compile(r"(?<!\d)(\d{1,2})\s?世纪\s?(\d)0\s?年代")
_CENTURY = re.compile(r"(?<!\d)(\d{1,2})(?:(?:st|nd|rd|th)[- ]centur(?:y|ies)|\s?世纪)")
_MOST_OPERANDS = 40


class _Stated(NamedTuple):
    """What a text states, sorted; a period is (name, first year, last year)."""

    figures: list[str]
    periods: list[tuple[str, int, int]]


def foreign_figures(text: Any, known: Any) -> list[str]:
    """Figures of the text that have no origin in `known`, in the normal form of `figures`.

    Not foreign are: single digits, the numbers of a list, a date less precise than a known one or put together from
    known parts, the decade or century of a known year, a known number rounded, and the sum, difference, product,
    ratio, mean or percentage of two figures which the text states and which are not foreign.
    """
    origin = _Known(known)
    stated = _stated(text)
    foreign = [each for each in stated.figures if not origin.explains(each)]
    sure = list(_numbers(each for each in stated.figures if each not in foreign))
    while made := [each for each in foreign if _computed(each, sure[:_MOST_OPERANDS])]:
        foreign = [each for each in foreign if each not in made]
        sure.extend(_numbers(made))
    return [*foreign, *(name for name, first, last in stated.periods if not origin.years & {*range(first, last + 1)})]


class _Known:
    """What a figure may come from."""

    def __init__(self, known: Any) -> None:
        """`known` is a text or a list of texts, at any depth."""
        stated = _stated(known)
        self.figures = set(stated.figures)
        self.percents = [_value(each) for each in stated.figures if each.endswith("%")]
        self.numbers = set(_numbers(stated.figures))
        self.dates = [date for each in stated.figures if (date := _DATE.fullmatch(each))]
        self.numbers |= {float(part) for date in self.dates for part in date.groups() if part}
        self.years = {int(number) for number in self.numbers if number.is_integer()}
        self.years |= {year for _, first, last in stated.periods for year in range(first, last + 1)}
        self.months = {month for each in texts(known) for month in months_of(norm(each))}
        self.months |= {int(date[2]) for date in self.dates}

    def explains(self, figure: str) -> bool:
        """Whether a figure is known or a coarser form of what is known."""
        if figure in self.figures:
            return True
        if date := _DATE.fullmatch(figure):
            parts = float(date[1]) in self.numbers and int(date[2]) in self.months
            assembled = parts and (date[3] is None or float(date[3]) in self.numbers)
            return assembled or any(each[0].startswith(figure) for each in self.dates)
        value = abs(_value(figure))
        if figure.endswith("%"):
            return any(_rounded(each, value) for each in self.percents)
        return (value.is_integer() and value < 10) or any(
            abs(each) == value or _rounded(abs(each), value) for each in self.numbers
        )


def _stated(text: Any) -> _Stated:
    bodies: list[str] = []
    periods: set[tuple[str, int, int]] = set()
    for each in texts(text):
        body = _ZH_DECADE.sub(lambda m: f"{int(m[1]) * 10 - 10 + int(m[2])}0年代", _LIST_MARK.sub(" ", norm(each)))
        periods |= {(f"{m[1]}0s", int(m[1]) * 10, int(m[1]) * 10 + 9) for m in _DECADE.finditer(body)}
        periods |= {(f"{m[1]}th century", int(m[1]) * 100 - 99, int(m[1]) * 100) for m in _CENTURY.finditer(body)}
        bodies.append(_CENTURY.sub(" ", _DECADE.sub(" ", body)))
    return _Stated(figures(bodies), sorted(periods))


def _numbers(found: Iterable[str]) -> Iterator[float]:
    """The values of figures: of a percentage its number, of a date its year."""
    for each in found:
        date = _DATE.fullmatch(each)
        yield float(date[1]) if date else _value(each)


def _value(figure: str) -> float:
    return float(figure.removesuffix("%"))


def _may_be_year(value: float) -> bool:
    return value.is_integer() and 1000 <= value <= 2100


def _rounded(exact: float, value: float) -> bool:
    """Whether a value is the other, rounded up or down to its leading digits; years and small counts never are."""
    if not 0 < value < math.inf or _may_be_year(value) or (value < 100 and exact.is_integer()):
        return False
    digits = f"{value:.10f}".rstrip("0").rstrip(".").replace(".", "").strip("0")
    unit = 10.0 ** (math.floor(math.log10(value)) - len(digits) + 1)
    return abs(exact - value) < min(unit, 0.2 * value)


def _computed(figure: str, operands: list[float]) -> bool:
    """Whether a number is the result of one operation on two of the operands."""
    if _DATE.fullmatch(figure):
        return False
    value = abs(_value(figure))
    percent = figure.endswith("%")
    half_unit = 0.5 * 10.0 ** -len(figure.removesuffix("%").partition(".")[2]) + 1e-9
    for a, b in product(operands, repeat=2):
        exact: list[float] = [] if percent else [a - b, a + b, a * b]
        near: list[float] = [] if _may_be_year(value) else [(a + b) / 2, *([a / b] if b else [])]
        if percent:
            near = [100 * a / b, 100 * (a - b) / b] if b else []
        if any(abs(abs(each) - value) <= 1e-6 for each in exact):
            return True
        if any(abs(abs(each) - value) <= half_unit for each in near):
            return True
    return False
