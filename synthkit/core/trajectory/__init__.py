"""Trajectories: five forms, and one internal form between them.

`parse` and `write` know the forms by name; what a form holds, and what it cannot hold, stands in its own module.
Written and read again, a trajectory is the same one, or `write` says that the form cannot hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from synthkit.core.trajectory import chatml, openai, react, sharegpt, sweagent
from synthkit.core.trajectory.detect import detect
from synthkit.core.trajectory.form import COLUMNS, STEP, Malformed, Step, Trajectory, Unwritable, problem
from synthkit.core.trajectory.turns import Turns
from synthkit.core.types.find import loads

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset

Form = Literal["openai", "chatml", "sharegpt", "sweagent", "react"]
"""The forms a trajectory can have."""
FORMS: tuple[Form, ...] = get_args(Form)


def parse(
    form: Form | Literal["auto"],
    value: Any,
    *,
    say: bool = False,
    question: str | None = None,
    toolset: Toolset | None = None,
) -> Trajectory:
    """The trajectory in `value`: messages, an object or text, whichever the form has, or the JSON text of these.

    `say`: the agent may talk with a user. `question` replaces what the user says first. `toolset` gives a ReAct action
    the name of its argument, and texts in `<parameter=...>` their types. Malformed says what is wrong, and where.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = loads(value)
        except ValueError as error:
            raise Malformed("", f"not JSON: {error}") from None
    turns = Turns(say=say, question=question, toolset=toolset)
    match detect(value) if form == "auto" else form:
        case "openai":
            openai.read(value, turns)
        case "chatml":
            chatml.read(value, turns)
        case "sharegpt":
            sharegpt.read(value, turns)
        case "sweagent":
            sweagent.read(value, turns)
        case _:
            react.read(value, turns, toolset)
    return turns.end()


def write(form: Form, trajectory: Trajectory, *, toolset: Toolset | None = None) -> Any:
    """The trajectory in a form; Unwritable where the form cannot hold it."""
    match form:
        case "openai":
            return openai.write(trajectory)
        case "chatml":
            return chatml.write(trajectory)
        case "sharegpt":
            return sharegpt.write(trajectory)
        case "sweagent":
            return sweagent.write(trajectory)
        case _:
            return react.write(trajectory, toolset)


__all__ = [
    "COLUMNS",
    "FORMS",
    "STEP",
    "Form",
    "Malformed",
    "Step",
    "Trajectory",
    "Unwritable",
    "chatml",
    "detect",
    "openai",
    "parse",
    "problem",
    "react",
    "sharegpt",
    "sweagent",
    "write",
]
