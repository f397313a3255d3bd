"""Tells what a thinking model thought from what it replied."""

from __future__ import annotations

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"


def split_reasoning(text: str, thinking: bool | None, finish: Literal["stop", "length"]) -> tuple[str, str | None]:
    """The reply, and the reasoning before `</think>`.

    With thinking switched off the text is left alone. A thinking model that ran out of tokens before `</think>` has
    not replied yet: the reply is empty, all of it is reasoning. Templates often open the tag in the prompt, so
    `<think>` may be missing.
    """
    if thinking is False:
        return text, None
    before, tag, after = text.partition(CLOSE)
    if tag:
        return after.lstrip("\n"), before.removeprefix(OPEN).strip("\n")
    if text.lstrip().startswith(OPEN) or (thinking and finish == "length"):
        return "", text.lstrip().removeprefix(OPEN).strip("\n")
    return text, None
