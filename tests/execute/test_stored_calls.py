"""Runs that stored calls before these could say something: read without harm, and computed again when they go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthkit import api
from synthkit.core.types import arrow
from synthkit.plan import fingerprint

MESSAGES = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada."}]
SPEC = """
name: old
steps:
  runs: {read: {path: runs.jsonl, columns: {id: str, messages: json}}}
  trajectories: {from: runs, as_trajectory: {messages: messages}}
  grouped: {from: trajectories, group: {by: question, collect: {members: [final, steps]}}}
publish: {trajectories: {from: trajectories, columns: [question, steps]}}
"""
READER = """
name: reader
steps:
  back: {read: {run: old, table: trajectories}}
publish: {again: {from: back}}
"""


def test_an_older_form_of_calls_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs.jsonl").write_text(json.dumps({"id": "a", "messages": MESSAGES}) + "\n")
    Path("old.yaml").write_text(SPEC)
    Path("reader.yaml").write_text(READER)
    with monkeypatch.context() as before:
        before.setattr(arrow, "_CALL_FIELDS", ("name", "arguments", "final", "text"))
        before.setattr(fingerprint, "SEMANTICS", 1)
        assert api.run("old.yaml").tables == {"trajectories": 1}
        stored = api.open("runs/old")["trajectories"].collect()
        assert "say" not in stored["steps"].to_list()[0][0]["call"]

    published = api.open("runs/old")["trajectories"].collect()
    assert published["steps"].to_list()[0][0]["call"]["final"] == "Ada."
    assert api.run("reader.yaml").tables == {"again": 1}
    back = api.open("runs/reader")["again"].collect()["steps"].to_list()[0][0]["call"]
    assert (back["final"], back["say"]) == ("Ada.", None)

    result = api.run("old.yaml")
    assert (result.problems, result.tables) == ([], {"trajectories": 1})
    run = api.open("runs/old")
    assert [counts.output for counts in run.ledger().values()] == [1, 1, 1]
    for table in ("trajectories", "grouped"):
        (row,) = run[table].collect().to_dicts()
        steps = row["steps"] if table == "trajectories" else row["members"][0]["steps"]
        assert steps[0]["call"]["say"] is None
