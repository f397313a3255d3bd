"""Rollouts without a run: the form of a trajectory, its ends, errors put in, windows, and what the plan refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synthkit.actions.rollout import ERRORS, Rollout
from synthkit.core.engine import Request, Role
from synthkit.core.outcome import Outcome
from synthkit.core.row import Row
from synthkit.core.toolset import Tool, Toolset
from synthkit.core.trajectory import Trajectory, problem
from synthkit.testing import RecordingContext, ScriptedConfig, ScriptedEngine
from tests.actions.fakes import FakeScope, types
from tests.actions.tools.counting import Counting, calls

TOOLSET = Toolset(
    toolset="one",
    tools={
        "count": Tool(
            about="Count.",
            parameters={
                "type": "object",
                "properties": {"query": {"type": "string", "maxLength": 40}},
                "required": ["query"],
                "additionalProperties": False,
            },
        )
    },
)
FINAL = {"thought": "I know.", "call": {"final": "7"}}
ROW = Row("0" * 32, {"question": "How long is harbour?"})


def call(query: str, thought: str = "I count.") -> dict[str, Any]:
    return {"thought": thought, "call": {"name": "count", "arguments": {"query": query}}}


def agent(*replies: Any) -> Callable[[Request], str]:
    """Replies by turn, told from the transcript and not from the order of requests; the last one ever after."""

    def reply(request: Request) -> str:
        turn = sum(message.role == "assistant" for message in request.messages)
        found = replies[min(turn, len(replies) - 1)]
        return found if isinstance(found, str) else json.dumps(found)

    return reply


def context(function: Callable[[Request], str], *, limit: int | None = None, reask: int = 0) -> RecordingContext:
    engine = ScriptedEngine(ScriptedConfig(context=limit), function)
    models = {"writer": Role(engine="scripted", reask=reask)}
    return RecordingContext(engine, models=models, toolset=TOOLSET, tables=Nowhere())  # type: ignore[arg-type]


class Nowhere:
    """A store of which nothing is asked."""


def rollout(log: Path, **settings: Any) -> Rollout:
    tools = {"count": {"tool": "counting", "log": str(log)}}
    return Rollout.model_validate({"model": "writer", "tools": tools, **settings})


async def test_a_rollout_is_a_trajectory(counting: Path) -> None:
    ctx = context(agent(call("harbour"), call("quay", "  "), FINAL))
    ran = await ctx.run(rollout(counting), ROW)
    (row,) = ran.rows
    assert [(s["thought"], s["call"]["text"], s["response"]) for s in row["steps"]] == [
        ("I count.", "harbour", "harbour: 7"),
        (None, "quay", "quay: 4"),
        ("I know.", "7", None),
    ]
    told = {name: row[name] for name in ("final", "turns", "ended", "injected", "shortened")}
    assert told == {"final": "7", "turns": 3, "ended": "answer", "injected": [], "shortened": 0}
    assert row.keys() == types(Rollout.gives).keys()
    assert calls(counting) == ["harbour", "quay"]
    assert [asked.key for asked in ctx.asked] == ["1", "2", "3"]


async def test_each_turn_begins_with_the_turn_before_it(counting: Path) -> None:
    """What a prefix cache serves: all but the last response and what is said about the last turn."""
    ctx = context(agent(call("a"), call("b"), call("c"), FINAL))
    await ctx.run(rollout(counting, turns=4), ROW)
    told = [asked.request.messages for asked in ctx.asked]
    for before, after in pairwise(told):
        assert after[: len(before)] == before
        assert [m.role for m in after[len(before) :]] == ["assistant", "user"]
        assert json.loads(after[len(before)].content) == json.loads(ctx.asked[len(before) // 2].samples[0].text)
    assert told[-1][-1].content == "c: 1\n\nThis is the last turn: answer now."
    assert "last turn" not in "".join(m.content for each in told[:-1] for m in each)
    assert "Question: How long is harbour?" in told[0][0].content
    assert "- count(query: string): Count." in told[0][0].content


async def test_a_call_in_the_last_turn_is_kept_and_not_made(counting: Path) -> None:
    ran = await context(agent(call("a"))).run(rollout(counting, turns=2), ROW)
    (row,) = ran.rows
    assert (row["ended"], row["turns"], row["final"]) == ("limit", 2, None)
    assert [s["response"] for s in row["steps"]] == ["a: 1", None]
    assert calls(counting) == ["a"]


async def test_an_error_of_a_tool_is_a_response(counting: Path) -> None:
    ran = await context(agent(call("broken"), FINAL)).run(rollout(counting), ROW)
    assert ran.rows[0]["steps"][0]["response"] == "Error: broken, as asked"


async def test_a_turn_that_cannot_be_read_fails_the_rollout_and_no_other(counting: Path) -> None:
    seen: list[str] = []

    def reply(request: Request) -> str:
        if len(request.messages) > 1:
            seen.append(request.messages[-1].content)
            return "no JSON" if len(seen) == 1 else json.dumps(FINAL)
        return json.dumps(call("a"))

    ctx = context(reply)
    ran = await ctx.run(rollout(counting, n=2), ROW)
    assert [child.path for child in ran.children] == [(1,)]
    assert [(r.outcome, r.key, r.raw) for r in ctx.rejects] == [(Outcome.FAILED, "2", "no JSON")]


async def test_several_rollouts_have_keys_and_ids_of_their_own(counting: Path) -> None:
    ctx = context(agent(call("a"), FINAL))
    action = rollout(counting, n=3)
    ran = await ctx.run(action, ROW)
    assert not action.keeps_id()
    assert [child.path for child in ran.children] == [(0,), (1,), (2,)]
    assert sorted(asked.key for asked in ctx.asked) == ["1", "1.1", "1.2", "2", "2.1", "2.2"]
    assert len({asked.request.seed for asked in ctx.asked}) == 6


async def test_reasoning_stands_in_for_a_thought_that_is_not_written(counting: Path) -> None:
    from synthkit.core.engine import Sample

    engine = ScriptedEngine(function=lambda _: Sample(json.dumps({**FINAL, "thought": ""}), reasoning=" It is 7. "))
    ctx = RecordingContext(engine, toolset=TOOLSET, tables=Nowhere())  # type: ignore[arg-type]
    ran = await ctx.run(rollout(counting), ROW)
    assert ran.rows[0]["steps"][0]["thought"] == "It is 7."


# --- errors that are put in


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
async def test_errors_come_at_their_rate_and_are_marked(counting: Path, rate: float) -> None:
    made = injected = 0
    kinds: set[str] = set()
    for number in range(30):
        row = Row(f"{number:032x}", ROW)
        ran = await context(agent(*[call(str(n)) for n in range(9)])).run(rollout(counting, errors=rate, turns=10), row)
        (found,) = ran.rows
        steps = found["steps"][:-1]
        for at, step in enumerate(steps, 1):
            put_in = step["response"] in ERRORS.values()
            assert put_in == (at in found["injected"])
            kinds |= {step["response"]} if put_in else set()
        made += len(steps)
        injected += len(found["injected"])
    assert len(calls(counting)) == made - injected, "a call that fails on purpose is not made"
    assert abs(injected / made - rate) < 0.06
    assert kinds == (set(ERRORS.values()) if rate else set())


async def test_errors_are_the_same_each_time(counting: Path) -> None:
    said = [call(str(n)) for n in range(9)]
    ran = [await context(agent(*said)).run(rollout(counting, errors=0.5), ROW) for _ in range(2)]
    assert ran[0].rows == ran[1].rows


# --- the window


def long_calls(turns: int) -> Callable[[Request], str]:
    """Calls whose responses are longer than what a shortened one keeps."""
    return agent(*[call(f"{n} " + "x" * 38) for n in range(turns)], FINAL)


@pytest.fixture
def long(counting: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tool says it twenty times over."""
    monkeypatch.setattr("tests.actions.tools.counting.TIMES", 20)
    return counting


