"""ShareGPT: `{from, value}`, with the tags of ChatML.

`human`, `gpt`, `system`, and for tools `function_call` (a call as JSON, or a list of them) and `observation`, as
LLaMA-Factory has them. With ReAct's labels in the agent's turns (ToolBench) it is read as `react`.
What it cannot hold is what ChatML cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from synthkit.core.trajectory import chatml
from synthkit.core.trajectory.form import Malformed, Trajectory
from synthkit.core.trajectory.turns import Turns, messages_of, text_of

CALL = re.compile("<tool_call>|<function=")
ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "function_response": "tool",
}


def read(value: Any, turns: Turns) -> None:
    """Tell `turns` what the conversation holds."""
    for at, sender, text in messages(value, turns):
        if sender == "function_call" and not CALL.search(text):
            thought, closed, call = text.rpartition("</think>")
            text = f"{thought}{closed}<tool_call>{call}</tool_call>"
        chatml.turn(at, ROLES[sender], text, turns)


def messages(value: Any, turns: Turns) -> Iterator[tuple[str, str, str]]:
    """Place, sender and text of each message; of an object with `conversations`, `turns` is told the `system` too."""
    if isinstance(value, Mapping) and "conversations" in value:
        system = value.get("system")
        if isinstance(system, str) and system.strip():
            turns.system("system", system)
        value = value["conversations"]
    for at, message in messages_of(value):
        sender = message.get("from")
        text = text_of(at, message.get("value"))
        if not isinstance(sender, str) or sender not in ROLES:
            raise Malformed(at, f"from {sender!r} is none of {', '.join(ROLES)}")
        yield at, sender, text


def write(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The conversation; a tool's response is an `observation`."""
    found: list[dict[str, Any]] = []
    for message in chatml.write(trajectory):
        sender = {"system": "system", "user": "human", "assistant": "gpt"}[message["role"]]
        if sender == "human" and len(found) > 1 and message["content"].startswith("<tool_response>"):
            sender = "observation"
        found.append({"from": sender, "value": message["content"]})
    return found
