"""ReAct: Thought, Action, Observation, numbered or not, as messages (FireAct, also those of ShareGPT) or as one text.

The labels may be bold, or Chinese (思考, 行动, 行动输入, 观察, 最终答案); written, they are English. In one text, what
stands before the labels is the system text if there is a `Question:`, else the question.
An action is `name[input]`, or the lines `Action: name` and `Action Input: ...`; `finish[...]` or `Final Answer:` ends
it, and the observation after that is left out: it tells whether the answer was right. The input is the tool's first
parameter in the toolset (`input` where there is no such tool), or a JSON object of all arguments. Several actions
before one observation are malformed: nobody knows which was carried out. Cannot be held: words to a user, and texts
with a line that looks like a label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from synthkit.core.trajectory import sharegpt
from synthkit.core.trajectory.form import Malformed, Trajectory, Unwritable
from synthkit.core.trajectory.turns import Called, Turns, joined, messages_of, text_of
from synthkit.core.types.find import loads

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset

INPUT = "input"
"""The argument that holds the text in brackets, where no toolset says its name."""
_WORDS = {
    "Question": ("Question", "问题"),
    "Thought": ("Thought", "思考", "想法"),
    "Action Input": ("Action Input", "行动输入", "动作输入"),
    "Action": ("Action", "行动", "动作"),
    "Observation": ("Observation", "观察结果", "观察"),
    "Final Answer": ("Final Answer", "最终答案", "最终回答"),
}
_MEANS = {word: label for label, words in _WORDS.items() for word in words}
_LABEL = re.compile(rf"^[ \t]*(?:\*\*)?({'|'.join(_MEANS)})(?: ?\d+)?(?:\*\*)?[:：](?:\*\*)?[ \t]?", re.MULTILINE)
_ACTION = re.compile(r"\s*([\w.-]+)\[(.*)\]\s*", re.DOTALL)
_FINISH = "finish"


class Block(NamedTuple):
    """What stands under one label."""

    at: str
    label: str
    text: str


def read(value: Any, turns: Turns, toolset: Toolset | None = None) -> None:
    """Tell `turns` what the messages, or the text, hold."""
    if isinstance(value, str):
        _blocks(list(_labelled("line", value)), turns, toolset, whole=True)
        return
    ended = False
    for at, role, text in _messages(value, turns):
        if role == "system":
            turns.system(at, text)
        elif role == "assistant":
            ended = _blocks(list(_labelled(at, text)), turns, toolset)
        elif role in ("user", "tool"):
            if turns.waits:
                turns.respond(at, _without("Observation", text))
            elif not (ended and _without("Observation", text) != text):
                turns.user(at, _without("Question", text))
        else:
            raise Malformed(at, f"the role {role!r} is none of system, user, assistant, tool")


def labels(text: str) -> set[str]:
    """The labels that stand in a text, by their English names."""
    return {_MEANS[match.group(1)] for match in _LABEL.finditer(text)}


def _messages(value: Any, turns: Turns) -> Iterator[tuple[str, Any, str]]:
    """Place, role and text of each message, of ShareGPT's too."""
    shared = value.get("conversations") if isinstance(value, Mapping) else value
    if isinstance(shared, list) and shared and isinstance(shared[0], Mapping) and "from" in shared[0]:
        yield from ((at, sharegpt.ROLES[sender], text) for at, sender, text in sharegpt.messages(value, turns))
    else:
        yield from ((at, each.get("role"), text_of(at, each.get("content"))) for at, each in messages_of(value))


def _without(label: str, text: str) -> str:
    """A text without its label."""
    match = _LABEL.match(text)
    return text[match.end() :] if match and _MEANS[match.group(1)] == label else text


def _labelled(at: str, text: str) -> Iterator[Block]:
    """The blocks of a text, without blank lines between them; what stands before the first has no label.

    In one text the place is the line.
    """
    matches = list(_LABEL.finditer(text))
    before = text[: matches[0].start()] if matches else text
    if before.strip():
        yield Block("line 1" if at == "line" else at, "", before.strip("\r\n"))
    ends = [*(each.start() for each in matches[1:]), len(text)]
    for match, after in zip(matches, ends, strict=False):
        place = f"line {text.count(chr(10), 0, match.start()) + 1}" if at == "line" else at
        yield Block(place, _MEANS[match.group(1)], text[match.end() : after].rstrip("\r\n"))


