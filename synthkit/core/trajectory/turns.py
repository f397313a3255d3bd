"""Steps from the turns of a conversation: the one place that knows in which order things may come.

A form's reader says what it finds (`user`, `call`, `respond`, `speak`, `answer`), each with its place; what may not
come there is Malformed. Several calls of one turn (parallel calls) are a step each, in order, each with what was
said before it: the thought is on the first, and none on the others where nobody thought between them. The agent's last
words, to which nobody replies, are its final answer; words that get a reply are a step that says something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from synthkit.core.trajectory.form import Malformed, Trajectory
from synthkit.core.types.find import loads
from synthkit.core.types.reply import stored_call

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset


class Called(NamedTuple):
    """A call that the agent makes; `id` is what its response will name, where the form has one."""

    name: str
    arguments: dict[str, Any]
    id: str | None = None
    thought: str | None = None
    bare: bool = False
    """Written without types: the arguments are texts, and the response may come as the user's plain words."""


@dataclass
class _Open:
    """A step that waits for its response."""

    at: int
    id: str | None
    name: str | None
    """None for words to the user."""
    bare: bool = False


@dataclass
class Turns:
    """A trajectory in the making."""

    say: bool = False
    """Whether the agent may talk with the user."""
    question: str | None = None
    """Given from outside; what the user says first is then the conversation's beginning all the same."""
    toolset: Toolset | None = None
    """Gives arguments their types, where a form has none."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    _system: list[str] = field(default_factory=list)
    _asked: list[str] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)
    _places: list[str] = field(default_factory=list)
    _answered: bool = False

    @property
    def begun(self) -> bool:
        """Whether the agent has had a turn."""
        return bool(self.steps)

    @property
    def waits(self) -> bool:
        """Whether a call has no response yet."""
        return any(each.name is not None for each in self._open)

    @property
    def waits_for_words(self) -> bool:
        """Whether plain words of the user are the response to a call."""
        return any(each.bare for each in self._open)

    def system(self, at: str, text: str) -> None:
        """What the agent is told before all else."""
        if self._asked or self.steps:
            raise Malformed(at, "a system message after the beginning")
        self._system.append(text)

    def user(self, at: str, text: str) -> None:
        """The question, or the user's reply to what the agent said."""
        if not self.steps:
            self._asked.append(text)
            return
        if self._answered:
            raise Malformed(at, "the user speaks after the final answer")
        if self.waits:
            raise Malformed(at, f"the user speaks before {self._due()} has its response")
        if self._open:
            step = self.steps[self._open.pop().at]
            if not self.say:
                raise Malformed(at, "the user replies: with `say: true` the agent may talk with the user")
            step["response"] = text
        elif self.steps[-1]["call"]["say"] is not None:
            self.steps[-1]["response"] += f"\n\n{text}"
        else:
            raise Malformed(at, "the user speaks where it is the agent's turn")

    def call(self, at: str, calls: Sequence[Called]) -> None:
        """The agent calls one tool, or several side by side."""
        self._may_act(at)
        for call in calls:
            arguments = _typed(call, self.toolset) if call.bare else call.arguments
            self._open.append(_Open(len(self.steps), call.id, call.name, call.bare))
            self._add(at, call.thought, stored_call({"name": call.name, "arguments": arguments}))

    def respond(self, at: str, text: str, id: str | None = None, name: str | None = None) -> None:
        """A tool's response: to the call of that id, else of that tool, else to the first that waits."""
        if not self.waits:
            raise Malformed(at, "a tool response without a call")
        known = [each for each in self._open if each.id is not None]
        found = next((each for each in known if each.id == id), None)
        if id is not None and known and found is None:
            ids = ", ".join(repr(each.id) for each in known)
            raise Malformed(at, f"a tool response to the call {id!r}; waiting for one: {ids}")
        if found is None and name is not None and len(self._open) > 1:
            found = next((each for each in self._open if each.name == name), None)
            if found is None:
                names = ", ".join(repr(each.name) for each in self._open)
                raise Malformed(at, f"a response of the tool {name!r}; waiting for one: {names}")
        found = found or self._open[0]
        self._open.remove(found)
        self.steps[found.at]["response"] = text

    def speak(self, at: str, thought: str | None, words: str) -> None:
        """The agent says something: to the user if a reply comes, else as its final answer."""
        self._may_act(at)
        if not words.strip():
            raise Malformed(at, "the agent neither calls a tool nor says anything")
        self._open.append(_Open(len(self.steps), None, None))
        self._add(at, thought, stored_call({"say": words.strip()}))

    def answer(self, at: str, thought: str | None, text: str) -> None:
        """The agent's final answer, marked as such."""
        self._may_act(at)
        if not text.strip():
            raise Malformed(at, "the final answer is empty")
        self._answered = True
        self._add(at, thought, stored_call({"final": text.strip()}))

    def end(self) -> Trajectory:
        """The trajectory, all in order."""
        if not self.steps:
            raise Malformed("the end", "the agent never acts")
        question = self.question if self.question is not None else "\n\n".join(self._asked)
        if not question.strip():
            raise Malformed("message 1" if self._asked else "", "there is no question; `question:` may give it")
        last = self.steps[-1]
        for each in self._open:
            if each.at < len(self.steps) - 1:
                raise Malformed(self._places[each.at], f"{self._named(each)} has no response")
        if self._open and last["call"]["say"] is not None:
            last["call"] = stored_call({"final": last["call"]["say"]})
        return Trajectory(question, "\n\n".join(self._system) if self._system else None, self.steps)

    def _add(self, at: str, thought: str | None, call: Mapping[str, Any]) -> None:
        self.steps.append({"thought": (thought or "").strip() or None, "call": call, "response": None})
        self._places.append(at)

    def _may_act(self, at: str) -> None:
        """Whether it is the agent's turn."""
        if self._answered:
            raise Malformed(at, "the agent goes on after its final answer")
        if self.waits:
            raise Malformed(at, f"the agent goes on before {self._due()} has its response")
        if self._open:
            raise Malformed(at, "the agent goes on after words to which the user has not replied")
        if not self.steps and not self._asked and self.question is None:
            raise Malformed(at, "the agent acts before there is a question; `question:` may give it")

    def _due(self) -> str:
        return self._named(next(each for each in self._open if each.name is not None))

    def _named(self, step: _Open) -> str:
        return f"the call of {step.name!r}" if step.name is not None else "what the agent says"


