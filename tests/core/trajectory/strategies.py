"""Random trajectories, of plain words or of everything that could be taken for markup."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from synthkit.core.trajectory import Trajectory
from synthkit.core.types.reply import stored_call

PLAIN = [
    "word",
    "Brücke",
    "桥",
    "12,5 %",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    '"',
    "'",
    "\\",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "&",
    "a: b",
]
TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<answer>"]
TAGS += ["<function=a>", "</function>", "<parameter=b>", "</parameter>", "<code>", "</code>"]
LABELS = [
    "Thought: ",
    "\n**Action:** ",
    "\n思考：",
    "\n观察: ",
    "\nThought 1: ",
    "\nAction: a[b]",
    "Action Input:",
    "Observation: ",
    "Question: ",
    "finish[x]",
]
OTHERS = ["</answer>", "<|im_start|>", "<|im_end|>", "Final Answer:", '{"input": "x"}', "\u2028", "\x0b", "###STOP###"]
NASTY = [*PLAIN, *TAGS, *LABELS, *OTHERS]


def texts(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=6).map("".join)


def said(pieces: list[str]) -> st.SearchStrategy[str]:
    """Text that is not blank, without white space at its ends."""
    return texts(pieces).map(str.strip).filter(bool)


names = st.from_regex(r"[a-z][a-zA-Z0-9_.-]{0,10}", fullmatch=True).filter(lambda name: name.casefold() != "finish")


def arguments(pieces: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    leaves = texts(pieces) | st.integers(-(2**53), 2**53) | st.booleans() | st.none() | st.floats(-1e9, 1e9)
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=5
    )
    return st.dictionaries(names | st.just("input"), values, max_size=3)


@st.composite
def trajectories(
    draw: st.DrawFn, pieces: list[str], *, say: bool = True, ends: tuple[str, ...] = ("call", "final")
) -> Trajectory:
    """A trajectory in the internal form; `ends` are the kinds of its last step, the others are calls and words."""
    kinds = draw(st.lists(st.sampled_from(["call", "say"] if say else ["call"]), max_size=4))
    kinds.append(draw(st.sampled_from(ends)))
    steps = []
    for number, kind in enumerate(kinds, 1):
        made: dict[str, Any] = {kind: draw(said(pieces))} if kind != "call" else {}
        call = stored_call(made or {"name": draw(names), "arguments": draw(arguments(pieces))})
        response = None if kind == "final" else draw(texts(pieces))
        if kind == "call" and number == len(kinds) and draw(st.booleans()):
            response = None
        steps.append({"thought": draw(st.none() | said(pieces)), "call": call, "response": response})
    question = draw(texts(pieces).filter(str.strip))
    return Trajectory(question, draw(st.none() | texts(pieces)), steps)
