"""Single turns of finished runs: nothing of what came later is shown, and the loss is on the turn that is new."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from synthkit import api
from synthkit.actions.summarise_state import SummariseState
from synthkit.core.resources import shipped
from synthkit.core.row import Row
from synthkit.core.types.reply import stored_call
from synthkit.testing.context import RecordingContext
from synthkit.testing.scripted import ScriptedEngine

from .fakes import FakeScope, types

SPEC = shipped("specs") / "step_samples.yaml"
TEACHER = Path(__file__).parent / "stepwise.py"
COLUMNS = types(
    {
        "question": "str",
        "system": "str|none",
        "steps": "[{thought: str|none, call: call, response: str|none}]",
        "final": "str|none",
    }
)
STEPS = [
    {
        "thought": "First.",
        "call": stored_call({"name": "search", "arguments": {"query": ["a"]}}),
        "response": "RESULT 1",
    },
    {"thought": None, "call": stored_call({"name": "visit", "arguments": {"url": ["b"]}}), "response": "RESULT 2"},
    {"thought": "Third.", "call": stored_call({"final": "FINAL"}), "response": None},
]
ROW = Row("r", {"question": "Q?", "system": None, "steps": STEPS})


@pytest.fixture(params=["en", "zh"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.yaml").write_text(
        f"engines: {{teacher: {{scripted: '{TEACHER}:reply'}}}}\n"
        "models: {writer: {engine: teacher}}\ntokenizer: nano\n"
    )
    runs = {"en": "english", "zh": "chinese"}[request.param]
    sets = {"vars.language": request.param, "vars.runs": f"shipped:trajectories/{runs}.jsonl"}
    result = api.run(SPEC, models="models.yaml", sets=sets)
    assert result.problems == [] and result.stopped is None
    return api.open("runs/step_samples")


def test_the_shipped_spec_gives_both_kinds_of_samples(run: Any) -> None:
    right = run["right"].collect()
    steps = sum(len(each) for each in right["steps"].to_list())
    rewritten, states = run["rewritten"].collect(), run["states"].collect()
    assert rewritten.height == steps
    assert states.height == steps - right.height
    for row in rewritten.iter_rows(named=True):
        targets = [span for span in row["spans"] if span["role"] == "target"]
        assert len(targets) == 1 and targets[0]["end"] == len(row["text"].rstrip("\n"))
        target = row["text"][targets[0]["start"] : targets[0]["end"]]
        assert row["thought"] in target and "I know what stands above." not in row["text"][: targets[0]["start"]]
        assert [span["role"] for span in row["spans"]].count("assistant") == row["k"] - 1
    for row in states.iter_rows(named=True):
        [target] = [span for span in row["spans"] if span["role"] == "target"]
        assert row["next_state"] in row["text"][target["start"] : target["end"]]
        assert row["text"].count("<report>") == (1 if row["k"] == 1 else 2)


def test_a_writer_sees_what_came_before_its_step_and_no_more(run: Any) -> None:
    runs = {row["_id"]: row["steps"] for row in run["right"].collect().iter_rows(named=True)}
    for row in run["rewritten.drafts"].collect().iter_rows(named=True):
        steps = next(each for each in runs.values() if row["step"] in each)
        assert row["past"] == steps[: row["k"] - 1]
    prompt = (shipped("prompts") / "en/agent/rewrite_step.j2").read_text()
    assert "step.response" not in prompt and "steps" not in prompt.replace("sentences", "").partition("Task: {{")[2]


def test_states_are_chained_and_blind_to_what_follows() -> None:
    engine = ScriptedEngine(function=lambda request: json.dumps({"state": f"report {len(seen(request))}"}))
    ctx = RecordingContext(engine)
    ran = asyncio.run(ctx.run(SummariseState(model="writer", prompt="en/agent/state.j2"), ROW))
    assert [row["k"] for row in ran.rows] == [1, 2]
    first, second = ran.rows
    assert (first["state"], second["state"]) == ("", first["next_state"])
    assert second["seen"] == {"call": STEPS[1]["call"], "response": "RESULT 2"}
    assert (second["thought"], second["call"]["final"]) == ("Third.", "FINAL")
    texts = [asked.request.messages[0].content for asked in ctx.asked]
    assert "RESULT 1" in texts[0] and "RESULT 2" not in texts[0] and "(nothing yet)" in texts[0]
    assert "RESULT 2" in texts[1] and "RESULT 1" not in texts[1] and first["next_state"] in texts[1]
    assert all("FINAL" not in text for text in texts)
    assert [asked.key for asked in ctx.asked] == ["state 1", "state 2"]
    assert [child.path for child in ran.children] == [(1,), (2,)]


def seen(request: Any) -> str:
    return str(request.messages[0].content)


def test_a_failed_report_ends_the_chain_and_a_single_step_gives_none() -> None:
    replies = iter([json.dumps({"state": "one"}), '{"other": 1}', '{"other": 1}'])
    ran = asyncio.run(
        RecordingContext(ScriptedEngine(function=lambda request: next(replies))).run(
            SummariseState(model="writer"), ROW
        )
    )
    assert [row["next_state"] for row in ran.rows] == ["one"]
    single = Row("s", {"question": "Q?", "system": None, "steps": STEPS[2:]})
    ran = asyncio.run(RecordingContext(ScriptedEngine()).run(SummariseState(model="writer"), single))
    assert ran.reject is not None and ran.reject.reason == "one step only"


def test_a_step_that_gave_no_answer_is_not_made_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("replies.py").write_text(
        "import json\n\nSAID = {'thought': 'I know the answer by now.', 'call': {'final': 'x'}}\n\n\n"
        "def reply(request):\n"
        "    return json.dumps({'state': 's'} if 'Report so far' in request.messages[0].content else SAID)\n"
    )
    Path("models.yaml").write_text(
        "engines: {e: {scripted: 'replies.py:reply'}}\nmodels: {writer: {engine: e}}\ntokenizer: nano\n"
    )
    result = api.run(SPEC, models="models.yaml")
    steps, runs = result.ledger["rewritten.sound"].input, result.ledger["right"].kept
    assert result.ledger["rewritten.sound"].reasons == {"not no_early_end": steps - runs, "not same_end": runs}


def test_what_would_leak_is_refused_before_the_run(tmp_path: Path) -> None:
    assert FakeScope(COLUMNS).told(SummariseState(model="writer")) == []
    (tmp_path / "leaky.j2").write_text("{{ question }} {{ final }} {{ response }}")
    scope = FakeScope(COLUMNS, folders=[tmp_path])
    [told] = scope.told(SummariseState(model="writer", prompt="leaky.j2"))
    assert "the template reads 'final'" in told and "not among `context`" in told
    told = FakeScope(COLUMNS).told(SummariseState(model="writer", context=["question", "system", "steps"]))
    assert told == ["'steps' holds what came later"]
    told = FakeScope(COLUMNS).told(SummariseState(model="writer", steps="final"))
    assert told == ["'final' is str, not steps with a `call`"]
