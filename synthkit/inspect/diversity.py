"""How varied the rows of one question are: K plans that say the same are one plan.

Queries are compared by runs of two words (of Chinese, characters), so that another order of the same words counts as
variety and the same words about it do not hide a copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from synthkit.core.expr.normal import SPACED, WORD, norm

Rows = Sequence[Mapping[str, Any]]


def tools_per_question(rows: Rows) -> float | None:
    """The mean number of different tools that the rows of one question call; a final answer counts as a tool."""
    groups = _by_question(rows).values()
    return sum(len({call["name"] for call in calls}) for calls in groups) / len(groups) if groups else None


def plans_alike(rows: Rows) -> float | None:
    """The mean share (0..1) of word pairs that the calls of two rows of one question have in common.

    None where no question has two rows with a tool call.
    """
    means = []
    for calls in _by_question(rows).values():
        texts = [_word_pairs(call["text"] or "") for call in calls if call["name"]]
        shares = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in combinations(texts, 2)]
        if shares:
            means.append(sum(shares) / len(shares))
    return sum(means) / len(means) if means else None


def _by_question(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["call"] is not None:
            groups[row["question"]].append(row["call"])
    return groups


def _word_pairs(text: str) -> set[tuple[str, ...]]:
    """Runs of two words; of one word, the word."""
    found = [part for word in WORD.findall(norm(text)) for part in ([word] if SPACED.match(word[0]) else word)]
    return set(pairwise(found)) if len(found) > 1 else {(word,) for word in found}
