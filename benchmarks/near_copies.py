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


def write_short(path: Path, rows: int, words: int = 20) -> int:
    """Write `rows` texts of so many words to Parquet; one in five repeats the one before but for its last word."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = ["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(30_000)]
    schema = pa.schema([("_id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as file:
        for first in range(0, rows, 100_000):
            drawn = rng.integers(0, len(vocabulary), (min(100_000, rows - first), words))
            copies = np.arange(_COPIES - 1, len(drawn), _COPIES)
            drawn[copies, :-1] = drawn[copies - 1, :-1]
            texts = [" ".join(vocabulary[at] for at in row) for row in drawn.tolist()]
            ids = [name(first + at) for at in range(len(drawn))]
            file.write(pa.table([ids, texts], schema=schema))
    return rows // _COPIES
