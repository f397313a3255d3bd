"""The text filters of this project: what counts as a mention, a figure, the same answer.

All work on NFKC, case-folded text and need no dictionary, so they serve English and Chinese alike. Pure ASCII text
skips the normalisation: `mentions` takes about 1 us a name on a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jinja2.runtime import Undefined

from synthkit.core.expr.dates import MONTH, dates_of

_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Scripts written without spaces: every character may begin or end a word."""
_SPACED = re.compile(rf"[^\W{_CJK}]")
_GROUPING = re.compile(r"(?<=\d)[,\u066c](?=\d{3}(?!\d))")
_WORD = re.compile(rf"\d+(?:\.\d+)+|[^\W_{_CJK}]+|[{_CJK}]+")
_MAGNITUDES = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "bn": 10**9,
    "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
}  # fmt: skip
_FIGURE = re.compile(
    r"(?<![A-Za-z\d.])(?P<sign>(?:(?<![\w)\]])[-\u2212])?)(?P<number>\d+(?:\.\d+)?)"
    r"(?:\s?(?P<magnitude>thousand|million|billion|trillion|bn\b|[千万萬亿億]))?"
    r"(?P<percent>\s?(?:%|per\s?cent\b|percentage points?\b))?"
)
_ARTICLES = frozenset({"a", "an", "the"})


def norm(text: str) -> str:
    """NFKC and case-folded, thousands separators removed."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _GROUPING.sub("", text) if "," in text or "\u066c" in text else text


def texts(value: Any) -> Iterator[str]:
    """The texts in a value: itself, or the items of a list at any depth; numbers as text, none as nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield f"{value:g}" if isinstance(value, float) else str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, Undefined):
        value._fail_with_undefined_error()
    else:
        raise TypeError(f"expected text or a list of texts, not {value.__class__.__name__}")


def mentions(text: Any, names: Any) -> bool:
    """Whether any of the names occurs in the text as a whole word (in Chinese: anywhere).

    Case, width and thousands separators do not matter; a number is found only as a whole number.
    """
    wanted = [name for each in texts(names) if (name := " ".join(norm(each).split()))]
    if not wanted:
        return False
    return any(
        _occurs(body, name) for each in texts(text) for body in [" ".join(norm(each).split())] for name in wanted
    )


def _occurs(text: str, name: str) -> bool:
    at = text.find(name)
    while at >= 0:
        if _bounded_left(text, at, name[0]) and _bounded_right(text, at + len(name), name[-1]):
            return True
        at = text.find(name, at + 1)
    return False


def _bounded_left(text: str, at: int, first: str) -> bool:
    """Whether a word may begin at `at`."""
    if at == 0 or not _SPACED.match(first):
        return True
    before = text[at - 1]
    if first.isdigit() and before in ".," and at > 1 and text[at - 2].isdigit():
        return False
    return not _SPACED.match(before)


def _bounded_right(text: str, end: int, last: str) -> bool:
    """Whether a word may end before `end`."""
    if end >= len(text) or not _SPACED.match(last):
        return True
    after = text[end]
    if last.isdigit() and after in ".," and end + 1 < len(text) and text[end + 1].isdigit():
        return False
    return not _SPACED.match(after)


def figures(text: Any) -> list[str]:
    """Numbers, percentages and dates of the text in one normal form each, sorted, without repeats.

    1,240 and 1240 give "1240", "2.50 million" and "250万" give "2500000", 5 per cent gives "5%", "5 March 2021" and
    2021年3月5日 give "2021-03-05". Number words are not read; digits inside names (A320) are left out.
    """
    found: set[str] = set()
    for each in texts(text):
        dates, rest = dates_of(norm(each))
        found.update(dates)
        for match in _FIGURE.finditer(rest):
            number = _plain_number(match["number"], match["magnitude"])
            sign = "-" if match["sign"] and number != "0" else ""
            found.add(f"{sign}{number}{'%' if match['percent'] else ''}")
    return sorted(found)


def _plain_number(digits: str, magnitude: str | None) -> str:
    whole, _, part = digits.partition(".")
    power = len(str(_MAGNITUDES[magnitude])) - 1 if magnitude else 0
    part = part.rstrip("0")
    if power:
        whole, part = whole + part[:power].ljust(power, "0"), part[power:]
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{part}" if part else whole