@pytest.mark.parametrize("by", ["engine", "window"])
async def test_beyond_the_window_a_rollout_ends_with_what_it_has(long: Path, by: str) -> None:
    whole = context(long_calls(6))
    await whole.run(rollout(long), ROW)
    fits = prompt_tokens(whole, 3)
    ctx = context(long_calls(6), limit=fits if by == "engine" else None)
    ran = await ctx.run(rollout(long, window=None if by == "engine" else fits), ROW)
    (row,) = ran.rows
    assert (row["ended"], row["turns"], row["final"], row["shortened"]) == ("window", 4, None, 0)
    assert problem(Trajectory(ROW["question"], None, row["steps"])) is None


@pytest.mark.parametrize("by", ["engine", "window"])
async def test_or_the_oldest_responses_are_shortened(long: Path, by: str) -> None:
    whole = context(long_calls(6))
    await whole.run(rollout(long), ROW)
    fits = prompt_tokens(whole, 4)
    ctx = context(long_calls(6), limit=fits if by == "engine" else None)
    action = rollout(long, overflow="shorten_oldest_responses", window=None if by == "engine" else fits)
    (row,) = (await ctx.run(action, ROW)).rows
    assert (row["ended"], row["turns"]) == ("answer", 7)
    assert 2 <= row["shortened"] < 6
    told = [m.content for m in ctx.asked[-1].request.messages[2::2]]
    assert ["characters left out]" in each for each in told] == [at < row["shortened"] for at in range(6)]
    assert all("left out" not in (s["response"] or "") for s in row["steps"]), "the trajectory holds them whole"


