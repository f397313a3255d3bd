"""The words of a text in plain Python, for where they are shown; `shingles` finds the same ones, and faster."""

from __future__ import annotations

import re

from synthkit.actions.near.characters import CJK, folded

_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+(?:[.,]\d+)*")
_DIGIT = re.compile(r"\d")
_MONTH = re.compile(
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?"
)


def words(text: str, *, figures: bool = True) -> list[str]:
    """Words in folded case, a Chinese character each; without `figures` numbers and months are all alike."""
    found = _TOKEN.findall(folded(text))
    if figures:
        return found
    return ["#" if _DIGIT.search(word) or _MONTH.fullmatch(word) else word for word in found]
