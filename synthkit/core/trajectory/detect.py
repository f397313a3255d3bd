"""Which form it is, by its shape; what could be several is told apart by marks that only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthkit.core.trajectory.form import Malformed
from synthkit.core.trajectory.react import labels
from synthkit.core.trajectory.sharegpt import ROLES
from synthkit.core.trajectory.tags import TAG

_SWE = {"message_type", "is_demo", "action"}
_ACTS = {"Thought", "Action", "Final Answer"}


def detect(value: Any) -> str:
    """The name of the form; Malformed where it is none of them."""
    if isinstance(value, str):
        if "<|im_start|>" in value or TAG.search(value):
            return "chatml"
        if labels(value) & _ACTS:
            return "react"
    if isinstance(value, Mapping):
        if "history" in value or "trajectory" in value:
            return "sweagent"
        if "conversations" in value:
            value = value["conversations"]
            return _shared(value) if _all_messages(value) else "sharegpt"
    if _all_messages(value):
        return _shared(value) if "from" in value[0] else _of_messages(value)
    raise Malformed("", "the form cannot be told; write `format:` and one of openai, chatml, sharegpt, sweagent, react")


def _all_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _shared(messages: list[Mapping[str, Any]]) -> str:
    """ShareGPT's messages hold tags, or ReAct."""
    said = [_text(each.get("value")) for each in messages if ROLES.get(str(each.get("from"))) == "assistant"]
    return "react" if any("Action" in labels(text) for text in said) and not _tagged(said) else "sharegpt"


def _of_messages(messages: list[Mapping[str, Any]]) -> str:
    if any("role" not in each or not _SWE.isdisjoint(each) for each in messages):
        return "sweagent"
    if any(each.get("tool_calls") or each.get("function_call") for each in messages):
        return "openai"
    said = [_text(each.get("content")) for each in messages if each["role"] == "assistant"]
    if _tagged(said):
        return "chatml"
    if any(each.get("reasoning_content") or each["role"] == "tool" for each in messages):
        return "openai"
    return "react" if any(labels(text) & _ACTS for text in said) else "openai"


def _tagged(texts: list[str]) -> bool:
    """Whether there are tags but `<think>`, which other forms have too."""
    return any(tag.group(2) != "think" for text in texts for tag in TAG.finditer(text))


def _text(content: Any) -> str:
    """The text of a content; what is none is for the form's reader to name, with its place."""
    if isinstance(content, list):
        return "\n".join(_text(part.get("text")) for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""
