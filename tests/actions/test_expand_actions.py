"""Alternatives to one step: blind to it, valid, all different, in an even order; and what is said where that fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.actions.expand_actions import ExpandActions
from synthkit.actions.options import distance, same, variety
from synthkit.actions.shorten import KEPT, cut, longest, shortened
from synthkit.core.part import Part
from synthkit.core.resources import shipped
from synthkit.core.toolset import Toolset, load_toolset
from synthkit.core.types.reply import stored_call
from synthkit.inspect.choices import chi_square_p
from synthkit.testing import RecordingContext
from synthkit.testing.scripted import ScriptedConfig, ScriptedEngine

from . import alternatives
from .fakes import FakeScope, types

TOOLS = load_toolset(shipped("toolsets") / "deep_research.yaml")
COLUMNS = types(
    {
        "question": "str",
        "system": "str|none",
        "steps": "[{thought: str|none, call: call, response: str|none}]",
        "step": "{thought: str|none, call: call, response: str|none}",
        "past": "[{thought: str|none, call: call, response: str|none}]",
        "until": "[{thought: str|none, call: call, response: str|none}]",
        "correct": "bool|none",
        "traj": "json",
    }
)
PARTS = {
    "states": {
        "step": Part("steps", "k", "item"),
        "past": Part("steps", "k", "before"),
        "until": Part("steps", "n", "before"),
    }
}
ACTION = ExpandActions(model="writer", n=3)


def search(*queries: str) -> dict[str, Any]:
    return stored_call({"name": "search", "arguments": {"query": list(queries)}})


def step(call: Mapping[str, Any], thought: str | None = "I look.", response: str | None = "r") -> dict[str, Any]:
    return {"thought": thought, "call": dict(call), "response": response}


def row(real: Mapping[str, Any], *past: Mapping[str, Any], system: str | None = None) -> dict[str, Any]:
    return {"question": "Where?", "system": system, "step": dict(real), "past": [dict(each) for each in past]}


def context(*replies: Any, toolset: Toolset = TOOLS, **more: Any) -> RecordingContext:
    """A context whose engine gives these alternatives, one list a request (the last one again and again)."""
    left = [json.dumps({"alternatives": each}) for each in replies]
    engine = ScriptedEngine(ScriptedConfig(), lambda request: left.pop(0) if len(left) > 1 else left[0])
    return RecordingContext(engine=engine, toolset=toolset, **more)


def written(call: Mapping[str, Any], thought: str = "Another way.") -> dict[str, Any]:
    return {"thought": thought, "call": {"name": call["name"], "arguments": call["arguments"]}}


REPLY = [
    written(search("a")),
    written(search("b", "c")),
    written(stored_call({"name": "parse_file", "arguments": {"files": ["x"]}})),
]


async def test_the_real_step_is_among_its_options_under_its_number() -> None:
    real = step(search("real"))
    ran = await context(REPLY).run(ACTION, row(real))
    (made,) = ran.rows
    assert made["options"][int(made["chosen"]) - 1] == {"thought": "I look.", "call": search("real")}
    assert sorted(same(each["call"]) for each in made["options"]) == sorted(
        same(each) for each in [search("real"), *(stored_call(w["call"]) for w in REPLY)]
    )
    assert (made["repeats"], made["past_shortened"]) == (0, 0)
    assert made["variety"] == variety([each["call"] for each in made["options"]])


Marks = st.lists(st.uuids().map(str), min_size=8, max_size=8, unique=True)


@given(Marks, st.integers(0, 3), st.sampled_from([["call"], ["thought", "call"]]), st.booleans())
async def test_the_generator_sees_neither_the_step_nor_what_came_after(
    marks: list[str], before: int, show: Any, again: bool
) -> None:
    """Every word of the step, its response, later steps and the verdict is unique, and stands in no request."""
    thought, query, response, later, final, *seen = marks
    real = step(search(query), thought, response)
    past = [step(search(f"q{at} {mark}"), f"t{at} {mark}", f"r{at} {mark}") for at, mark in enumerate(seen[:before])]
    given = row(real, *past) | {
        "steps": [*past, real, step(search(later))],
        "final": final,
        "correct": True,
        "traj": marks,
    }
    replies = [[{"call": {"name": "nothing", "arguments": {}}}]] if again else []
    alternatives = [each if "thought" in show else {"call": each["call"]} for each in REPLY]
    ctx = context(*replies, alternatives)
    action = ExpandActions(model="writer", n=3, show=show)
    ran = await ctx.run(action, given)
    assert len(ran.rows) == 1
    assert len(ctx.asked) == 1 + again
    for asked in ctx.asked:
        text = "\n".join(message.content for message in asked.request.messages)
        assert not [mark for mark in (thought, query, response, later, final) if mark in text]
        assert all(text.count(mark) == 3 for mark in seen[:before])


def test_it_reads_the_step_and_its_context_and_nothing_else() -> None:
    assert ACTION.reads(FakeScope(COLUMNS)) == {"question", "system", "step", "past"}


CASES = [
    (search("real"), search("  REAL ")),
    (search("a b", "c"), search("c", "a  b")),
    (search("1,000"), search("1000")),
    (stored_call({"final": "Yes."}), stored_call({"final": " yes. "})),
    (
        stored_call({"name": "visit", "arguments": {"url": ["u"], "goal": "g"}}),
        stored_call({"name": "visit", "arguments": {"goal": "G", "url": ["u"]}}),
    ),
]


@pytest.mark.parametrize(("one", "other"), CASES)
def test_calls_that_do_the_same_are_the_same(one: Any, other: Any) -> None:
    assert same(one) == same(other)
    assert distance(one, other) == 0


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (search("a"), search("b"), 0.5),
        (search("a b"), search("a c"), (1 - 1 / 3) / 2),
        (search("a"), stored_call({"final": "a"}), 0.5),
        (search("a"), stored_call({"final": "b"}), 1.0),
        (stored_call({"final": "a"}), stored_call({"say": "a"}), 0.5),
        (stored_call({"name": "x", "arguments": {}}), stored_call({"name": "x", "arguments": {}}), 0.0),
        (
            stored_call({"name": "x", "arguments": {"on": True}}),
            stored_call({"name": "x", "arguments": {"on": False}}),
            (1 - 1 / 3) / 2,
        ),
    ],
)
def test_how_far_calls_are_apart(one: Any, other: Any, apart: float) -> None:
    assert distance(one, other) == pytest.approx(apart)
    assert distance(other, one) == pytest.approx(apart)
    assert same(one) != same(other) or apart == 0


async def test_what_repeats_is_left_out_and_counted() -> None:
    reply = [written(search("REAL ")), written(search("a")), written(search("A"), "The same in other words.")]
    (made,) = (await context(reply).run(ACTION, row(step(search("real"))))).rows
    assert len(made["options"]) == 2
    assert made["repeats"] == 2


async def test_a_blank_thought_is_no_option() -> None:
    (made,) = (
        await context([written(search("a"), " \n"), written(search("b"))]).run(ACTION, row(step(search("real"))))
    ).rows
    assert [each["thought"] for each in made["options"] if each["call"]["text"] != "real"] == ["Another way."]
    assert made["repeats"] == 1


async def test_too_few_alternatives_set_the_step_aside() -> None:
    ran = await context([written(search("a")), written(search("a")), written(search("real"))]).run(
        ExpandActions(model="writer", n=3, at_least=2), row(step(search("real")))
    )
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.detail) == ("too few alternatives", {"alternatives": 1, "written": 3})


async def test_an_invalid_alternative_is_asked_for_again_and_never_an_option() -> None:
    wrong = [{"thought": "t", "call": {"name": "search", "arguments": {"words": "a"}}}, written(search("b"))]
    ctx = context(wrong, REPLY)
    assert len((await ctx.run(ACTION, row(step(search("real"))))).rows) == 1
    assert len(ctx.asked) == 2
    assert "query" in ctx.asked[1].request.messages[-1].content
    ctx = context(wrong)
    ran = await ctx.run(ACTION, row(step(search("real"))))
    assert ran.rows == []
    assert [(each.reason, each.boundary) for each in ctx.rejects] == [("not parsed", "parse")]


async def test_an_invalid_real_call_would_be_known_among_valid_ones() -> None:
    real = stored_call({"name": "serach", "arguments": {"query": ["a"]}})
    ctx = context(REPLY)
    ran = await ctx.run(ACTION, row(step(real)))
    assert ran.reject is not None
    assert ran.reject.reason == "the real call is not valid"
    assert ctx.asked == []


@pytest.mark.parametrize("thought", [None, "", " \n"])
async def test_a_step_without_a_thought_shows_calls_alone(thought: str | None) -> None:
    ctx = context([{"call": each["call"]} for each in REPLY])
    (made,) = (await ctx.run(ACTION, row(step(search("real"), thought)))).rows
    assert made["options"][int(made["chosen"]) - 1]["call"] == search("real")
    assert {each["thought"] for each in made["options"]} == {None}
    assert '"thought"' not in ctx.asked[0].request.messages[0].content
    only = ExpandActions(model="writer", n=3, show=["call"])
    (made,) = (await context([{"call": each["call"]} for each in REPLY]).run(only, row(step(search("real"))))).rows
    assert {each["thought"] for each in made["options"]} == {None}, "the real thought would be known as the only one"


async def test_no_order_of_keys_tells_who_wrote_a_call() -> None:
    real = stored_call({"name": "visit", "arguments": {"goal": "g", "url": ["u"]}})
    (made,) = (await context(REPLY).run(ACTION, row(step(real)))).rows
    shown = made["options"][int(made["chosen"]) - 1]["call"]
    assert list(shown["arguments"]) == ["url", "goal"]
    assert shown["arguments"] == real["arguments"]


async def test_the_place_of_the_real_step_is_drawn_evenly() -> None:
    counts: Counter[str] = Counter()
    for number in range(600):
        (made,) = (await context(REPLY, seed=number).run(ACTION, row(step(search("real"))))).rows
        counts[made["chosen"]] += 1
    assert set(counts) == {"1", "2", "3", "4"}
    assert chi_square_p(sum((n - 150) ** 2 / 150 for n in counts.values()), 3) > 0.01


async def test_the_order_is_the_same_each_time() -> None:
    ran = [await context(REPLY, seed=5).run(ACTION, row(step(search("real")))) for _ in range(2)]
    assert ran[0].rows == ran[1].rows


LONG = "x" * 3000


@given(st.lists(st.sampled_from([None, "", "short", LONG, "y" * (KEPT + 20)]), max_size=6), st.integers(0, 7))
def test_the_oldest_responses_are_shortened_first(responses: list[str | None], count: int) -> None:
    past = [step(search("a"), response=each) for each in responses]
    shown = shortened(past, count)
    changed = [at for at, (one, other) in enumerate(zip(past, shown, strict=True)) if one != other]
    able = [at for at, each in enumerate(responses) if cut(each) is not None]
    assert changed == able[:count]
    assert longest(past) == len(able) == sum(each == LONG for each in responses)
    for at in changed:
        text = shown[at]["response"]
        assert text.startswith("x" * KEPT)
        assert text.endswith(f"[... {3000 - KEPT} characters left out]")
        assert {**shown[at], "response": None} == {**past[at], "response": None}


def engine(limit: int) -> ScriptedEngine:
    return ScriptedEngine(ScriptedConfig(context=limit), lambda request: json.dumps({"alternatives": REPLY}))


async def test_a_context_beyond_the_window_is_shortened_as_little_as_it_takes_and_that_is_told() -> None:
    past = [step(search(f"q{at}"), response=LONG) for at in range(6)]
    told = {}
    for window in (10_000, 4_000, 3_000, 1_500):
        ctx = RecordingContext(engine=engine(10**6), toolset=TOOLS)
        action = ExpandActions(model="writer", n=3, window=window)
        (made,) = (await ctx.run(action, row(step(search("real")), *past))).rows
        text = ctx.asked[0].request.messages[0].content
        told[window] = made["past_shortened"]
        assert text.count("characters left out") == made["past_shortened"]
        assert text.count(LONG) == 6 - made["past_shortened"]
        assert ctx.count_tokens(text) <= window
        assert made["past_shortened"] == 0 or ctx.count_tokens(text) + 700 > window
    assert told[10_000] == 0
    assert list(told.values()) == sorted(told.values())
    assert told[1_500] == 6


async def test_an_engine_that_refuses_is_asked_with_less() -> None:
    past = [step(search(f"q{at}"), response=LONG) for at in range(6)]
    ctx = RecordingContext(engine=engine(3_000), toolset=TOOLS)
    (made,) = (await ctx.run(ACTION, row(step(search("real")), *past))).rows
    assert 0 < made["past_shortened"] < 6


@pytest.mark.parametrize("more", [{"window": 400}, {"window": 3_000, "overflow": "reject"}, {}, {"overflow": "reject"}])
async def test_what_no_shortening_makes_fit_is_set_aside(more: Any) -> None:
    past = [step(search(f"q{at}"), response=LONG) for at in range(6)]
    ctx = RecordingContext(engine=engine(400), toolset=TOOLS)
    ran = await ctx.run(ExpandActions(model="writer", n=3, **more), row(step(search("real")), *past))
    assert ran.reject is not None
    assert ran.reject.reason == "context too long"
    assert ctx.asked == []


async def test_a_user_is_talked_to_only_where_the_toolset_says_so() -> None:
    tau = load_toolset(shipped("toolsets") / "tau_airline.yaml")
    real = step(stored_call({"say": "Your user id?"}), None)
    reply = [{"call": {"say": "Your booking?"}}, {"call": {"final": "Goodbye."}}]
    ctx = context(reply, toolset=tau)
    (made,) = (await ctx.run(ACTION, row(real))).rows
    assert {each["call"]["say"] for each in made["options"]} == {"Your user id?", "Your booking?", None}
    assert '{"say": "..."}' in ctx.asked[0].request.messages[0].content
    ctx = context(REPLY)
    await ctx.run(ACTION, row(step(search("real"))))
    assert '"say"' not in ctx.asked[0].request.messages[0].content


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"step": "question"}, "'question' is str, not a step with a `call`"),
        ({}, None),
        ({"past": "steps"}, "'steps' is not what came before 'step'"),
        ({"past": "until"}, "'until' is not what came before 'step'"),
        ({"past": "question"}, "'question' is str, not a list of steps"),
        ({"show": ["thought"]}, "an option without its call is none"),
        ({"at_least": 4}, "3 alternatives are never 4"),
        ({"context": ["question", "system", "steps"]}, "'steps' was not known before the step"),
        ({"context": ["question", "system", "correct"]}, "'correct' was not known before the step"),
        ({"context": ["question", "system", "step"]}, "'step' was not known before the step"),
        ({"context": ["question"]}, "the template reads 'system' at "),
    ],
)
def test_what_check_says(more: Any, said: str | None) -> None:
    told = FakeScope(COLUMNS, toolset=TOOLS, parts=PARTS).told(
        ExpandActions.model_validate({"model": "writer", "n": 3, **more})
    )
    assert (told == []) if said is None else any(said in each for each in told), told


def test_an_engine_must_write_json() -> None:
    told = FakeScope(COLUMNS, toolset=TOOLS, can=frozenset()).told(ACTION)
    assert told == ["the engine 'e' cannot constrain a reply to JSON"]


def test_alternatives_need_tools() -> None:
    assert FakeScope(COLUMNS).told(ACTION) == ["alternatives need tools"]


async def test_the_generator_of_the_other_tests_serves_the_shipped_prompt() -> None:
    ctx = RecordingContext(engine=ScriptedEngine(ScriptedConfig(), alternatives.reply), toolset=TOOLS)
    real = alternatives.step(Random(1))
    (made,) = (await ctx.run(ACTION, row(step(stored_call(real["call"]), real["thought"])))).rows
    assert len(made["options"]) == 4