def _blocks(blocks: list[Block], turns: Turns, toolset: Toolset | None, *, whole: bool = False) -> bool:
    """Tell `turns` what the blocks say; whether the agent gave its final answer.

    `whole`: they are all there is, so the question may be among them.
    """
    thoughts: list[str] = []
    name = ""
    ended = False
    for number, (at, label, text) in enumerate(blocks):
        if ended and label == "Observation":
            continue
        if label == "Question":
            turns.user(at, text)
        elif label in ("", "Thought"):
            if not label and not turns.begun and any(each.label == "Question" for each in blocks):
                turns.system(at, text)
            elif not label and whole and number == 0 and [each.label for each in blocks[1:2]] == ["Thought"]:
                turns.user(at, text)
            else:
                thoughts.append(text)
        elif label == "Observation":
            turns.respond(at, text)
        else:
            if label == "Action" and blocks[number + 1 : number + 2] and blocks[number + 1].label == "Action Input":
                name = text.strip()
                continue
            if turns.waits or ended:
                raise Malformed(at, "a second action before the observation of the first")
            made = _action(at, text, toolset) if label == "Action" else _input(at, label, name, text, toolset)
            if isinstance(made, str):
                turns.answer(at, joined(*thoughts), made)
                ended = True
            else:
                turns.call(at, [made._replace(thought=joined(*thoughts))])
            thoughts = []
    if thoughts:
        raise Malformed(blocks[-1].at, "a thought without an action")
    return ended


def _action(at: str, text: str, toolset: Toolset | None) -> Called | str:
    """`name[input]` as a call, or as the final answer."""
    match = _ACTION.fullmatch(text)
    if not match:
        raise Malformed(at, f"the action is not name[input]: {text.strip()[:80]!r}")
    return _call(match.group(1), match.group(2), toolset)


def _input(at: str, label: str, name: str, text: str, toolset: Toolset | None) -> Called | str:
    """The call of `Action:` and `Action Input:`, or a `Final Answer:`."""
    if label == "Final Answer":
        return text
    if not name:
        raise Malformed(at, "an action input without an action")
    return _call(name, text.strip(), toolset)


def _call(name: str, text: str, toolset: Toolset | None) -> Called | str:
    if name.casefold() == _FINISH:
        return text
    tools = {} if toolset is None else toolset.tools
    name = next((each for each in tools if each.casefold() == name.casefold()), name)
    arguments = _object(text)
    if arguments is None:
        parameters = tools[name].parameters.get("properties", {}) if name in tools else {}
        arguments = {next(iter(parameters), INPUT): text}
    return Called(name, arguments)


def _object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write(trajectory: Trajectory, toolset: Toolset | None = None) -> list[dict[str, Any]]:
    """The messages as FireAct has them."""
    found: list[dict[str, Any]] = []
    if trajectory.system is not None:
        found.append({"role": "system", "content": trajectory.system})
    found.append({"role": "user", "content": _plain(trajectory.question, "the question")})
    for number, step in enumerate(trajectory.steps, 1):
        lines = []
        if step["thought"] is not None:
            lines.append(f"Thought: {_plain(step['thought'], f'step {number}: the thought')}")
        lines.append(f"Action: {_plain(_written(number, step['call'], toolset), f'step {number}: the action')}")
        found.append({"role": "assistant", "content": "\n".join(lines)})
        if step["response"] is not None:
            found.append({"role": "user", "content": f"Observation: {step['response']}"})
    return found


def _written(number: int, call: Mapping[str, Any], toolset: Toolset | None) -> str:
    """The action of a call."""
    if call["say"] is not None:
        raise Unwritable(f"step {number}: ReAct has no words to a user")
    if call["final"] is not None:
        return f"{_FINISH}[{call['final']}]"
    arguments = call["arguments"]
    texts = [value for value in arguments.values() if isinstance(value, str)]
    if len(arguments) == len(texts) == 1:
        made = _call(call["name"], texts[0], toolset)
        if isinstance(made, Called) and made.arguments == arguments and made.name == call["name"]:
            return f"{call['name']}[{texts[0]}]"
    text = json.dumps(arguments, ensure_ascii=False)
    made = _call(call["name"], text, toolset)
    if not _ACTION.fullmatch(f"{call['name']}[]") or isinstance(made, str) or made.name != call["name"]:
        raise Unwritable(f"step {number}: {call['name']!r} cannot be the name of an action")
    return f"{call['name']}[{text}]"


def _plain(text: str, what: str) -> str:
    if match := _LABEL.search(text):
        raise Unwritable(f"{what} has a line that begins with {match.group().strip()!r}")
    return text
