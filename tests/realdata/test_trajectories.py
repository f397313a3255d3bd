"""Trajectories that nobody of this project made: every one is parsed, or rejected with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from synthkit import api
from synthkit.core.resources import shipped
from synthkit.core.toolset import Toolset, load_toolset
from synthkit.core.trajectory import FORMS, Form, Malformed, Trajectory, Unwritable, detect, parse, problem, write
from synthkit.core.trajectory.derive import derive

TOOLSETS = shipped("toolsets")


class Source(NamedTuple):
    """A set, what it is read with, and what is known of it."""

    name: str
    form: Form
    toolset: str
    parsed: int
    kinds: dict[str, int]
    thoughts: int
    malformed: dict[str, int]
    holds: dict[str, int]
    """Form -> trajectories that it can hold."""


SOURCES = [
    Source("webdancer", "chatml", "deep_research", 100, {"call": 105, "final": 100}, 205, {},
           {"openai": 100, "chatml": 100, "sharegpt": 100, "sweagent": 0, "react": 99}),
    Source("taubench", "openai", "tau_airline", 100, {"call": 572, "say": 657}, 42, {},
           {"openai": 100, "chatml": 100, "sharegpt": 100, "sweagent": 0, "react": 0}),
    Source("fireact", "react", "react_wiki", 457, {"call": 734, "final": 457}, 1191,
           {"a second action before the observation of the first": 7, "the action is not name[input]": 1},
           {"openai": 457, "chatml": 457, "sharegpt": 457, "sweagent": 0, "react": 457}),
    Source("sweagent", "sweagent", "swe_agent", 1, {"call": 5}, 5, {},
           {"openai": 1, "chatml": 1, "sharegpt": 1, "sweagent": 1, "react": 1}),
]  # fmt: skip


def values(folder: Path) -> Iterator[Any]:
    """The trajectories of a folder, as they are."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".jsonl":
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                yield record.get("traj") or record["messages"]
        elif path.suffix == ".traj":
            yield json.loads(path.read_text(encoding="utf-8"))
        else:
            yield from (record["traj"] for record in json.loads(path.read_text(encoding="utf-8")).values())


def read(source: Source, realdata: Path) -> tuple[list[Trajectory], Counter[str], Toolset]:
    toolset = load_toolset(TOOLSETS / f"{source.toolset}.yaml")
    found, refused = [], Counter[str]()
    for value in values(realdata / source.name):
        assert detect(value) == source.form
        try:
            found.append(parse("auto", value, say=toolset.say, toolset=toolset))
        except Malformed as error:
            assert error.place.startswith("message ")
            refused[error.what.partition(": ")[0]] += 1
    return found, refused, toolset


@pytest.mark.realdata
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_trajectory_is_parsed_or_rejected_with_a_reason(source: Source, realdata: Path) -> None:
    found, refused, toolset = read(source, realdata)
    assert (len(found), dict(refused)) == (source.parsed, source.malformed)
    assert all(problem(each) is None for each in found)
    steps = [step for each in found for step in each.steps]
    kinds = Counter("call" if s["call"]["name"] else "say" if s["call"]["say"] else "final" for s in steps)
    assert dict(kinds) == source.kinds
    assert sum(step["thought"] is not None for step in steps) == source.thoughts
    assert [toolset.problem(step["call"]) for step in steps] == [None] * len(steps)
    assert not any("Episode finished" in (step["response"] or "") for step in steps), "the verdict is not shown"


@pytest.mark.realdata
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_each_comes_back_from_every_form_that_holds_it(source: Source, realdata: Path) -> None:
    found, _, toolset = read(source, realdata)
    holds = dict.fromkeys(FORMS, 0)
    for each in found:
        for form in FORMS:
            try:
                written = write(form, each, toolset=toolset)
            except Unwritable:
                continue
            assert parse(form, written, say=toolset.say, toolset=toolset) == each
            holds[form] += 1
    assert holds == source.holds


@pytest.mark.realdata
def test_the_airlines_toolset_can_be_derived(realdata: Path) -> None:
    found, _, tidied = read(SOURCES[1], realdata)
    derived = derive("airline", [list(each.steps) for each in found])
    assert derived.tools.keys() == tidied.tools.keys()
    assert (derived.say, derived.about) == (True, "Seen in 572 calls of 100 trajectories.")
    for name, tool in derived.tools.items():
        assert tool.parameters["required"] == tidied.tools[name].parameters.get("required", [])


SPEC = """
name: real
toolset: tau_airline.yaml
steps:
  fireact:
    read: {path: "DATA/fireact/*.json", key: id, columns: {id: str, traj: json, gt: str, reward: bool}}
  searched:
    from: fireact
    as_trajectory: {messages: traj, correct: reward}
  taubench:
    read:
      path: DATA/taubench/*.jsonl
      key: [task_id, trial]
      columns: {task_id: int, trial: int, traj: json, reward: float}
  talked:
    from: taubench
    as_trajectory: {messages: traj, correct: "reward >= 1"}
  webdancer:
    read: {path: "DATA/webdancer/*.jsonl", columns: {messages: json}}
  browsed:
    from: webdancer
    as_trajectory: {messages: messages, question: 'messages[1].content | after("\\nUser: ")'}
  sweagent:
    read: {path: "DATA/sweagent/*.traj", columns: {history: json}}
  repaired:
    from: sweagent
    as_trajectory: {messages: history}
"""


@pytest.mark.realdata
def test_a_spec_reads_them_all(realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real.yaml").write_text(SPEC.replace("DATA", str(realdata.resolve())), encoding="utf-8")
    result = api.run("real.yaml")
    assert (result.stopped, result.problems) == (None, [])
    run = api.open("runs/real")
    ledger = run.ledger()
    assert {name: ledger[name].output for name in ("searched", "talked", "browsed", "repaired")} == {
        "searched": 457, "talked": 100, "browsed": 100, "repaired": 1,
    }  # fmt: skip
    assert ledger["searched"].reasons == {"malformed": 8}
    talked = run["talked"].select("task_id", "correct", "final").collect()
    assert (talked["correct"].sum(), talked["task_id"].n_unique(), talked["final"].null_count()) == (43, 50, 100)
    browsed = run["browsed"].select("question", "correct").collect()
    assert browsed["question"].str.len_chars().max() < 2000
    assert browsed["correct"].null_count() == 100
