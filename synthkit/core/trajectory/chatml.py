"""ChatML: roles, and `<think>`, `<tool_call>`, `<tool_response>`, `<answer>` in the texts.

As a list of messages, as text with `<|im_start|>` and `<|im_end|>`, or as one text of tags alone (then the question is
given from outside). Text beside a call or an answer is part of the thought; bare text is words. Responses stand
in a user's (or tool's) turn, or after the call in the agent's own. The first user turn is the question as a
whole, for prompts show examples of the tags. Cannot be held: a text with its own closing tag, words with any tag,
words that nobody replied to (they come back as the final answer).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from synthkit.core.trajectory.form import Malformed, Trajectory, Unwritable
from synthkit.core.trajectory.tags import calls_of, inner, segments, tagged, tagged_call, untagged
from synthkit.core.trajectory.turns import Called, Turns, joined, messages_of, text_of

_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)\s*", re.DOTALL)
_OPEN = "<tool_response>"


def read(value: Any, turns: Turns) -> None:
    """Tell `turns` what the messages, or the text, hold."""
    if isinstance(value, str) and "<|im_start|>" not in value:
        turns_of_agent("the text", value, turns)
        return
    for at, message in messages_of(_parsed(value) if isinstance(value, str) else value):
        reasoning = text_of(at, message.get("reasoning_content") or message.get("reasoning"))
        name = message.get("name")
        text = text_of(at, message.get("content"))
        turn(at, message.get("role"), text, turns, reasoning, name if isinstance(name, str) else None)


def turn(at: str, role: Any, text: str, turns: Turns, reasoning: str = "", name: str | None = None) -> None:
    """One message; `name` is that of the tool which responds."""
    if role in ("system", "developer"):
        turns.system(at, text)
    elif role == "user":
        if (turns.begun and _OPEN in text) or text.lstrip().startswith(_OPEN):
            turns_of_agent(at, text, turns, user=True)
        elif turns.waits_for_words:
            turns.respond(at, text)
        else:
            turns.user(at, text)
    elif role in ("tool", "function"):
        if text.lstrip().startswith(_OPEN):
            turns_of_agent(at, text, turns, user=True)
        else:
            turns.respond(at, text, name=name)
    elif role == "assistant":
        turns_of_agent(at, text, turns, reasoning)
    else:
        raise Malformed(at, f"the role {role!r} is none of system, user, assistant, tool")


def turns_of_agent(at: str, text: str, turns: Turns, reasoning: str = "", *, user: bool = False) -> None:
    """What the tags of one message say; with `user`, bare text is the user's."""
    thoughts: list[str] = [reasoning] if reasoning.strip() else []
    words: list[str] = []
    calls: list[Called] = []

    def settle() -> None:
        """Make the calls that stand side by side."""
        if calls:
            turns.call(at, calls)
            calls.clear()

    for tag, piece in segments(at, text):
        if tag == "tool_call":
            made = calls_of(at, piece)
            calls += [made[0]._replace(thought=joined(*thoughts, *words)), *made[1:]]
            thoughts, words = [], []
        elif tag == "tool_response":
            if thoughts or words:
                raise Malformed(at, "a tool response without a call")
            settle()
            turns.respond(at, inner(piece))
        elif tag == "answer":
            settle()
            turns.answer(at, joined(*thoughts, *words), inner(piece))
            thoughts, words = [], []
        elif tag == "think":
            thoughts.append(inner(piece))
        elif user:
            turns.user(at, piece)
        else:
            words.append(piece)
    settle()
    if thoughts or words or not text.strip():
        turns.speak(at, joined(*thoughts), joined(*words) or "")


def write(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The messages, role and content."""
    found: list[dict[str, Any]] = []
    if trajectory.system is not None:
        found.append({"role": "system", "content": trajectory.system})
    if trajectory.question.lstrip().startswith(_OPEN):
        raise Unwritable(f"the question begins with {_OPEN}")
    found.append({"role": "user", "content": trajectory.question})
    for number, step in enumerate(trajectory.steps, 1):
        found.append({"role": "assistant", "content": turn_text(number, step)})
        if step["response"] is not None:
            found.append({"role": "user", "content": response_text(number, step)})
    return found


def turn_text(number: int, step: Mapping[str, Any]) -> str:
    """The agent's turn of a step: its thought, and its call, words or answer."""
    call, thought = step["call"], step["thought"]
    said = [tagged("think", thought, f"step {number}: the thought")] if thought is not None else []
    if call["final"] is not None:
        said.append(tagged("answer", call["final"], f"step {number}: the answer"))
    elif call["say"] is not None:
        said.append(untagged(call["say"], f"step {number}: what is said"))
    else:
        said.append(tagged_call(call))
    return "\n".join(said)


def response_text(number: int, step: Mapping[str, Any]) -> str:
    """The response of a step: a tool's in its tag, the user's as it is."""
    response: str = step["response"]
    if step["call"]["say"] is None:
        return tagged("tool_response", response, f"step {number}: the response")
    if _OPEN in response:
        raise Unwritable(f"step {number}: the reply holds {_OPEN}")
    return response


def _parsed(text: str) -> list[dict[str, str]]:
    """The messages of a text with `<|im_start|>`."""
    start = text.index("<|im_start|>")
    if text[:start].strip():
        raise Malformed("the text", "something stands before the first <|im_start|>")
    found = []
    while match := _TURN.match(text, start):
        found.append({"role": match.group(1), "content": match.group(2)})
        start = match.end()
    if start < len(text):
        raise Malformed(f"message {len(found) + 1}", "something stands between <|im_end|> and <|im_start|>")
    return found
