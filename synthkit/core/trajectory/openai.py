"""OpenAI's chat messages, with `tool_calls`.

The thought is `reasoning_content` (or `reasoning`), a leading `<think>...</think>`, and, in a message that calls a
tool, its text: it was not a turn to the user. Nor was a message right before one that calls: both are one turn, as are
calls in messages one after another. Responses find their call by `tool_call_id`, else by `name`, else by order.
Written, each step is a message of its own, so parallel calls come back one after another. Cannot be held: words that
nobody replied to (they come back as the final answer), and words with `<think>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from synthkit.core.trajectory.form import Malformed, Trajectory, Unwritable
from synthkit.core.trajectory.tags import tagged
from synthkit.core.trajectory.turns import Called, Turns, called, id_of, joined, messages_of, text_of

Thoughts = Literal["field", "tags", "omit"]
"""Where thoughts are written: in `reasoning_content`, in `<think>` tags before the text, or nowhere."""


def read(value: Any, turns: Turns) -> None:
    """Tell `turns` what the messages hold."""
    messages = messages_of(value)
    turn = _Turn()
    for (at, message), (_, after) in zip(messages, [*messages[1:], ("", {})], strict=True):
        role = message.get("role")
        text = text_of(at, message.get("content"))
        if role in ("system", "developer"):
            turns.system(at, text)
        elif role == "user":
            turns.user(at, text)
        elif role in ("tool", "function"):
            name = message.get("name")
            turns.respond(at, text, id_of(message.get("tool_call_id")), name if isinstance(name, str) else None)
        elif role == "assistant":
            goes_on = after.get("role") == "assistant" and bool(after.get("tool_calls") or after.get("function_call"))
            _agent(at, message, text, turn, goes_on, turns)
        else:
            raise Malformed(at, f"the role {role!r} is none of system, developer, user, assistant, tool")


@dataclass
class _Turn:
    """What the agent said and called in messages that go on in the next."""

    said: list[str | None] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)


def _agent(at: str, message: Mapping[str, Any], text: str, turn: _Turn, goes_on: bool, turns: Turns) -> None:
    """An assistant's message; `goes_on`: the next one is of the same turn, and calls."""
    reasoning = text_of(at, message.get("reasoning_content") or message.get("reasoning"))
    thought, words = _split(at, text)
    calls = calls_of(at, message)
    if calls:
        turn.said += [reasoning, thought, words]
        turn.calls += [calls[0]._replace(thought=joined(*turn.said)), *calls[1:]]
        turn.said = []
        if not goes_on:
            turns.call(at, turn.calls)
            turn.calls = []
    elif goes_on:
        turn.said += [reasoning, thought, words]
    else:
        turns.speak(at, joined(reasoning, thought), words)


def calls_of(at: str, message: Mapping[str, Any]) -> list[Called]:
    """The calls of a message: `tool_calls`, with `function` or without it, or the older `function_call`."""
    made = message.get("tool_calls") or []
    if not isinstance(made, list):
        raise Malformed(at, "tool_calls is not a list")
    if not made and message.get("function_call"):
        made = [{"function": message["function_call"]}]
    found = []
    for call in made:
        function = call.get("function", call if "name" in call else None) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise Malformed(at, "a tool call without `function`")
        found.append(called(at, function, call.get("id")))
    return found


def write(trajectory: Trajectory, thoughts: Thoughts = "field") -> list[dict[str, Any]]:
    """The messages; ids of calls are `call_1`, `call_2`, ... by step."""
    found: list[dict[str, Any]] = []
    if trajectory.system is not None:
        found.append({"role": "system", "content": trajectory.system})
    found.append({"role": "user", "content": trajectory.question})
    for number, step in enumerate(trajectory.steps, 1):
        call, response = step["call"], step["response"]
        words = call["final"] if call["final"] is not None else call["say"]
        found.append(_message(number, step["thought"], call, words, thoughts))
        if response is not None and words is not None:
            found.append({"role": "user", "content": response})
        elif response is not None:
            found.append({"role": "tool", "tool_call_id": f"call_{number}", "content": response})
    return found


def _message(
    number: int, thought: str | None, call: Mapping[str, Any], words: str | None, thoughts: Thoughts
) -> dict[str, Any]:
    """One turn of the agent."""
    if words is not None and ("</think>" in words or words.lstrip().startswith("<think>")):
        raise Unwritable(f"step {number}: the words hold <think> or </think>")
    message: dict[str, Any] = {"role": "assistant", "content": words}
    if thought is not None and thoughts == "field":
        message["reasoning_content"] = thought
    elif thought is not None and thoughts == "tags":
        message["content"] = tagged("think", thought, f"step {number}: the thought") + (f"\n\n{words}" if words else "")
    if words is None:
        arguments = json.dumps(call["arguments"], ensure_ascii=False)
        function = {"name": call["name"], "arguments": arguments}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
    return message


def _split(at: str, text: str) -> tuple[str | None, str]:
    """The thought at the beginning of a text, and the rest; a chat template may have opened it in the prompt."""
    before, closed, rest = text.partition("</think>")
    opened = before.lstrip().startswith("<think>")
    if not closed:
        if opened:
            raise Malformed(at, "<think> is not closed")
        return None, text
    if not opened and "<think>" in before:
        return None, text
    return before.lstrip().removeprefix("<think>"), rest
