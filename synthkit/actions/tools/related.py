"""Which sentences of a text are about a query: weighted word overlap, the same on every machine.

A word counts the more, the fewer sentences of the text have it (the idf of BM25), and a sentence the less, the longer
it is. Chinese counts by pairs of characters. About 20 us a sentence; no index, no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

from synthkit.core.expr.text import words

_LENGTH = 0.75
"""How much length counts, 0..1; the usual b of BM25."""
_BETWEEN = 5
"""Characters for what stands between two sentences, ` ... ` at most."""


def relevance(sentences: Sequence[str], query: str) -> list[float]:
    """A score for each sentence: 0 where it shares no word with the query, else above 0."""
    wanted = words(query)
    sets = [words(each) for each in sentences]
    having = Counter(word for each in sets for word in each & wanted)
    total = len(sets)
    weight = {word: log(1 + (total - count + 0.5) / (count + 0.5)) for word, count in having.items()}
    mean = sum(map(len, sets)) / total if total else 1.0
    return [
        sum(weight[word] for word in sorted(each & wanted)) / (1 - _LENGTH + _LENGTH * len(each) / mean)
        if each
        else 0.0
        for each in sets
    ]


def best(sentences: Sequence[str], query: str, most: int) -> list[int]:
    """Positions of the most related sentences, in the order of the text, together at most `most` characters.

    At least one where any is related; none where none is.
    """
    scores = relevance(sentences, query)
    chosen: list[int] = []
    room = most
    for at in sorted(range(len(sentences)), key=lambda at: (-scores[at], at)):
        if not scores[at]:
            break
        if not chosen or len(sentences[at]) <= room:
            chosen.append(at)
            room -= len(sentences[at]) + _BETWEEN
    return sorted(chosen)