@pytest.mark.parametrize("overflow", ["stop", "shorten_oldest_responses"])
async def test_a_question_that_does_not_fit_fails(counting: Path, overflow: str) -> None:
    ran = await context(long_calls(1), limit=10).run(rollout(counting, overflow=overflow), ROW)
    assert ran.reject is not None
    assert (ran.reject.outcome, ran.reject.reason) == (Outcome.FAILED, "too long")


def prompt_tokens(ctx: RecordingContext, turn: int) -> int:
    """Tokens of a turn's prompt, by the scripted engine's count."""
    assert ctx.engine is not None
    return sum(ctx.engine.count_tokens(m.content) + 4 for m in ctx.asked[turn].request.messages)


# --- whatever a model does

replies = st.one_of(
    st.builds(call, st.text(max_size=40), st.text(max_size=30)),
    st.builds(lambda text: {"thought": "", "call": {"final": text}}, st.text(min_size=1, max_size=20)),
    st.sampled_from(["", "{", '{"thought": "x", "call": {"name": "nothing", "arguments": {}}}', "null"]),
)


@given(st.lists(replies, min_size=1, max_size=8), st.integers(1, 6), st.floats(0, 1))
async def test_what_comes_out_is_a_trajectory_or_a_reject(said: list[Any], turns: int, errors: float) -> None:
    ctx = context(agent(*said))
    action = Rollout(model="writer", tools={"count": Counting(log=Path("/dev/null"))}, turns=turns, errors=errors)
    ran = await ctx.run(action, ROW)
    if not ran.rows:
        assert ran.reject is not None or [r.outcome for r in ctx.rejects] == [Outcome.FAILED]
        return
    (row,) = ran.rows
    steps = row["steps"]
    assert problem(Trajectory(ROW["question"], None, steps)) is None
    assert row["turns"] == len(steps) <= turns
    assert (row["ended"] == "answer") == (row["final"] is not None) == (steps[-1]["call"]["final"] is not None)
    assert all(step["response"] is not None for step in steps[:-1])
    assert all(TOOLSET.problem(step["call"]) is None for step in steps)
    assert all(steps[at - 1]["response"] in ERRORS.values() for at in row["injected"])
    assert len(ctx.effects) == sum(step["response"] is not None for step in steps) - len(row["injected"])


# --- what the plan refuses


