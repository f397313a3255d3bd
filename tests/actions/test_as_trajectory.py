"""`as_trajectory` as a verb: its columns, its verdict, its rejects; and through a spec to a toolset and messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.actions.as_trajectory import AsTrajectory
from synthkit.core.outcome import Outcome
from synthkit.core.resources import shipped
from synthkit.core.toolset import Toolset, load_toolset
from synthkit.core.trajectory import COLUMNS
from synthkit.core.types import check_value
from synthkit.testing.context import RecordingContext
from tests.cli.conftest import call

from .fakes import FakeScope, types

AIRLINE = load_toolset(shipped("toolsets") / "tau_airline.yaml")
TALK = [
    {"role": "user", "content": "Help."},
    {"role": "assistant", "content": "Your id?"},
    {"role": "user", "content": "mia"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "function": {"name": "get_user_details", "arguments": '{"user_id": "mia"}'}}],
    },
    {"role": "tool", "tool_call_id": "1", "content": "{}"},
    {"role": "assistant", "content": "Ada."},
]


async def ran(action: AsTrajectory, row: Mapping[str, Any], toolset: Toolset | None = None) -> Any:
    return await RecordingContext(toolset=toolset).run(action, row)


async def test_a_run_becomes_columns_of_their_types() -> None:
    action = AsTrajectory(messages="run.messages", say=True, correct="final | same_answer(gold)")
    out = await ran(action, {"run": {"messages": TALK}, "gold": "ada"})
    (row,) = out.rows
    assert (row["question"], row["system"], row["final"], row["correct"]) == ("Help.", None, "Ada.", True)
    assert [step["call"]["text"] for step in row["steps"]] == ["Your id?", "mia", "Ada."]
    assert all(check_value(declared, row[name]) is None for name, declared in types(COLUMNS).items())
    assert action.keeps_id()


async def test_whether_the_agent_may_talk_is_the_toolsets_word_unless_it_is_said() -> None:
    action = AsTrajectory(messages="m")
    assert (await ran(action, {"m": TALK}, AIRLINE)).rows
    refused = await ran(action, {"m": TALK})
    assert (refused.reject.reason, refused.reject.outcome) == ("malformed", Outcome.FAILED)
    error = "message 3: the user replies: with `say: true` the agent may talk with the user"
    assert refused.reject.detail == {"error": error}
    assert (await ran(AsTrajectory(messages="m", say=False), {"m": TALK}, AIRLINE)).reject
    assert (await ran(AsTrajectory(messages="m", say=True), {"m": TALK})).rows


async def test_the_question_may_come_from_elsewhere() -> None:
    given = {"m": TALK, "q": "intro\nUser:  Who? "}
    out = await ran(AsTrajectory(messages="m", say=True, question="q | after('User:')"), given)
    assert out.rows[0]["question"] == "Who?"
    out = await ran(AsTrajectory(messages="m", say=True, question="q"), {"m": TALK, "q": " "})
    assert (out.reject.reason, out.reject.detail) == ("no question", {"error": "q gives ' '"})


@pytest.mark.parametrize(
    ("reward", "correct"), [(1, True), (0.0, False), (True, True), (None, None)], ids=["1", "0.0", "true", "none"]
)
async def test_verdicts(reward: Any, correct: bool | None) -> None:
    out = await ran(AsTrajectory(messages="m", say=True, correct="reward"), {"m": TALK, "reward": reward})
    assert out.rows[0]["correct"] is correct


async def test_half_a_reward_is_no_verdict() -> None:
    out = await ran(AsTrajectory(messages="m", say=True, correct="reward"), {"m": TALK, "reward": 0.5})
    assert out.reject.reason == "no verdict"
    assert out.reject.detail == {"error": "reward gives 0.5, not true or false"}


def test_what_it_reads_and_gives() -> None:
    scope = FakeScope(columns=types({"m": "json", "reward": "float", "gold": "str"}))
    action = AsTrajectory(messages="m", correct="(final | same_answer(gold)) and steps | length < 9")
    assert action.reads(scope) == {"m", "gold"}
    assert action.adds(scope) == types(COLUMNS)
    assert scope.told(action) == []


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        (AsTrajectory(messages="m", correct="reward * 2"), "`correct` must be true or false, and reward * 2 is float"),
        (AsTrajectory(messages="m", correct="final"), "`correct` must be true or false, and final is str|none"),
        (
            AsTrajectory(messages="m", replace=["m"]),
            "replace: 'm' is not a column of both the input and the trajectory",
        ),
        (AsTrajectory(messages="m", replace=["steps"]), "replace: 'steps' is not a column of both"),
    ],
)
def test_what_the_plan_refuses(action: AsTrajectory, problem: str) -> None:
    scope = FakeScope(columns=types({"m": "json", "reward": "float", "question": "str"}))
    (told,) = scope.told(action)
    assert told.startswith(problem)


def test_question_may_take_the_place_of_a_column() -> None:
    scope = FakeScope(columns=types({"m": "json", "question": "str"}))
    action = AsTrajectory(messages="m", question="question", replace=["question"])
    assert scope.told(action) == []
    assert action.replaces() == {"question"}


SPEC = """
name: talks
steps:
  runs:
    read: {path: "runs.*", key: id, columns: {id: str, messages: json, reward: float}}
  trajectories:
    from: runs
    as_trajectory: {messages: messages, correct: "reward >= 1", say: true}
  chats:
    from: trajectories
    as_messages: {thoughts: tags, replace: [messages]}
publish:
  trajectories: {from: trajectories, columns: [question, steps, final, correct]}
  chats: {from: chats, columns: [messages, functions]}
"""


def test_a_spec_reads_runs_derives_a_toolset_and_writes_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = {"a": {"messages": TALK, "reward": 1.0}, "b": {"messages": TALK[:1], "reward": 0.0}}
    Path("runs.json").write_text(json.dumps(runs))
    Path("talks.yaml").write_text(SPEC)
    result = api.run("talks.yaml")
    assert (result.stopped, result.problems) == (None, [])
    run = api.open("runs/talks")
    counts = run.ledger()["trajectories"]
    assert (counts.input, counts.kept, counts.failed, counts.reasons) == (2, 1, 1, {"malformed": 1})
    (row,) = run["trajectories"].collect().to_dicts()
    assert row["correct"] is True
    assert [step["call"]["say"] for step in row["steps"]] == ["Your id?", None, None]
    (chat,) = run["chats"].collect().to_dicts()
    assert [message["loss"] for message in chat["messages"]] == [False, True, False, True, False, True]

    assert call("new", "airline", "--toolset-from", "runs/talks").out == "wrote toolsets/airline.yaml\n"
    found = load_toolset("toolsets/airline.yaml")
    assert (list(found.tools), found.say, found.derived) == (["get_user_details"], True, True)
    again = call("new", "airline", "--toolset-from", "runs/talks")
    assert (again.code, "toolsets/airline.yaml is there already" in again.err) == (2, True)
    lacking = call("new", "other", "--toolset-from", "runs/talks", "--table", "runs")
    assert (lacking.code, "table 'runs' has no column of steps" in lacking.err) == (2, True)

    Path("talks.yaml").write_text(
        SPEC.replace(", say: true", "").replace("steps:\n  runs", "toolset: airline.yaml\nsteps:\n  runs")
    )
    result = api.run("talks.yaml")
    assert result.problems == []
    (chat,) = api.open("runs/talks")["chats"].collect().to_dicts()
    assert json.loads(chat["functions"])[0]["function"]["name"] == "get_user_details"
