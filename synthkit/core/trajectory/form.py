"""The one internal form of a trajectory, whatever form it came in.

A question, an optional system text, and steps of thought, call and response. What a form does not say is none: a
thought is never invented, and what an environment says after the final answer (it may give the verdict away) is left
out. Texts stay as they are; only thoughts, words and answers lose the white space at their ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synthkit.core.errors import SynthkitError

STEP = "{thought: str|none, call: call, response: str|none}"
"""One step, in the out: language."""
COLUMNS: Mapping[str, str] = {
    "question": "str",
    "system": "str|none",
    "steps": f"[{STEP}]",
    "final": "str|none",
    "correct": "bool|none",
}
"""The columns of a trajectory, in the out: language: `final` is the text of the last step's answer, `correct` is J."""

Step = Mapping[str, Any]
"""`{thought, call, response}`; the call as it is stored."""


class Malformed(SynthkitError):
    """What was given is not a trajectory of that form."""

    def __init__(self, place: str, what: str) -> None:
        """`place` names the message, step or line, counted from 1."""
        super().__init__(f"{place}: {what}" if place else what)
        self.place = place
        self.what = what


class Unwritable(SynthkitError):
    """The form cannot hold this trajectory: read back, it would be another one."""


class Trajectory(NamedTuple):
    """A question and what an agent did about it."""

    question: str
    system: str | None
    steps: Sequence[Step]

    @property
    def final(self) -> str | None:
        """The final answer; None where the agent gave none."""
        return self.steps[-1]["call"]["final"] if self.steps else None


def problem(trajectory: Trajectory) -> str | None:
    """What is not as the internal form has it, with its place; None where all is.

    The rules: at least one step; a thought is none or text without white space at its ends; only the last step is a
    final answer, and has no response; every other step has one, the last call may lack it (it was cut off there).
    """
    if not trajectory.question.strip():
        return "there is no question"
    if not trajectory.steps:
        return "there is no step"
    last = len(trajectory.steps)
    for number, step in enumerate(trajectory.steps, 1):
        thought, call, response = step["thought"], step["call"], step["response"]
        if thought is not None and (not thought or thought != thought.strip()):
            return f"step {number}: the thought is blank, or has white space at its ends"
        if call["final"] is not None and number < last:
            return f"step {number}: a final answer before the last step"
        if call["final"] is not None and response is not None:
            return f"step {number}: a response to the final answer"
        if response is None and number < last:
            return f"step {number}: there is no response"
    return None
