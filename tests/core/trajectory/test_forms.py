"""What each form's reader makes of what such files hold."""

from __future__ import annotations

from typing import Any

from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.trajectory import Trajectory, detect, parse

ASK = {"role": "user", "content": "Who?"}


def shown(trajectory: Trajectory) -> list[tuple[Any, Any, Any]]:
    """Steps as (thought, act, response)."""
    found = []
    for step in trajectory.steps:
        call = step["call"]
        act = (call["name"], call["arguments"]) if call["name"] else {k: call[k] for k in ("say", "final") if call[k]}
        found.append((step["thought"], act, step["response"]))
    return found


def calls(*made: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"id": name, "function": {"name": name, "arguments": arguments}} for name, arguments in made]
    return {"role": "assistant", "content": None, "tool_calls": listed, **more}


def test_parallel_calls_are_a_step_each_after_one_thought() -> None:
    answers = [{"role": "tool", "tool_call_id": name, "content": name.upper()} for name in ("b", "a")]
    both = [
        ASK,
        calls(("a", "{}"), ("b", '{"n": 1}'), content="Two at once."),
        *answers,
        {"role": "assistant", "content": "x"},
    ]
    assert shown(parse("openai", both)) == [
        ("Two at once.", ("a", {}), "A"),
        (None, ("b", {"n": 1}), "B"),
        (None, {"final": "x"}, None),
    ]


def test_a_thought_is_never_invented() -> None:
    read = parse(
        "openai", [ASK, calls(("a", "")), {"role": "tool", "content": ""}, {"role": "assistant", "content": "x"}]
    )
    assert shown(read) == [(None, ("a", {}), ""), (None, {"final": "x"}, None)]


def test_where_openai_messages_keep_thoughts() -> None:
    turn = calls(("a", "{}"), content=" And so. ", reasoning_content="First.")
    done = {"role": "assistant", "content": "<think>\nLast.\n</think>\n\nx"}
    opened = {"role": "assistant", "content": "Last.\n</think>\nx"}
    for last in (done, opened):
        read = parse("openai", [ASK, turn, {"role": "tool", "content": "r"}, last])
        assert [step["thought"] for step in read.steps] == ["First.\n\nAnd so.", "Last."]
        assert read.final == "x"


def test_content_in_parts_and_older_keys() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Who?"}, {"type": "text", "text": "When?"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "a", "arguments": {"n": 1}}},
        {"role": "function", "name": "a", "content": ["r"]},
    ]
    read = parse("openai", messages)
    assert (read.question, read.system) == ("Who?\nWhen?", "Be brief.")
    assert shown(read) == [(None, ("a", {"n": 1}), "r")]


def test_words_are_steps_and_the_last_ones_the_answer() -> None:
    said = [{"role": "assistant", "content": "Which one?"}, {"role": "user", "content": "The second."}]
    thanks = [{"role": "user", "content": "Thanks."}]
    done = {"role": "assistant", "content": "Done."}
    read = parse("openai", [ASK, *said, *thanks, done], say=True)
    assert shown(read) == [(None, {"say": "Which one?"}, "The second.\n\nThanks."), (None, {"final": "Done."}, None)]
    read = parse("openai", [ASK, *said], say=True)
    assert shown(read) == [(None, {"say": "Which one?"}, "The second.")]
    assert read.final is None


def test_a_question_from_outside_stands_for_the_users_first_words() -> None:
    read = parse("openai", [ASK, {"role": "assistant", "content": "x"}], question="Why?")
    assert (read.question, read.final) == ("Why?", "x")
    greeting = [
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "x"},
    ]
    assert shown(parse("openai", greeting, say=True, question="Why?"))[0] == (None, {"say": "Hello."}, "Hi.")


CALL = '<tool_call>\n{"name": "a", "arguments": {"q": ["b"]}}\n</tool_call>'


def test_chatml_in_messages_with_a_prompt_that_shows_the_tags() -> None:
    prompt = {"role": "user", "content": f"Answer like this: {CALL}\n<tool_response>x</tool_response>\nUser: Who?"}
    turn = {"role": "assistant", "content": f"<think> so </think>\n{CALL}\n{CALL.replace('b', 'c')}"}
    answers = {"role": "user", "content": "<tool_response>\n1\n\n</tool_response>\n<tool_response>2</tool_response>"}
    done = {"role": "assistant", "content": "<think>\nyes\n</think>\n<answer>\nAda\n</answer>"}
    read = parse("chatml", [prompt, turn, answers, done])
    assert shown(read) == [
        ("so", ("a", {"q": ["b"]}), "1\n"),
        (None, ("a", {"q": ["c"]}), "2"),
        ("yes", {"final": "Ada"}, None),
    ]
    assert read.question == prompt["content"]


def test_chatml_as_one_text() -> None:
    asked = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
    text = f"{asked}<|im_start|>assistant\nso\n{CALL}<|im_end|>\n"
    read = parse(
        "auto", text + "<|im_start|>user\n<tool_response>\nr\n</tool_response><|im_end|>\n<|im_start|>assistant\nAda"
    )
    assert shown(read) == [("so", ("a", {"q": ["b"]}), "r"), (None, {"final": "Ada"}, None)]
    assert (read.question, read.system) == ("Who?", "S")


