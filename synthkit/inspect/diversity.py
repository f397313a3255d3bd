"""How varied the rows of one question are: K plans that say the same are one plan.

Queries are compared by runs of two words (of Chinese, characters), so that another order of the same words counts as
variety and the same words about it do not hide a copy. Rows are read once; of a question its digest is kept, and of
its calls the tools, or the digests of their word pairs.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import combinations, pairwise
from typing import Any

from synthkit.core.expr.normal import SPACED, WORD, norm
from synthkit.core.ids import Id, digest
from synthkit.inspect.choices import Rows


def tools_per_question(rows: Rows) -> float | None:
    """The mean number of different tools that the rows of one question call; a final answer counts as a tool."""
    tools: dict[Id, set[str | None]] = defaultdict(set)
    for question, call in _calls(rows):
        tools[question].add(call["name"])
    return sum(map(len, tools.values())) / len(tools) if tools else None


def plans_alike(rows: Rows) -> float | None:
    """The mean share (0..1) of word pairs that the calls of two rows of one question have in common.

    None where no question has two rows with a tool call.
    """
    queries: dict[Id, list[array[int]]] = defaultdict(list)
    for question, call in _calls(rows):
        if call["name"]:
            queries[question].append(array("Q", _word_pairs(call["text"] or "")))
    means = []
    for each in queries.values():
        texts = [set(pairs) for pairs in each]
        shares = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in combinations(texts, 2)]
        if shares:
            means.append(sum(shares) / len(shares))
    return sum(means) / len(means) if means else None


def _calls(rows: Rows) -> Iterator[tuple[Id, Mapping[str, Any]]]:
    return ((digest(row["question"]), row["call"]) for row in rows if row["call"] is not None)


def _word_pairs(text: str) -> set[int]:
    """Runs of two words, each a number; of one word, the word."""
    found = [part for word in WORD.findall(norm(text)) for part in ([word] if SPACED.match(word[0]) else word)]
    runs = pairwise(found) if len(found) > 1 else ((word,) for word in found)
    return {int.from_bytes(blake2b(" ".join(run).encode(), digest_size=8).digest()) for run in runs}
