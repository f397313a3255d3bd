"""SWE-agent's `.traj`: `history` (messages with `thought`, `action`, `tool_calls`), or `trajectory` (steps).

Without function calling an action is a line for the shell: a call of `bash` with `{"command": ...}`. Demonstrations
(`is_demo`) are left out. The closing `submit` is a call like any other. Written is the `history` with tool calls.
Cannot be held: words to a user, and a final answer, for the agent ends by a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthkit.core.trajectory import openai
from synthkit.core.trajectory.form import Malformed, Trajectory, Unwritable
from synthkit.core.trajectory.turns import Called, Turns, id_of, messages_of, text_of

SHELL = "bash"
"""The tool of an action without a tool call."""


def read(value: Any, turns: Turns) -> None:
    """Tell `turns` what the file's object, its `history` or its `trajectory` holds."""
    if isinstance(value, Mapping):
        found = value.get("history") or value.get("trajectory")
        if found is None:
            raise Malformed("", "there is neither `history` nor `trajectory`")
        value = found
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and "role" not in value[0]:
        _steps(value, turns)
    else:
        _history(value, turns)


def _history(value: Any, turns: Turns) -> None:
    for at, message in messages_of(value):
        if message.get("is_demo"):
            continue
        role = message.get("role")
        text = text_of(at, message.get("content"))
        if role == "system":
            turns.system(at, text)
        elif role == "assistant":
            calls = openai.calls_of(at, message)
            thought, action = message.get("thought"), message.get("action")
            if calls or action:
                _call(at, text if thought is None else text_of(at, thought), calls or [_shell(at, action)], turns)
            else:
                turns.speak(at, None, text)
        elif role in ("user", "tool"):
            if turns.waits or role == "tool":
                ids = message.get("tool_call_ids")
                named = ids[0] if isinstance(ids, list) and ids else message.get("tool_call_id")
                turns.respond(at, text, id_of(named))
            else:
                turns.user(at, text)
        else:
            raise Malformed(at, f"the role {role!r} is none of system, user, assistant, tool")


def _steps(value: Any, turns: Turns) -> None:
    """The list `trajectory`: steps of thought, action and observation."""
    for number, (_, step) in enumerate(messages_of(value), 1):
        at = f"step {number}"
        calls = openai.calls_of(at, step) or [_shell(at, step.get("action"))]
        _call(at, text_of(at, step.get("thought")), calls, turns)
        if step.get("observation") is not None:
            turns.respond(at, text_of(at, step["observation"]))


def _call(at: str, thought: str, calls: list[Called], turns: Turns) -> None:
    turns.call(at, [calls[0]._replace(thought=thought), *calls[1:]])


def _shell(at: str, action: Any) -> Called:
    if not isinstance(action, str) or not action.strip():
        raise Malformed(at, "there is no action")
    return Called(SHELL, {"command": action.strip("\n")})


def write(trajectory: Trajectory) -> dict[str, Any]:
    """An object with the `history`."""
    for number, step in enumerate(trajectory.steps, 1):
        if step["call"]["name"] is None:
            raise Unwritable(f"step {number}: SWE-agent's form has only tool calls")
    history: list[dict[str, Any]] = []
    for message in openai.write(trajectory):
        kind = {"system": "system_prompt", "assistant": "action"}.get(message["role"], "observation")
        thought = message.pop("reasoning_content", None) or ""
        if message["role"] == "assistant":
            function = message["tool_calls"][0]["function"]
            action = f"{function['name']} {function['arguments']}"
            message |= {"content": thought, "thought": thought, "action": action}
        elif message["role"] == "tool":
            message["tool_call_ids"] = [message.pop("tool_call_id")]
        history.append({**message, "agent": "main", "message_type": kind})
    return {"history": history}
