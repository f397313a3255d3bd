"""What is no trajectory is refused with the place and the reason: each line of this table is one of them."""

from __future__ import annotations

from typing import Any

import pytest

from synthkit.core.trajectory import Malformed, Trajectory, Unwritable, parse, problem, write
from synthkit.core.types.reply import stored_call

ASK = {"role": "user", "content": "Who?"}
DONE = {"role": "assistant", "content": "Ada."}


def call(name: Any = "search", arguments: Any = '{"query": "x"}', **more: Any) -> dict[str, Any]:
    made = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [made], **more}


def tool(content: Any = "found", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def act(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": text}]


OPENAI: list[tuple[Any, str]] = [
    (None, "there are no messages"),
    ([], "there are no messages"),
    ({"role": "user"}, "the messages are not a list"),
    ([ASK, "hello"], "message 2: not an object but a str"),
    ([ASK], "the end: the agent never acts"),
    ([{"role": "user", "content": " "}, DONE], "message 1: there is no question; `question:` may give it"),
    ([DONE], "message 1: the agent acts before there is a question; `question:` may give it"),
    ([ASK, {"role": "critic", "content": "x"}],
     "message 2: the role 'critic' is none of system, developer, user, assistant, tool"),
    ([ASK, {"role": "system", "content": "x"}, DONE], "message 2: a system message after the beginning"),
    ([ASK, tool()], "message 2: a tool response without a call"),
    ([ASK, call(), tool(), tool()], "message 4: a tool response without a call"),
    ([ASK, call(), tool(tool_call_id="9")], "message 3: a tool response to the call '9'; waiting for one: '1'"),
    ([ASK, call(), DONE], "message 3: the agent goes on before the call of 'search' has its response"),
    ([ASK, call(), ASK], "message 3: the user speaks before the call of 'search' has its response"),
    ([ASK, call(), tool(), ASK, DONE], "message 4: the user speaks where it is the agent's turn"),
    ([ASK, DONE, ASK, DONE], "message 3: the user replies: with `say: true` the agent may talk with the user"),
    ([ASK, DONE, DONE], "message 3: the agent goes on after words to which the user has not replied"),
    ([ASK, call(), DONE, tool()], "message 3: the agent goes on before the call of 'search' has its response"),
    ([ASK, {**call(), "tool_calls": [{"function": {"name": name}} for name in "ab"]}, tool(name="c")],
     "message 3: a response of the tool 'c'; waiting for one: 'a', 'b'"),
    ([ASK, call(tool_calls=[{"function": {"name": "a", "input": {}}}])],
     "message 2: the call of 'a' has no `arguments` but input"),
    ([ASK, {"role": "assistant", "content": [{"type": "tool_use", "name": "a"}]}],
     "message 2: part 1 of the content is not text but 'tool_use'"),
    ([ASK, agent("")], "message 2: the agent neither calls a tool nor says anything"),
    ([ASK, agent("<think>\nhm\n</think>")], "message 2: the agent neither calls a tool nor says anything"),
    ([ASK, agent("<think>hm")], "message 2: <think> is not closed"),
    ([ASK, call(arguments="{")], "message 2: the arguments of 'search' are not JSON: Expecting property name"),
    ([ASK, call(arguments="[1]")], "message 2: the arguments of 'search' are not an object"),
    ([ASK, call(arguments='{"n": NaN}')], "message 2: the arguments of 'search' are not JSON: NaN is not JSON"),
    ([ASK, call(name="")], "message 2: a call without the name of a tool"),
    ([ASK, call(tool_calls="x")], "message 2: tool_calls is not a list"),
    ([ASK, call(tool_calls=[{"id": "1"}])], "message 2: a tool call without `function`"),
    ([ASK, call(), tool([{"type": "image_url", "image_url": {"url": "x"}}])],
     "message 3: part 1 of the content is not text but 'image_url'"),
    ([ASK, call(), tool(3)], "message 3: the content is not text but a int"),
    ([ASK, {**call(), "tool_calls": [*call()["tool_calls"], {"id": "2", "function": {"name": "b"}}]},
      tool(tool_call_id="2")], "message 2: the call of 'search' has no response"),
]  # fmt: skip
CHATML: list[tuple[Any, str]] = [
    (act("<tool_call>{}</tool_call>"), "message 2: a call without the name of a tool"),
    (act("<tool_call>search</tool_call>"), "message 2: the tool call is not JSON: Expecting value"),
    (act("<tool_call>[]</tool_call>"), 'message 2: a tool call is {"name": ..., "arguments": {...}}'),
    (act('<tool_call>{"name": "a"}'), "message 2: <tool_call> is not closed"),
    (act("<tool_call>{'name': 'a', 'arguments': {1, 2}}</tool_call>"), "message 2: the tool call is not JSON"),
    (act("<tool_call><function=a>b</tool_call>"), "message 2: <function=...> is not closed, or something follows it"),
    (act("<function=a><parameter=b>c</function>"), "message 2: the call of 'a' holds something else than parameters"),
    (act("so <function=a>"), "message 2: <function=a> is not closed"),
    (
        act("<function=a><parameter=b>1</parameter><parameter=b>2</parameter></function>"),
        "message 2: the call of 'a' has the parameter 'b' twice",
    ),
    (act('<tool_call>{"name": "a"}</tool_call> so'),
     "message 2: the agent goes on before the call of 'a' has its response"),
    (act("so</tool_call>"), "message 2: </tool_call> without <tool_call>"),
    (act("<answer></answer>"), "message 2: the final answer is empty"),
    (act("<answer>a</answer><answer>b</answer>"), "message 2: the agent goes on after its final answer"),
    (act("<think>a</think><tool_response>b</tool_response>"), "message 2: a tool response without a call"),
    ([*act("<answer>a</answer>"), ASK], "message 3: the user speaks after the final answer"),
    ([*act("<answer>a</answer>"), tool("<tool_response>b</tool_response>")],
     "message 3: a tool response without a call"),
    ("<|im_start|>user\nWho?<|im_end|>\nloose<|im_start|>assistant\na<|im_end|>",
     "message 2: something stands between <|im_end|> and <|im_start|>"),
    ("loose <|im_start|>user\nWho?<|im_end|>", "the text: something stands before the first <|im_start|>"),
    ("<answer>a</answer>", "the text: the agent acts before there is a question; `question:` may give it"),
]  # fmt: skip
SHAREGPT: list[tuple[Any, str]] = [
    ([{"from": "nobody", "value": "x"}], "message 1: from 'nobody' is none of system, human, user, gpt, assistant"),
    ([{"from": "human", "value": "Who?"}, {"from": "observation", "value": "x"}],
     "message 2: a tool response without a call"),
    ([{"from": "human", "value": "Who?"}, {"from": "function_call", "value": "search"}],
     "message 2: the tool call is not JSON: Expecting value"),
    ({"conversations": []}, "there are no messages"),
]  # fmt: skip
SWEAGENT: list[tuple[Any, str]] = [
    ({}, "there is neither `history` nor `trajectory`"),
    ({"history": [ASK, {"role": "assistant", "action": "ls"}, DONE]},
     "message 3: the agent goes on before the call of 'bash' has its response"),
    ([{"thought": "x", "action": "", "observation": ""}], "step 1: there is no action"),
    ([{"thought": "x", "action": "ls", "observation": ""}],
     "step 1: the agent acts before there is a question; `question:` may give it"),
]  # fmt: skip
REACT: list[tuple[Any, str]] = [
    ("Question: Who?\nThought: hm", "line 2: a thought without an action"),
    ("Question: Who?\nThought: hm\nAction: look around", "line 3: the action is not name[input]: 'look around'"),
    ("Question: Who?\nAction: a[b]\nAction: c[d]\nObservation: e",
     "line 3: a second action before the observation of the first"),
    ("Question: Who?\nObservation: e", "line 2: a tool response without a call"),
    ("Question: Who?\nAction: a[b]\nObservation: e\nQuestion: Why?",
     "line 4: the user speaks where it is the agent's turn"),
    ("Question: Who?\nAction Input: x", "line 2: an action input without an action"),
    (act("Thought: a\nAction: finish[x]\nThought: b\nAction: finish[y]"),
     "message 2: a second action before the observation of the first"),
    (act("I do not know."), "message 2: a thought without an action"),
]  # fmt: skip
AUTO: list[tuple[Any, str]] = [
    ("hello", "the form cannot be told; write `format:` and one of openai, chatml, sharegpt, sweagent, react"),
    (3, "the form cannot be told"),
    ("[1", "not JSON: Expecting ',' delimiter"),
    ({"a": 1}, "the form cannot be told"),
]
CASES = [
    (form, value, message)
    for form, table in (
        ("openai", OPENAI),
        ("chatml", CHATML),
        ("sharegpt", SHAREGPT),
        ("sweagent", SWEAGENT),
        ("react", REACT),
        ("auto", AUTO),
    )
    for value, message in table
]


@pytest.mark.parametrize(("form", "value", "message"), CASES, ids=[message[:60] for _, _, message in CASES])
def test_what_is_wrong_is_named_with_its_place(form: Any, value: Any, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(form, value)
    assert str(caught.value).startswith(message)


def steps(*calls: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"thought": None, "call": stored_call(each), "response": "r", **more} for each in calls]


LOOK: dict[str, Any] = {"name": "look", "arguments": {}}
NOT_HELD: list[tuple[Any, list[dict[str, Any]], str]] = [
    ("openai", steps({"say": "a </think> b"}), "step 1: the words hold <think> or </think>"),
    ("chatml", steps(LOOK, thought="a </think> b"), "step 1: the thought holds </think>"),
    ("chatml", steps(LOOK, response="</tool_response>"), "step 1: the response holds </tool_response>"),
    ("chatml", steps(LOOK, {"say": "<answer>"}), "step 2: what is said holds <answer>"),
    ("chatml", steps({"say": "a"}, response="<tool_response>"), "step 1: the reply holds <tool_response>"),
    ("sharegpt", steps({"final": "</answer>"}, response=None), "step 1: the answer holds </answer>"),
    ("sweagent", steps({"final": "a"}, response=None), "step 1: SWE-agent's form has only tool calls"),
    ("react", steps({"say": "a"}), "step 1: ReAct has no words to a user"),
    ("react", steps(LOOK, thought="a\nAction: b"), "step 1: the thought has a line that begins with 'Action:'"),
    ("react", steps({"name": "finish", "arguments": {}}), "step 1: 'finish' cannot be the name of an action"),
    ("react", steps({"name": "a b", "arguments": {}}), "step 1: 'a b' cannot be the name of an action"),
]


@pytest.mark.parametrize(("form", "made", "message"), NOT_HELD, ids=[message for *_, message in NOT_HELD])
def test_what_a_form_cannot_hold_is_named(form: Any, made: Any, message: str) -> None:
    with pytest.raises(Unwritable) as caught:
        write(form, Trajectory("Who?", None, made))
    assert str(caught.value) == message


RULES = [
    (Trajectory(" ", None, steps(LOOK)), "there is no question"),
    (Trajectory("Who?", None, []), "there is no step"),
    (
        Trajectory("Who?", None, steps(LOOK, thought=" a")),
        "step 1: the thought is blank, or has white space at its ends",
    ),
    (Trajectory("Who?", None, steps({"final": "a"}, LOOK)), "step 1: a final answer before the last step"),
    (Trajectory("Who?", None, steps({"final": "a"})), "step 1: a response to the final answer"),
    (Trajectory("Who?", None, steps(LOOK, LOOK, response=None)), "step 1: there is no response"),
    (Trajectory("Who?", None, steps(LOOK, response=None)), None),
]


@pytest.mark.parametrize(("trajectory", "message"), RULES)
def test_the_rules_of_the_internal_form(trajectory: Trajectory, message: str | None) -> None:
    assert problem(trajectory) == message
