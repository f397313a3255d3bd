from __future__ import annotations

import json
from math import log
from typing import Any

import pytest

from synthkit.actions.judge import Judge
from synthkit.core.action import Cost
from synthkit.core.engine import Request, Role, Sample
from synthkit.core.outcome import Outcome
from synthkit.core.row import Row
from synthkit.testing.context import RecordingContext
from synthkit.testing.scripted import ScriptedEngine

from .fakes import FakeScope, types

PROMPTS = {
    "one.j2": '{% role "user" %}{{ text }} Criterion: {{ criterion }}{% endrole %}',
    "all.j2": '{% role "user" %}{{ text }} Judge: {{ criteria | join(", ") }}{% endrole %}',
}
ROW = Row("r", {"text": "T"})
COLUMNS = types({"text": "str"})


def action(**more: Any) -> Judge:
    rubric = {"content": "pass|fail", "logic": "pass|fail"}
    return Judge.model_validate({"model": "judge", "prompt": "one.j2", "rubric": rubric, "score": "logprob", **more})


def by_logprob(**probability: float) -> RecordingContext:
    def script(request: Request) -> Sample:
        p = next(value for name, value in probability.items() if name in request.messages[0].content)
        return Sample("pass", label_logprobs={"pass": log(p), "fail": log(1 - p)})

    return RecordingContext(engine=ScriptedEngine(function=script), prompts=PROMPTS, step="plans.aligned")


def by_votes(*votes: dict[str, str] | str) -> RecordingContext:
    def script(request: Request) -> list[str | Sample]:
        texts = [each if isinstance(each, str) else json.dumps({"reason": "so", **each}) for each in votes]
        return list(texts) if request.n == len(texts) else ["nonsense"] * request.n

    return RecordingContext(engine=ScriptedEngine(function=script), prompts=PROMPTS, step="aligned")


async def test_a_probability_for_each_criterion() -> None:
    ctx = by_logprob(content=0.9, logic=0.3)
    ran = await ctx.run(action(), ROW)
    assert len(ran.rows) == 1
    scores = ran.rows[0]["aligned"]
    assert scores == {"content": pytest.approx(0.9), "logic": pytest.approx(0.3)}
    assert [(asked.key, asked.request.labels) for asked in ctx.asked] == [
        ("content", ("pass", "fail")),
        ("logic", ("pass", "fail")),
    ]


async def test_the_first_thing_that_is_not_kept_names_the_reject() -> None:
    keep = {
        "content": "p(content) >= vars.bar",
        "logic": "p('logic') >= vars.bar",
        "both": "p(content) + p(logic) > 1.5",
    }
    ctx = by_logprob(content=0.9, logic=0.3)
    ctx.vars = {"bar": 0.5}
    ran = await ctx.run(action(keep=keep), ROW)
    assert ran.reject is not None
    assert (ran.reject.reason, ran.reject.outcome) == ("not logic", Outcome.FILTERED)
    assert ran.reject.detail == {"content": pytest.approx(0.9), "logic": pytest.approx(0.3)}
    ctx = by_logprob(content=0.9, logic=0.8)
    ctx.vars = {"bar": 0.5}
    assert len((await ctx.run(action(keep=keep), ROW)).rows) == 1


async def test_votes_are_shares_of_the_first_label_with_their_reasons() -> None:
    ctx = by_votes({"content": "pass", "logic": "pass"}, {"content": "fail", "logic": "pass"}, "broken")
    ran = await ctx.run(action(prompt="all.j2", score="votes", votes=3), ROW)
    assert ran.rows == [{"aligned": {"content": 0.5, "logic": 1.0, "reasons": ["so", "so"]}}]
    assert "content, logic" in ctx.asked[0].request.messages[0].content


async def test_more_than_two_labels_are_counted_by_the_first() -> None:
    ctx = by_votes({"depth": "deep"}, {"depth": "shallow"}, {"depth": "none"}, {"depth": "deep"})
    ran = await ctx.run(action(prompt="all.j2", score="votes", votes=4, rubric={"depth": "deep|shallow|'none'"}), ROW)
    assert ran.rows[0]["aligned"]["depth"] == 0.5


async def test_without_a_single_readable_vote_there_is_no_row() -> None:
    ctx = by_votes("broken")
    ran = await ctx.run(action(prompt="all.j2", score="votes"), ROW)
    assert ran.children == ()
    assert ran.reject is None
    assert [reject.outcome for reject in ctx.rejects] == [Outcome.FAILED]


@pytest.fixture
def scope(tmp_path: Any) -> FakeScope:
    for name, text in PROMPTS.items():
        (tmp_path / name).write_text(text)
    return FakeScope(
        COLUMNS, step="plans.aligned", folders=[tmp_path], roles={"judge": Role(engine="e", temperature=0)}
    )


def test_the_struct_is_named_after_the_step(scope: FakeScope) -> None:
    assert {name: str(each) for name, each in action().adds(scope).items()} == {
        "aligned": "{content: float(0..1), logic: float(0..1)}"
    }
    votes = action(prompt="all.j2", score="votes")
    assert str(votes.adds(scope)["aligned"]) == "{content: float(0..1), logic: float(0..1), reasons: [str]}"
    assert action().reads(scope) == {"text"}
    assert action().cost() == Cost(2)
    assert votes.cost() == Cost(1, 1)
    assert scope.told(action()) == scope.told(votes) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"votes": 3}, "3 votes would be the same 3 times"),
        ({"votes": 3, "score": "votes", "prompt": "all.j2"}, "3 votes at temperature 0 are one vote 3 times"),
        ({"score": "votes"}, "asks all criteria at once"),
        ({"prompt": "all.j2"}, "does not read `criterion`"),
        ({"rubric": {"content": "str"}}, "'content' needs labels"),
        ({"rubric": {"content": "a|b|c"}}, "needs two labels, 'content' has 3"),
        ({"rubric": {"reason": "pass|fail"}}, "cannot be called 'reason'"),
        ({"rubric": {"true": "pass|fail"}}, "cannot be called 'true', a word of expressions"),
        ({"keep": {"content": "p(contents) > 0.5"}}, "p(contents): there is no such criterion"),
        ({"keep": {"content": "p(content) >"}}, "end"),
    ],
)
def test_what_cannot_work_is_told(scope: FakeScope, more: dict[str, Any], said: str) -> None:
    assert any(said in each for each in scope.told(action(**more))), scope.problems


def test_an_engine_without_labels_is_refused(scope: FakeScope) -> None:
    scope.can = frozenset({"json"})
    assert scope.told(action()) == ["the engine 'e' of 'judge' cannot give the probabilities of labels"]