def called(at: str, call: Mapping[str, Any], id: Any = None) -> Called:
    """A call as forms have it: `name`, and `arguments` (or `parameters`), an object or its JSON text (empty for none).

    Some servers write that text as JSON once more; it is read twice then.
    """
    name = call.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Malformed(at, "a call without the name of a tool")
    key = "arguments" if "arguments" in call else "parameters"
    if key not in call and (others := sorted(map(str, call.keys() - {"name", "id", "type"}))):
        raise Malformed(at, f"the call of {name!r} has no `arguments` but {', '.join(others)}")
    arguments = call.get(key)
    for _ in range(2):
        if isinstance(arguments, str) and arguments.strip():
            try:
                arguments = loads(arguments)
            except ValueError as error:
                raise Malformed(at, f"the arguments of {name!r} are not JSON: {error}") from None
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise Malformed(at, f"the arguments of {name!r} are not an object")
    return Called(name.strip(), dict(arguments), id_of(id))


def id_of(value: Any) -> str | None:
    """The id of a call: a text, or a number; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _typed(call: Called, toolset: Toolset | None) -> dict[str, Any]:
    """The arguments, those that the tool's schema says are no text read as JSON."""
    tools = {} if toolset is None else toolset.tools
    properties = tools[call.name].parameters.get("properties", {}) if call.name in tools else {}
    found = {}
    for key, text in call.arguments.items():
        schema = properties.get(key)
        kind = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
        found[key] = text
        if "string" not in kind:
            with suppress(ValueError):  # then it stays a text, which the schema refuses
                found[key] = loads(text)
    return found


def joined(*parts: str | None) -> str | None:
    """Texts after one another, a blank line between; None where all are blank."""
    said = [part.strip() for part in parts if part and part.strip()]
    return "\n\n".join(said) if said else None


def text_of(at: str, content: Any) -> str:
    """The text of a message's content: text, or a list of parts of text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Malformed(at, f"the content is not text but a {type(content).__name__}")
    texts = []
    for number, part in enumerate(content, 1):
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise Malformed(at, f"part {number} of the content is not text but {kind!r}")
        texts.append(text)
    return "\n".join(texts)


def messages_of(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The messages of a list, each with its place."""
    if not isinstance(value, list) or not value:
        raise Malformed("", "there are no messages" if value in ([], None) else "the messages are not a list")
    found = []
    for number, message in enumerate(value, 1):
        if not isinstance(message, Mapping):
            raise Malformed(f"message {number}", f"not an object but a {type(message).__name__}")
        found.append((f"message {number}", message))
    return found
