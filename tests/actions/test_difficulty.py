"""How often a model fails: the share, what counts as right, and what the plan refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit import api
from synthkit.actions.difficulty import Difficulty
from synthkit.core.engine import Role
from synthkit.core.outcome import Outcome
from synthkit.testing import RecordingContext, ScriptedEngine
from tests.actions.fakes import FakeScope, types

ROW = {"question": "When did the bridge open?", "answer": "in 1931"}


def context(*answers: str | None) -> RecordingContext:
    """One sample an answer; None is a reply that cannot be read."""
    said = ["oops" if each is None else json.dumps({"thought": "", "answer": each}) for each in answers]
    return RecordingContext(ScriptedEngine(function=lambda _: list(said)), models={"writer": Role(engine="e", reask=0)})


async def test_the_share_of_wrong_attempts() -> None:
    ran = await context("in 1931", "In 1931.", "1925", "the year 1932").run(Difficulty(model="writer", n=4), ROW)
    assert ran.rows == [{"attempts": ["in 1931", "In 1931.", "1925", "the year 1932"], "difficulty": 0.5}]


async def test_what_is_right_is_for_the_expression_to_say() -> None:
    action = Difficulty(model="writer", n=2, correct="attempt | mentions('bridge') and question")
    ran = await context("the old bridge", "the quay").run(action, ROW)
    assert ran.rows[0]["difficulty"] == 0.5


async def test_a_sample_that_cannot_be_read_is_wrong_and_a_row_of_them_fails() -> None:
    ran = await context("in 1931", None).run(Difficulty(model="writer", n=2), ROW)
    assert ran.rows == [{"attempts": ["in 1931"], "difficulty": 0.5}]
    ctx = context(None, None)
    assert (await ctx.run(Difficulty(model="writer", n=2), ROW)).rows == []
    assert {reject.outcome for reject in ctx.rejects} == {Outcome.FAILED}


@given(st.lists(st.sampled_from(["in 1931", "1925", None]), min_size=2, max_size=9))
async def test_it_lies_between_0_and_1(answers: list[str | None]) -> None:
    ran = await context(*answers).run(Difficulty(model="writer", n=len(answers)), ROW)
    if ran.rows:
        assert ran.rows[0]["difficulty"] == pytest.approx(1 - answers.count("in 1931") / len(answers))


def test_the_plan_knows_what_it_reads_and_refuses_one_attempt_many_times() -> None:
    scope = FakeScope(columns=types({"question": "str", "answer": "str"}))
    action = Difficulty(model="writer")
    assert action.reads(scope) == {"question", "answer"}
    action.check(scope)
    assert scope.problems == []
    cold = FakeScope(roles={"writer": Role(engine="e", temperature=0)}, can=frozenset())
    action.check(cold)
    assert [at for _, at in cold.problems] == [("model",), ("model",)]


def test_in_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(json.dumps(ROW) + "\n")
    Path("hard.yaml").write_text(
        "engines: {e: {scripted: auto}}\nmodels: {writer: {engine: e}}\ntokenizer: nano\nsteps:\n"
        "  rows: {read: {path: rows.jsonl, columns: {question: str, answer: str}}}\n"
        "  tried: {from: rows, difficulty: {model: writer, n: 3}}\n"
        '  hard: {from: tried, filter: {hard: "difficulty >= 0.5"}}\n'
        "publish: {hard: {from: hard}}\n"
    )
    result = api.run("hard.yaml")
    assert result.problems == []
    (row,) = api.open("runs/hard")["hard"].collect().to_dicts()
    assert row["difficulty"] == 1.0
    assert len(row["attempts"]) == 3