def words(text: Any) -> set[str]:
    """The word set of a text: words of spaced scripts, pairs of neighbours in scripts without spaces."""
    found: set[str] = set()
    for each in texts(text):
        for word in _WORD.findall(norm(each)):
            if len(word) > 1 and not _SPACED.match(word[0]):
                found.update(word[i : i + 2] for i in range(len(word) - 1))
            else:
                found.add(word)
    return found


def overlap(text: Any, other: Any) -> float:
    """The share (0..1) of the text's word set that is also in the other's; 0 where the text has no words.

    Words are runs of letters or digits, case-folded; a run of Chinese counts as its pairs of neighbouring characters.
    Order and repetition do not matter, and no word is left out as too common.
    """
    mine = words(text)
    return len(mine & words(other)) / len(mine) if mine else 0.0


def echoed_in(statement: Any, text: Any) -> bool:
    """Whether a text draws on the statement: it has all of its figures and at least 60 % of its word set."""
    return overlap(statement, text) >= 0.6 and set(figures(statement)) <= set(figures(text))


def same_answer(answer: Any, other: Any) -> bool:
    """Whether two answers are the same but for case, width, articles, punctuation, and the form of figures."""
    mine = _answer(answer)
    return bool(mine) and mine == _answer(other)


def _answer(value: Any) -> tuple[str, ...]:
    return _answer_of("\n".join(texts(value)))


@lru_cache(maxsize=4096)
def _answer_of(text: str) -> tuple[str, ...]:
    dates, rest = dates_of(norm(text))
    parts: list[str] = []

    def figure(match: re.Match[str]) -> str:
        number = _plain_number(match["number"], match["magnitude"])
        parts.append(("-" if match["sign"] else "") + number + ("%" if match["percent"] else ""))
        return " "

    rest = _FIGURE.sub(figure, rest)
    tokens = [word for word in _WORD.findall(rest) if word not in _ARTICLES]
    return (*tokens, *sorted(dates), *parts)


_PRONOUN = r"(?:he|she|it|they|this|that|these|those|his|her|hers|its|their|theirs|him|them|such|the (?:former|latter))"
_NO_PRONOUN = (
    r"(?!it (?:is|was) (?:not )?(?:\w+ )?(?:known|said|believed|estimated|reported|thought) that\b"
    r"|(?:those|that) (?:who|which|whose)\b|(?:his|her|their) (?:majest|excellenc|holiness|highness|royal|imperial))"
)
_LEAD_WORDS = (
    "in on at after before during by from since until later then however also but and so as when while though although "
    "meanwhile today thus moreover additionally afterwards subsequently eventually finally there"
)
_LEAD = rf"(?:(?:{'|'.join(_LEAD_WORDS.split())})\b[^,.;]{{0,60}}?,?\s+)"
_DANGLES = re.compile(rf"(?P<lead>{_LEAD})?{_NO_PRONOUN}(?P<word>{_PRONOUN})\b", re.IGNORECASE)
_CAPITAL = re.compile(r"(?<!^)\b[A-Z]\w+|\b[A-Z]{2,}\b")
_ZH_LEAD = re.compile(
    r"^(?:(?:但|但是|而|而且|并且|因此|所以|后来|随后|此外|此后|其后|之后|当时|当年|同年|同时|目前|现在|如今|另外|不过|然而|"
    r"[\d零〇一二三四五六七八九十百千]+(?:年|月|日|世纪)[^，,。]{0,10})[，,、]?)+"
)
_ZH_PRONOUN = re.compile(
    r"^(?:他(?!信|加禄)|她|它|牠|这|該|该|其(?![他它余次实余馀實]|间)|此(?!外|后|前)|那(?=年|时|个|些|里|次|位|座|家|种)|前者|后者|双方|两者)"
)


def dangling(text: Any) -> bool:
    """Whether a statement begins with a pronoun that nothing before it explains (He, This, Its, 他, 该, 其).

    A leading phrase of time or place ("In 1998, she ...", "2015年，他…") does not explain it unless it holds a name.
    """
    return any(_dangles(each.strip(" \t\n\"'“”‘’「」([{")) for each in texts(text))


def _dangles(text: str) -> bool:
    match = _DANGLES.match(text)
    if match and not (match["word"].isupper() and len(match["word"]) > 1 and not text.isupper()):  # IT is no pronoun
        lead = match["lead"] or ""
        names = [word for word in _CAPITAL.findall(lead) if not MONTH.fullmatch(word.lower())]
        return not names
    if not text or text.isascii():
        return False
    text = unicodedata.normalize("NFKC", text)
    return bool(_ZH_PRONOUN.match(text) or _ZH_PRONOUN.match(_ZH_LEAD.sub("", text)))