def test_chatml_of_tags_alone() -> None:
    text = f"first</think>{CALL}<tool_response>r</tool_response><think>then</think><answer>Ada</answer>"
    read = parse("auto", text, question="Who?")
    assert shown(read) == [("first", ("a", {"q": ["b"]}), "r"), ("then", {"final": "Ada"}, None)]


def test_sharegpt_with_tool_turns() -> None:
    value = {
        "system": "S",
        "conversations": [
            {"from": "human", "value": "Who?"},
            {"from": "function_call", "value": '<think>so</think>\n{"name": "a", "arguments": {}}'},
            {"from": "observation", "value": "r"},
            {"from": "gpt", "value": "Ada"},
        ],
    }
    read = parse("auto", value)
    assert shown(read) == [("so", ("a", {}), "r"), (None, {"final": "Ada"}, None)]
    assert read.system == "S"


def test_sweagent_without_function_calling() -> None:
    history = [
        {"role": "system", "content": "S", "agent": "main", "message_type": "system_prompt"},
        {"role": "user", "content": "a demonstration", "is_demo": True},
        {"role": "user", "content": "Fix it.", "message_type": "observation"},
        {
            "role": "assistant",
            "content": "I look.\n```\nls\n```",
            "thought": "I look.",
            "action": "ls\n",
            "message_type": "action",
        },
        {"role": "user", "content": "a.py", "message_type": "observation"},
    ]
    read = parse("auto", {"history": history, "info": {}})
    assert shown(read) == [("I look.", ("bash", {"command": "ls"}), "a.py")]
    assert (read.question, read.system) == ("Fix it.", "S")


def test_sweagents_list_of_steps() -> None:
    listed = [
        {"thought": "I look.", "action": "ls\n", "observation": "a.py", "state": {}},
        {"thought": "", "action": "submit", "observation": None},
    ]
    read = parse("auto", listed, question="Fix it.")
    assert shown(read) == [
        ("I look.", ("bash", {"command": "ls"}), "a.py"),
        (None, ("bash", {"command": "submit"}), None),
    ]


REACT = """\
You answer questions.
Question: Who?
Thought 1: I look
twice.
Action 1: Search[Ada [the first]]
Observation 1: A name.
Born in 1815.

Thought 2: I know.
Action 2: Finish[Ada]
Observation 2: Answer is CORRECT
"""


def test_react_as_one_numbered_text() -> None:
    read = parse("auto", REACT)
    assert shown(read) == [
        ("I look\ntwice.", ("Search", {"input": "Ada [the first]"}), "A name.\nBorn in 1815."),
        ("I know.", {"final": "Ada"}, None),
    ]
    assert (read.question, read.system) == ("Who?", "You answer questions.")


def test_react_takes_names_from_the_toolset() -> None:
    wiki = load_toolset(shipped("toolsets") / "react_wiki.yaml")
    read = parse("react", REACT, toolset=wiki)
    assert read.steps[0]["call"]["arguments"] == {"query": "Ada [the first]"}
    assert all(wiki.problem(step["call"]) is None for step in read.steps)


def test_react_with_action_input_and_final_answer() -> None:
    text = 'Question: Who?\nThought: I look.\nAction: search\nAction Input: {"query": "Ada", "n": 2}\nObservation: r\n'
    read = parse("auto", text + "Thought: I know.\nFinal Answer: Ada")
    assert shown(read) == [("I look.", ("search", {"query": "Ada", "n": 2}), "r"), ("I know.", {"final": "Ada"}, None)]


def test_react_messages_leave_the_verdict_out() -> None:
    messages = [
        {"role": "user", "content": "Question: Who?"},
        {"role": "assistant", "content": "Action: search[Ada]"},
        {"role": "user", "content": "Observation: r\n"},
        {"role": "assistant", "content": "Thought: I know.\nAction: finish[Ada]"},
        {"role": "user", "content": "Observation: Episode finished, reward = True"},
    ]
    read = parse("auto", messages)
    assert shown(read) == [(None, ("search", {"input": "Ada"}), "r\n"), ("I know.", {"final": "Ada"}, None)]
    assert read.question == "Who?"


def test_forms_are_told_apart() -> None:
    assert detect([ASK, {"role": "assistant", "content": "x"}]) == "openai"
    assert detect([ASK, {"role": "assistant", "content": "<think>a</think>b"}]) == "openai"
    assert detect([ASK, {"role": "assistant", "content": CALL}]) == "chatml"
    assert detect([ASK, {"role": "assistant", "content": "Thought: a\nAction: b[c]"}]) == "react"
    assert detect([{"from": "human", "value": "x"}]) == "sharegpt"
    assert detect([{"role": "user", "content": "x", "is_demo": True}]) == "sweagent"
    assert detect([ASK, {"role": "assistant", "content": "x", "thought": "x", "action": "ls"}]) == "sweagent"
