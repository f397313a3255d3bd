"""Made-up documents of 1.1 KB with planted near copies whose Jaccard is known, and the score of a result on them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORDS = 5
THRESHOLD = 0.8
_COPIES = 5
"""One document in so many is a copy of the one before, with some words replaced."""


@dataclass(frozen=True)
class Planted:
    """A copy, the document it was made from, and the exact Jaccard of their 5-word shingles."""

    first: int
    copy: int
    jaccard: float


@dataclass(frozen=True)
class Score:
    """What was dropped, against the pairs at or above the threshold."""

    recall: float
    precision: float


def name(number: int) -> str:
    """The id of a document: 32 digits that ascend with its number."""
    return f"{number:032x}"


def write(path: Path, rows: int) -> list[Planted]:
    """Write `rows` documents, an {id, text} each line."""
    planted: list[Planted] = []
    with path.open("w") as file:
        for number, text, pair in _documents(rows):
            file.write(json.dumps({"id": name(number), "text": text}) + "\n")
            if pair is not None:
                planted.append(pair)
    return planted


def score(planted: list[Planted], dropped: set[str]) -> Score:
    """A pair at or above the threshold is found where one of the two was dropped, whichever."""
    truth = [{name(pair.first), name(pair.copy)} for pair in planted if pair.jaccard >= THRESHOLD]
    right = dropped & set().union(*truth)
    return Score(sum(bool(pair & dropped) for pair in truth) / len(truth), len(right) / max(1, len(dropped)))


def _documents(rows: int) -> Iterator[tuple[int, str, Planted | None]]:
    rng = random.Random(7)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(30_000)]
    words: list[str] = []
    for number in range(rows):
        if number % _COPIES:
            words = rng.choices(vocabulary, k=rng.randint(120, 220))
            yield number, " ".join(words), None
            continue
        if not words:
            words = rng.choices(vocabulary, k=170)
            yield number, " ".join(words), None
            continue
        copy = list(words)
        for _ in range(rng.randint(0, 11)):
            copy[rng.randrange(len(copy))] = rng.choice(vocabulary)
        yield number, " ".join(copy), Planted(number - 1, number, _jaccard(words, copy))


def _jaccard(one: list[str], other: list[str]) -> float:
    sets = [{tuple(each[at : at + WORDS]) for at in range(len(each) - WORDS + 1)} for each in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])
