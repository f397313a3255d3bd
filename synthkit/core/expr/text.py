"""The text filters of this project: what counts as a mention, an echo, a dangling pronoun.

All work on the normal form of `normal.py`: `mentions` takes about 1 us a name on a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from synthkit.core.expr.dates import MONTH
from synthkit.core.expr.figures import figures
from synthkit.core.expr.normal import SPACED, WORD, norm, texts


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
    if at == 0 or not SPACED.match(first):
        return True
    before = text[at - 1]
    if first.isdigit() and before in ".," and at > 1 and text[at - 2].isdigit():
        return False
    return not SPACED.match(before)


def _bounded_right(text: str, end: int, last: str) -> bool:
    """Whether a word may end before `end`."""
    if end >= len(text) or not SPACED.match(last):
        return True
    after = text[end]
    if last.isdigit() and after in ".," and end + 1 < len(text) and text[end + 1].isdigit():
        return False
    return not SPACED.match(after)


def words(text: Any, *, pairs: bool = True) -> set[str]:
    """The word set of a text: words of spaced scripts; of scripts without spaces pairs of neighbours, or characters."""
    found: set[str] = set()
    for each in texts(text):
        for word in WORD.findall(norm(each)):
            if len(word) > 1 and not SPACED.match(word[0]):
                found.update((word[i : i + 2] for i in range(len(word) - 1)) if pairs else word)
            else:
                found.add(word)
    return found


def overlap(text: Any, other: Any, pairs: bool = True) -> float:
    """The share (0..1) of the text's word set that is also in the other's; 0 where the text has no words.

    Words are runs of letters or digits, case-folded; a run of Chinese counts as its pairs of neighbouring characters,
    without `pairs` as its characters, which no change of order hides. Order and repetition do not matter, and no
    word is left out as too common.
    """
    mine = words(text, pairs=pairs)
    return len(mine & words(other, pairs=pairs)) / len(mine) if mine else 0.0


def echoed_in(statement: Any, text: Any) -> bool:
    """Whether a text draws on the statement: it has all of its figures and at least 60 % of its word set."""
    return overlap(statement, text) >= 0.6 and set(figures(statement)) <= set(figures(text))


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