def problems(action: Rollout, toolset: Toolset | None = TOOLSET, **scope: Any) -> list[tuple[str, tuple[Any, ...]]]:
    found = FakeScope(toolset=toolset, **scope)
    action.check(found)
    return found.problems


def test_tools_and_toolset_must_fit(counting: Path) -> None:
    action = rollout(counting)
    assert problems(action) == []
    assert problems(action, None) == [("a rollout needs tools", ("tools",))]
    other = Toolset(toolset="two", tools={**TOOLSET.tools, "sum": Tool(about="Add.")})
    (found,) = problems(action, other)
    assert found == ("nothing answers the toolset's tool 'sum', which the model may call", ("tools",))
    renamed = Toolset(toolset="three", tools={"counts": TOOLSET.tools["count"]})
    assert ("the toolset has no tool 'count'", ("tools", "count")) in problems(action, renamed)
    talking = TOOLSET.model_copy(update={"say": True})
    assert "talks with a user" in problems(action, talking)[0][0]


def test_arguments_must_be_understood(counting: Path) -> None:
    def declared(*names: str) -> Toolset:
        properties = {name: {"type": "string"} for name in names}
        return Toolset(toolset="t", tools={"count": Tool(about="", parameters={"properties": properties})})

    needs = "'counting' needs the argument 'query', which the toolset does not declare for 'count'"
    assert problems(rollout(counting), declared("words")) == [(needs, ("tools", "count"))]
    knows = "'counting' knows no argument 'site', which the toolset declares for 'count'"
    assert problems(rollout(counting), declared("query", "site")) == [(knows, ("tools", "count"))]


def test_a_corpus_must_be_there() -> None:
    tools = Toolset(toolset="t", tools={"search": Tool(about="", parameters={"properties": {"query": {}}})})

    def found(corpus: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
        action = Rollout.model_validate({"model": "writer", "tools": {"search": {"corpus": corpus}}})
        return problems(action, tools, others={"documents": types({"id": "int", "text": "str"})})

    ((said, at),) = found({"path": "nowhere/*.jsonl"})
    assert "no file matches" in said
    assert at == ("tools", "search", "corpus", "path")
    assert found({"step": "documents"}) == [
        ("'id' is int, not text", ("tools", "search", "corpus", "id")),
        ("'documents' has no column 'title'", ("tools", "search", "corpus", "title")),
    ]


def test_sampling_must_differ_where_several_are_asked_for(counting: Path) -> None:
    cold = {"writer": Role(engine="e", temperature=0)}
    assert problems(rollout(counting), roles=cold) == []
    assert problems(rollout(counting, n=2), roles=cold)[0][0] == "2 rollouts at temperature 0 are all the same"
    assert "cannot constrain a reply" in problems(rollout(counting), can=frozenset())[0][0]


@pytest.mark.parametrize(
    ("tools", "at", "said"),
    [
        ({"web": {}}, ("tools", "web"), "there is no tool 'web'"),
        ({"web": {"tool": "serch"}}, ("tools", "web"), "did you mean 'search'"),
        ({"search": 3}, ("tools", "search"), "the settings of a tool are a mapping, not 3"),
        ({"search": None}, ("tools", "search", "corpus"), "Field required"),
        ({"python": {"seconds": 0}}, ("tools", "python", "seconds"), "greater than or equal to 1"),
        ({"python": {"memory": "256M"}}, ("tools", "python", "memory"), "a size in bytes is written 256Mi"),
        ({}, ("tools",), "at least 1 item"),
    ],
)
def test_settings_are_checked_in_their_place(tools: Any, at: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Rollout.model_validate({"model": "writer", "tools": tools})
    found = [(error["loc"], error["msg"]) for error in raised.value.errors()]
    assert any(loc[-len(at) :] == at and said in message for loc, message in found), found


def test_what_it_costs_at_most(counting: Path) -> None:
    cost = rollout(counting, n=2, turns=5).cost()
    assert (cost.calls, cost.rows) == (10, 2)
