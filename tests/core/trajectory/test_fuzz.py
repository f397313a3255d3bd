"""Anything at all is a trajectory in the internal form, or refused: no other error comes out of a parser."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.trajectory import FORMS, Malformed, parse, problem

from .strategies import NASTY, names, texts

contents = texts(NASTY) | st.none() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts(NASTY)}))
calls = st.lists(
    st.fixed_dictionaries(
        {"function": st.fixed_dictionaries({"name": names, "arguments": st.sampled_from(["{}", '{"a": 1}', "", "x"])})},
        optional={"id": st.sampled_from(["1", "2"])},
    ),
    max_size=2,
)
odd = st.sampled_from([3, [], [3], {}, {"a": 1}, True, ""])
"""What a key may hold that should hold something else."""
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool", "other"]) | odd,
        "content": contents | odd,
        "from": st.sampled_from(["system", "human", "gpt", "function_call", "observation"]) | odd,
        "value": contents,
        "tool_calls": calls | st.none() | odd,
        "tool_call_id": st.sampled_from(["1", "2", None]),
        "tool_call_ids": odd,
        "function_call": odd,
        "thought": contents | odd,
        "action": texts(NASTY) | odd,
        "observation": contents,
        "reasoning_content": contents | odd,
    },
)
begun = st.lists(messages, max_size=6).map(lambda rest: [{"role": "user", "content": "Who?"}, *rest])
anything = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
values: st.SearchStrategy[Any] = st.one_of(
    begun,
    st.lists(messages),
    begun.map(lambda each: {"history": each}),
    st.lists(messages).map(lambda each: {"conversations": each}),
    texts(NASTY),
    anything,
)


@given(value=values, form=st.sampled_from([*FORMS, "auto"]), say=st.booleans(), question=st.none() | st.just("Who?"))
def test_a_trajectory_or_a_reason(value: Any, form: Any, say: bool, question: str | None) -> None:
    try:
        found = parse(form, value, say=say, question=question)
    except Malformed as error:
        assert str(error)
        return
    assert problem(found) is None
