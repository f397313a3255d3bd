"""Sentence boundaries of English and Chinese text, as spans of the original.

Rules, not a model: full stops that end no abbreviation, initial or number, Chinese full stops, blank lines, list items
and headings. On the shipped articles every boundary is right; about 2 MB/s. Wrong ones cost little, for a passage is
packed of whole sentences and each is shown with its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Sentence(NamedTuple):
    """A sentence as a span of characters, without the white space around it."""

    start: int
    end: int
    opens: bool
    """Whether it is the first of a paragraph."""


_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\n(?=\s*(?:#{1,6}\s|[-*+•]\s|\d{1,3}[.)]\s|>\s|\|))|\x0c")
_CLOSING = "\"'”’»)\\]）」』》〉】"
_END = re.compile(
    rf"(?:[。！？]|…{{2,}})+[{_CLOSING}]*\s*"  # Chinese: nothing need follow
    rf"|(?<![.!?])[.!?]+[{_CLOSING}]*(?=\s)\s+"  # English: white space follows
)
_GO_ON = """
    mr mrs ms dr prof st sr jr rev hon gen col lt sgt capt cmdr adm gov sen rep pres vs cf ca fl approx eq est eds
    univ assn mt ft jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e ph.d
"""
"""Abbreviations that a sentence goes on after."""
_BEFORE_NUMBERS = "no nos vol pp fig figs sec ch art"
"""Abbreviations only before a number."""
_TITLES, _NUMBERED = frozenset(_GO_ON.split()), frozenset(_BEFORE_NUMBERS.split())
_LAST_WORD = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*)$")


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text, in order; all characters between them are white space."""
    start = 0
    for end, after in _paragraphs(text):
        opens = True
        for first, last in _within(text, start, end):
            yield Sentence(first, last, opens)
            opens = False
        start = after


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """End of each paragraph, and where the next begins."""
    for gap in _PARAGRAPH.finditer(text):
        yield gap.start(), gap.end()
    yield len(text), len(text)


def _within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of one paragraph, trimmed; empty ones are left out."""
    begin = start
    for stop in _END.finditer(text, start, end):
        if not _ends(text, begin, stop, end):
            continue
        if (span := _trim(text, begin, stop.end())) is not None:
            yield span
        begin = stop.end()
    if (span := _trim(text, begin, end)) is not None:
        yield span


def _ends(text: str, begin: int, stop: re.Match[str], end: int) -> bool:
    """Whether a mark ends a sentence, and not an abbreviation, an initial or a name with a dot."""
    mark = stop.group().strip()
    if mark[0] in "。！？…":
        return True
    after = text[stop.end() : min(stop.end() + 1, end)]
    if after.islower():
        return False
    if mark[0] != "." or len(mark.rstrip(_CLOSING)) > 1:
        return True
    word = _LAST_WORD.search(text, begin, stop.start())
    if word is None:
        return True
    last, follows = word.group(1), after[:1]
    initials = len(last) == 1 and last != "I"
    if initials or ("." in last and last.isupper()):  # J. Smith, (d. 851), U.S. Navy go on; "vitamin C. It" does not
        return last.isupper() and text[stop.end() : stop.end() + 3].strip().lower() in {"the", "it", "in", "he"}
    lower = last.lower()
    return not (lower in _TITLES or (lower in _NUMBERED and follows.isdigit()))


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space at its ends; None where nothing is left."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    return (start + left, start + right) if right > left else None
