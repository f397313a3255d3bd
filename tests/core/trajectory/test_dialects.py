"""How the five forms are spoken in the wild: one short run for each habit of a public data set or a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synthkit.core.toolset import Toolset
from synthkit.core.trajectory import detect, parse, problem

from .test_forms import ASK, shown

DONE = {"role": "assistant", "content": "Ada"}


def made(*calls: Any, content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def one(name: str, id: Any = None, arguments: Any = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": sender, "value": value} for sender, value in turns]


BOTH = [(None, ("a", {}), "of a"), (None, ("b", {}), "of b")]
FUNCTION = "<function=bash>\n<parameter=command>\nls -l\n</parameter>\n<parameter=n>3</parameter>\n</function>"
CASES: dict[str, tuple[str, Any, list[Any]]] = {
    "responses out of order, ids that are numbers": (
        "openai", [made(one("a", 0), one("b", 1)), tool("of b", tool_call_id=1), tool("of a", tool_call_id=0)], BOTH),
    "responses out of order, named by their tool": (
        "openai", [made(one("a"), one("b")), tool("of b", name="b"), tool("of a", name="a")], BOTH),
    "an id that comes again in the next turn": (
        "openai", [made(one("a", "x")), tool("of a", tool_call_id="x"), made(one("b", "x")),
                   tool("of b", tool_call_id="x")], BOTH),
    "calls in messages of their own": (
        "openai", [made(one("a", "1")), made(one("b", "2")), tool("of a", tool_call_id="1"),
                   tool("of b", tool_call_id="2")], BOTH),
    "words in a message before the call": (
        "openai", [said("I look."), {"role": "assistant", "content": "", "function_call": {"name": "a"}},
                   {"role": "function", "name": "a", "content": "r"}], [("I look.", ("a", {}), "r")]),
    "a call without `function`": (
        "openai", [made({"name": "a", "arguments": {"n": 1}}), tool("r")], [(None, ("a", {"n": 1}), "r")]),
    "arguments that are JSON twice": (
        "openai", [made(one("a", arguments=json.dumps('{"q": "{\\"n\\": 1}"}'))), tool("r")],
        [(None, ("a", {"q": '{"n": 1}'}), "r")]),
    "tags, and responses in the role of the tool": (
        "chatml", [said('<think>\n\n</think>\n<tool_call>{"name": "a"}</tool_call>'), tool("r")],
        [(None, ("a", {}), "r")]),
    "thoughts in a field, calls in tags": (
        "chatml", [said('<tool_call>{"name": "a"}</tool_call>') | {"reasoning_content": "So."}, tool("r")],
        [("So.", ("a", {}), "r")]),
    "words between two calls": (
        "chatml", [said('One. <tool_call>{"name": "a"}</tool_call> Two. <tool_call>{"name": "b"}</tool_call>'),
                   tool("<tool_response>of a</tool_response><tool_response>of b</tool_response>")],
        [("One.", *BOTH[0][1:]), ("Two.", *BOTH[1][1:])]),
    "parameters for arguments": (
        "chatml", [said('<tool_call>{"name": "a", "parameters": {"n": 1}}</tool_call>'), tool("r")],
        [(None, ("a", {"n": 1}), "r")]),
    "a call as Python prints it": (
        "chatml", [said("<tool_call>\n{'arguments': {'q': \"it's\", 'all': True}, 'name': 'a'}\n</tool_call>"),
                   tool("r")], [(None, ("a", {"q": "it's", "all": True}), "r")]),
    "a program beside the call": (
        "chatml", [said('<tool_call>\n{"name": "python", "arguments": {}}\n<code>\nprint("<b>")\n</code></tool_call>'),
                   tool("r")], [(None, ("python", {"code": 'print("<b>")'}), "r")]),
    "a bare function, the user's words its response": (
        "chatml", [said(f"I look.\n{FUNCTION}"), {"role": "user", "content": "OBSERVATION:\nx"}],
        [("I look.", ("bash", {"command": "ls -l", "n": 3}), "OBSERVATION:\nx")]),
    "a function in a tag": (
        "chatml", [said(f"<tool_call>\n{FUNCTION}\n</tool_call>"), tool("r")],
        [(None, ("bash", {"command": "ls -l", "n": 3}), "r")]),
    "bold labels": (
        "react", [said("**Thought:** hm\n**Action:** a\n**Action Input:** b"),
                  {"role": "user", "content": "**Observation:** r"}], [("hm", ("a", {"input": "b"}), "r")]),
}  # fmt: skip
BASH = Toolset.model_validate(
    {"toolset": "t", "tools": {"bash": {"about": "", "parameters": {"properties": {"n": {"type": "integer"}}}}}}
)


@pytest.mark.parametrize(("form", "turns", "steps"), CASES.values(), ids=CASES.keys())
def test_messages(form: str, turns: list[dict[str, Any]], steps: list[Any]) -> None:
    messages = [ASK, *turns]
    assert detect(messages) == form
    read = parse("auto", messages, toolset=BASH)
    assert shown(read) == steps
    if form != "react":
        assert shown(parse("auto", [*messages, DONE], toolset=BASH)) == [*steps, (None, {"final": "Ada"}, None)]


def test_an_argument_that_is_not_of_its_type_stays_a_text_for_the_schema_to_refuse() -> None:
    read = parse("auto", [ASK, said("<function=bash><parameter=n>three</parameter></function>")], toolset=BASH)
    assert BASH.problem(read.steps[0]["call"]) == "argument n of 'bash': 'three' is not of type 'integer'"


def test_a_list_of_calls_in_sharegpt() -> None:
    calls = '<think>so</think>[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'
    value = chat(("human", "Who?"), ("function_call", calls), ("observation", "of a"), ("observation", "of b"))
    assert shown(parse("auto", value)) == [("so", *BOTH[0][1:]), BOTH[1]]


def test_react_in_sharegpt() -> None:
    value = {
        "system": "S",
        "conversations": chat(
            ("user", "Who?"),
            ("assistant", '\nThought: I look\nAction: a\nAction Input: {"n": 1}'),
            ("function", "r"),
            ("assistant", "\nThought: I know\nFinal Answer: Ada"),
        ),
    }
    assert detect(value) == "react"
    read = parse("auto", value)
    assert shown(read) == [("I look", ("a", {"n": 1}), "r"), ("I know", {"final": "Ada"}, None)]
    assert (read.question, read.system) == ("Who?", "S")


@pytest.mark.parametrize("colon", [":", "："])
def test_chinese_labels(colon: str) -> None:
    text = "问题:谁？\n思考:先查。\n行动:查[埃达]\n观察:一个名字\n思考:知道了。\n行动:finish[埃达]\n观察:正确"
    read = parse("auto", text.replace(":", colon))
    assert read.question == "谁？"
    assert shown(read) == [("先查。", ("查", {"input": "埃达"}), "一个名字"), ("知道了。", {"final": "埃达"}, None)]
    messages = [{"role": "user", "content": "谁？"}, said("想法: 查\n动作: 查\n动作输入: 埃达")]
    messages += [{"role": "user", "content": f"观察结果{colon}一个名字"}, said(f"最终答案{colon}埃达")]
    assert shown(parse("auto", messages)) == [
        ("查", ("查", {"input": "埃达"}), "一个名字"),
        (None, {"final": "埃达"}, None),
    ]


def test_a_react_text_behind_an_instruction() -> None:
    text = "### Instruction:\nWho?\n\n### Response:\nThought: hm\r\nAction: a[b]\r\nObservation: r\r\n"
    read = parse("auto", text)
    assert (read.question, shown(read)) == (
        "### Instruction:\nWho?\n\n### Response:",
        [("hm", ("a", {"input": "b"}), "r")],
    )
    assert parse("auto", text, question="Who?").steps == read.steps, "the instruction is no thought"
    untold = parse("auto", "I look.\nAction: a[b]", question="Who?")
    assert shown(untold) == [("I look.", ("a", {"input": "b"}), None)]


def test_a_response_of_any_size() -> None:
    read = parse("auto", [ASK, made(one("a")), tool("x" * 20_000_000), DONE])
    assert problem(read) is None
    assert len(read.steps[0]["response"]) == 20_000_000
