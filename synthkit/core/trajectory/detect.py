"""Which form it is, by its shape; what could be several is told apart by marks that only one of them has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from synthkit.core.trajectory.form import Malformed
from synthkit.core.trajectory.tags import _TAG
from synthkit.core.trajectory.turns import text_of

_REACT = re.compile(r"^[ \t]*(?:Thought|Action|Final Answer)(?: \d+)?:", re.MULTILINE)


def detect(value: Any) -> str:
    """The name of the form; Malformed where it is none of them."""
    if isinstance(value, str):
        if "<|im_start|>" in value or _TAG.search(value):
            return "chatml"
        if _REACT.search(value):
            return "react"
    if isinstance(value, Mapping):
        if "history" in value or "trajectory" in value:
            return "sweagent"
        if "conversations" in value:
            return "sharegpt"
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        return _of_messages(value)
    raise Malformed("", "the form cannot be told; write `format:` and one of openai, chatml, sharegpt, sweagent, react")


def _of_messages(messages: list[Mapping[str, Any]]) -> str:
    if "from" in messages[0]:
        return "sharegpt"
    if any("message_type" in each or "is_demo" in each or "role" not in each for each in messages):
        return "sweagent"
    if any(each.get("tool_calls") or each.get("reasoning_content") or each["role"] == "tool" for each in messages):
        return "openai"
    texts = [text_of("", each.get("content")) for each in messages if each["role"] == "assistant"]
    if any(tag.group(2) != "think" for text in texts for tag in _TAG.finditer(text)):
        return "chatml"
    return "react" if any(_REACT.search(text) for text in texts) else "openai"
