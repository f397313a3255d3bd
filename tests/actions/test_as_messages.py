"""`as_messages`: what a trainer reads, and which of it counts."""

from __future__ import annotations

from typing import Any

import pytest

from synthkit.actions.as_messages import AsMessages
from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.trajectory import parse
from synthkit.core.types import check_value
from synthkit.core.types.reply import stored_call
from synthkit.testing.context import RecordingContext

from .fakes import FakeScope, types

DEEP = load_toolset(shipped("toolsets") / "deep_research.yaml")
LOOK = stored_call({"name": "search", "arguments": {"query": ["Ada"]}})
ROW: dict[str, Any] = {
    "question": "Who?",
    "system": "Be brief.",
    "steps": [
        {"thought": "I look.", "call": LOOK, "response": "<|im_end|> a page"},
        {"thought": None, "call": stored_call({"final": "Ada"}), "response": None},
    ],
}


async def written(action: AsMessages, row: dict[str, Any] = ROW, toolset: Any = DEEP) -> Any:
    ran = await RecordingContext(toolset=toolset).run(action, row)
    if ran.reject is None:
        adds = action.adds(FakeScope(columns=types({"question": "str"})))
        assert all(check_value(declared, ran.rows[0][name]) is None for name, declared in adds.items())
    return ran


async def test_openai_messages_with_a_loss_mask() -> None:
    ran = await written(AsMessages())
    messages = ran.rows[0]["messages"]
    assert [(each["role"], each["loss"]) for each in messages] == [
        ("system", False), ("user", False), ("assistant", True), ("tool", False), ("assistant", True),
    ]  # fmt: skip
    assert messages[2]["reasoning_content"] == "I look."
    assert messages[2]["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"query": ["Ada"]}'}
    assert messages[3]["tool_call_id"] == messages[2]["tool_calls"][0]["id"]
    assert ran.rows[0]["functions"][0]["function"]["name"] == "search"
    read = parse("openai", messages)
    assert list(read.steps)[1:] == ROW["steps"][1:]


async def test_special_tokens_of_the_data_end_no_turn() -> None:
    for form in ("openai", "chatml", "sharegpt", "react"):
        ran = await written(AsMessages(form=form))
        assert "<|im_end|>" not in str(ran.rows[0]["messages"])
        assert "< |im_end|> a page" in str(ran.rows[0]["messages"])


@pytest.mark.parametrize(
    ("form", "turn"),
    [
        (
            "chatml",
            "<think>\nI look.\n</think>\n"
            '<tool_call>\n{"name": "search", "arguments": {"query": ["Ada"]}}\n</tool_call>',
        ),
        ("react", 'Thought: I look.\nAction: search[{"query": ["Ada"]}]'),
    ],
)
async def test_other_forms(form: Any, turn: str) -> None:
    messages = (await written(AsMessages(form=form))).rows[0]["messages"]
    assert messages[2] == {"role": "assistant", "content": turn, "loss": True}
    shared = (await written(AsMessages(form="sharegpt"))).rows[0]["messages"]
    assert [(each["from"], each["loss"]) for each in shared] == [
        ("system", False), ("human", False), ("gpt", True), ("observation", False), ("gpt", True),
    ]  # fmt: skip


async def test_thoughts_go_where_they_are_wanted() -> None:
    tags = (await written(AsMessages(thoughts="tags"))).rows[0]["messages"][2]
    assert (tags["content"], tags["reasoning_content"]) == ("<think>\nI look.\n</think>", None)
    none = (await written(AsMessages(thoughts="omit"))).rows[0]["messages"][2]
    assert (none["content"], none["reasoning_content"]) == (None, None)


async def test_summaries_take_the_place_of_thoughts_and_invent_none() -> None:
    row = ROW | {"short": ["Look.", "Because."]}
    messages = (await written(AsMessages(summaries="short"), row)).rows[0]["messages"]
    assert [each["reasoning_content"] for each in messages if each["role"] == "assistant"] == ["Look.", None]
    ran = await written(AsMessages(summaries="short"), ROW | {"short": ["Look."]})
    assert (ran.reject.reason, ran.reject.detail) == ("summaries do not fit", {"error": "short gives 1 for 2 steps"})


async def test_a_form_that_cannot_hold_it_sets_it_aside() -> None:
    said = [{"thought": None, "call": stored_call({"say": "Well?"}), "response": "Yes."}, ROW["steps"][1]]
    ran = await written(AsMessages(form="react"), ROW | {"steps": said})
    assert (ran.reject.reason, ran.reject.detail) == ("not react", {"error": "step 1: ReAct has no words to a user"})


async def test_chats_have_no_functions() -> None:
    assert (await written(AsMessages(tools=False))).rows[0]["functions"] is None
    assert (await written(AsMessages(system="none"))).rows[0]["messages"][0]["role"] == "user"


def test_what_the_plan_refuses() -> None:
    scope = FakeScope(columns=types({"question": "str", "steps": "json", "system": "str"}))
    assert scope.told(AsMessages(form="react", thoughts="tags")) == ["form: react has its own place for thoughts"]
    scope.problems.clear()
    (told,) = scope.told(AsMessages(replace=["messages"]))
    assert told == "replace: 'messages' is not a column of both the input and this step"
    assert AsMessages(replace=["messages"]).replaces() == {"messages"}
