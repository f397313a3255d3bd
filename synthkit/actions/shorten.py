"""A context that is too long for a model: its oldest responses are shortened, one after another, and counted.

Thoughts and calls stay, for they are what the next decision follows from. A shortened response keeps its beginning and
says how much is gone. The newest response is the last to be shortened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KEPT = 240
"""Characters that a shortened response keeps."""


def shortened(past: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """The steps with the oldest `count` responses that can be shortened cut to their beginning."""
    shown: list[Mapping[str, Any]] = []
    for step in past:
        text = cut(step["response"]) if count else None
        if text is None:
            shown.append(step)
        else:
            shown.append({**step, "response": text})
            count -= 1
    return shown


def longest(past: Sequence[Mapping[str, Any]]) -> int:
    """How many responses can be shortened."""
    return sum(cut(step["response"]) is not None for step in past)


def cut(response: str | None) -> str | None:
    """The beginning of a response, and how much of it is left out; None where that would not be shorter."""
    if response is None:
        return None
    short = f"{response[:KEPT].rstrip()} [... {len(response) - KEPT} characters left out]"
    return short if len(short) < len(response) else None
