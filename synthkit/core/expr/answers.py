"""Whether two answers say the same in other letters; what this leaves open costs a judge's call.

Equality of one normal form, so the relation is symmetric and transitive. It errs on the side of "not the same": units
("5 km", "5000 m"), synonyms and orders of lists are a judge's business.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from synthkit.core.expr.dates import dates_of
from synthkit.core.expr.figures import FIGURE, plain
from synthkit.core.expr.normal import CJK, norm, texts

_TOKEN = re.compile(rf"\d+(?:\.\d+)+|[^\W_{CJK}]+[+#]*|[{CJK}]+|[$€£¥₩₹<>≤≥±~≈&]")
_ZH_SPACE = re.compile(rf"(?<=[{CJK}])\s+(?=[{CJK}])")
_BARE_YEAR = re.compile(r"(?<!\d)([12]\d{3})\s?年(?!代)")
_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: number for number, word in enumerate(_UNIT_WORDS.split())}
_TENS = {word: 10 * number for number, word in enumerate(_TEN_WORDS.split(), 2)}
_NUMBER_WORD = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[-\s](?P<ones>{'|'.join([*_UNITS][1:10])}))?|(?P<units>{'|'.join(_UNITS)}))\b"
)
_ZH_DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ZH_SCALES = {"十": 10, "百": 100, "千": 1000}
_ZH_NUMBER = re.compile(r"(?<![\d.])[零〇一二两三四五六七八九十][零〇一二两三四五六七八九十百千万亿]*")


def same_answer(answer: Any, other: Any) -> bool:
    """Whether two answers are the same but for case, width, articles, punctuation, and the form of numbers and dates.

    So are 1,000 and one thousand, 4,222 thousand and 4.222 million, 5 March 2021 and 2021年3月5日, 三十二 and 32.
    An empty answer is the same as none.
    """
    mine = _normal("\n".join(texts(answer)))
    return bool(mine) and mine == _normal("\n".join(texts(other)))


@lru_cache(maxsize=4096)
def _normal(text: str) -> tuple[str, ...]:
    body = _ZH_SPACE.sub("", norm(text).strip())
    body = _ZH_NUMBER.sub(_zh_number, _NUMBER_WORD.sub(_number_word, body))
    dates, rest = dates_of(body)
    parts: list[str] = []

    def figure(match: re.Match[str]) -> str:
        parts.append(plain(match))
        return " "

    rest = FIGURE.sub(figure, _BARE_YEAR.sub(r"\1 ", rest))
    tokens = ["and" if word == "&" else word for word in _TOKEN.findall(rest)]
    named = [word for place, word in enumerate(tokens) if word != "the" and (place or word not in ("a", "an"))]
    found = (*(named or tokens), *sorted(dates), *parts)
    return found or ((body,) if body else ())


def _number_word(match: re.Match[str]) -> str:
    """The digits of an English number below a hundred."""
    if match["units"]:
        return str(_UNITS[match["units"]])
    return str(_TENS[match["tens"]] + _UNITS.get(match["ones"] or "", 0))


def _zh_number(match: re.Match[str]) -> str:
    """The digits of a Chinese number: 一九九八 as written, 三万五千 by its value."""
    text = match[0]
    if all(each in _ZH_DIGITS for each in text):
        return "".join(str(_ZH_DIGITS[each]) for each in text)
    total = group = digit = 0
    for each in text:
        if each in _ZH_DIGITS:
            digit = _ZH_DIGITS[each]
        elif each in _ZH_SCALES:
            group += (digit or 1) * _ZH_SCALES[each]
            digit = 0
        elif each == "万":
            total, group, digit = total + (group + digit) * 10**4, 0, 0
        else:
            total, group, digit = (total + group + digit) * 10**8, 0, 0
    return str(total + group + digit)
