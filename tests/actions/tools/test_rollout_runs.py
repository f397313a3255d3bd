"""Rollouts in real runs: stopped and killed midway, edited, and over documents of a step."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from synthkit import api
from synthkit.plan.source import source
from synthkit.testing.scripted import read_log
from tests.actions.tools.counting import calls
from tests.execute.bench import Bench

TOOLSET = """
toolset: one
tools:
  count:
    about: Count.
    parameters:
      type: object
      properties: {query: {type: string, maxLength: 40}}
      required: [query]
      additionalProperties: false
"""
AGENT = '''
import json, re

def reply(request):
    """Three calls, each made of the response before it, then the answer."""
    question = re.search(r"Question: (.*)", request.messages[0].content)[1]
    turn = sum(message.role == "assistant" for message in request.messages)
    if turn == 3:
        return json.dumps({"thought": "Done.", "call": {"final": request.messages[-1].content[:40]}})
    query = question if turn == 0 else request.messages[-1].content
    return json.dumps({"thought": f"Turn {turn}.", "call": {"name": "count", "arguments": {"query": query[:40]}}})
'''
STEPS = """
source:
    read: {path: questions.jsonl, key: question, columns: {question: str}}
runs:
    from: source
    rollout: {model: writer, turns: 6, tools: {count: {tool: counting, log: counted.log}}}
"""
ROWS = 6


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counting: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path)
    made.file("one.yaml", TOOLSET)
    made.file("agent.py", AGENT)
    made.file("questions.jsonl", "".join(json.dumps({"question": f"How long is {n}?"}) + "\n" for n in range(ROWS)))
    write(made, STEPS)
    return made


def write(bench: Bench, steps: str) -> Path:
    indented = "\n".join(f"  {line}" if line else "" for line in steps.splitlines())
    return bench.spec(indented, engine="scripted: 'agent.py:reply'", top="toolset: one.yaml")


def counted(bench: Bench) -> list[str]:
    return calls(bench.folder / "counted.log")


def expected(bench: Bench) -> dict[str, list[str]]:
    """The tables of an uninterrupted run, and the logs as they were."""
    logs = {path: path.read_bytes() for path in (bench.log, bench.folder / "counted.log")}
    other = Bench(bench.folder)
    other.out = bench.folder / "whole" / "small"
    other.whole()
    for path, content in logs.items():
        path.write_bytes(content)
    return other.tables()


@pytest.mark.parametrize("step", [3, 7])
def test_a_stopped_rollout_goes_on_from_its_last_turn(bench: Bench, step: int) -> None:
    while bench.run(max_requests=step, concurrency=3).stopped is not None:
        assert len(bench.calls()) <= 4 * ROWS
    assert Counter(call["key"] for call in bench.calls()).most_common(1)[0][1] == 1
    assert len(bench.calls()) == 4 * ROWS
    assert len(counted(bench)) == len(set(counted(bench))) == 3 * ROWS, "no call was made twice"
    assert bench.tables() == expected(bench)
    with bench.asking(0):
        bench.whole()
    assert len(counted(bench)) == 3 * ROWS


@pytest.mark.slow
def test_a_killed_rollout_does_too(bench: Bench) -> None:
    chance = random.Random(2)
    engine = "scripted: 'agent.py:reply', latency: 0.05, slots: 2"
    text = (bench.folder / "small.yaml").read_text()
    (bench.folder / "small.yaml").write_text(text.replace("scripted: 'agent.py:reply'", engine))
    code = (
        "from tests.actions.tools.counting import register; register()\n"
        "from synthkit import api; api.run('small.yaml', out='runs/small')"
    )
    root = str(Path(__file__).parents[3])
    kills = 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root})
        begun = len(bench.calls())
        until = begun + chance.randint(1, 8)
        while child.poll() is None and len(bench.calls()) < until:
            time.sleep(0.01)
        if child.poll() is not None:
            break
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        kills += 1
    assert kills >= 2
    bench.whole()
    again = sum(count - 1 for count in read_log(bench.log).values())
    assert again <= 2 * kills, "at most what was on its way from the engine to the journal"
    assert len(counted(bench)) - len(set(counted(bench))) <= again + kills
    assert bench.tables() == expected(bench)


def test_an_edited_prompt_asks_anew_and_calls_that_come_again_are_not_made(bench: Bench) -> None:
    bench.whole()
    before = counted(bench)
    bench.file("prompts/en/agent/turn.j2", shipped_turn().replace("You are a research agent.", "You look things up."))
    with bench.asking(4 * ROWS):
        bench.whole()
    assert counted(bench) == before


def test_more_rollouts_keep_the_first(bench: Bench) -> None:
    bench.whole()
    first = {row["steps"][0]["response"] for row in bench.rows("runs", "steps")}
    write(bench, STEPS.replace("turns: 6", "turns: 6, n: 2"))
    with bench.asking(4 * ROWS):
        bench.whole()
    rows = bench.rows("runs", "steps")
    assert len(rows) == 2 * ROWS
    assert {row["steps"][0]["response"] for row in rows} == first
    assert len(counted(bench)) == 3 * ROWS * 2


CHANGES = {
    "turns": (STEPS.replace("turns: 6", "turns: 5"), True),
    "a setting of a tool": (STEPS.replace("counted.log", "other.log"), True),
    "errors": (STEPS.replace("turns: 6", "turns: 6, errors: 1%"), True),
    "the window": (STEPS.replace("turns: 6", "turns: 6, window: 8Ki"), True),
    "the policy beyond it": (STEPS.replace("turns: 6", "turns: 6, overflow: shorten_oldest_responses"), True),
    "the share of failures that stops a run": (STEPS.replace("turns: 6", "turns: 6, reject_rate: 10%"), False),
}


@pytest.mark.parametrize(("steps", "counts"), CHANGES.values(), ids=CHANGES.keys())
def test_what_the_fingerprint_covers(bench: Bench, steps: str, counts: bool) -> None:
    before = api.check(bench.folder / "small.yaml").nodes["runs"].fingerprint
    assert (api.check(write(bench, steps)).nodes["runs"].fingerprint != before) == counts


def test_it_covers_the_code_and_the_version_of_a_tool(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthkit.core.tool import ToolConfig
    from tests.actions.tools.counting import Counting

    def fingerprint() -> str:
        return api.check(bench.folder / "small.yaml").nodes["runs"].fingerprint

    found = [fingerprint()]
    with monkeypatch.context() as patch:
        patch.setattr(Counting, "version", 2)
        found.append(fingerprint())
    with monkeypatch.context() as patch:
        patch.setattr(ToolConfig, "depends", lambda self: "another corpus")
        found.append(fingerprint())
    assert len(set(found)) == 3
    assert fingerprint() == found[0]
    covered = api.check(bench.folder / "small.yaml").definitions["runs"]["depends"]
    assert covered == [["count", [source(Counting).digest, "counting", 1, None]]]


SEARCH = """
toolset: library
tools:
  search:
    about: Search.
    parameters: {type: object, properties: {query: {type: string}}, required: [query], additionalProperties: false}
"""
SEEKER = """
import json

def reply(request):
    said = request.messages[-1].content
    if len(request.messages) == 1:
        return json.dumps({"thought": "", "call": {"name": "search", "arguments": {"query": "harbour lamps"}}})
    return json.dumps({"thought": "", "call": {"final": said.splitlines()[0]}})
"""
OVER_A_STEP = """
source:
    read: {path: papers.jsonl, key: name, columns: {name: str, about: str, keep: bool}}
kept:
    from: source
    filter: {kept: keep}
questions:
    read: {path: questions.jsonl, key: question, columns: {question: str}}
runs:
    from: questions
    rollout:
      model: writer
      tools: {search: {corpus: {step: kept, id: name, text: about, title: none}, k: 2}}
"""


@pytest.fixture
def library(bench: Bench) -> Bench:
    bench.file("one.yaml", SEARCH)
    bench.file("agent.py", SEEKER)
    papers(bench, a="Lamps of the harbour.", b="Bread.", c="Roads and mills.")
    write(bench, OVER_A_STEP.replace("title: none", "title: null"))
    return bench


def papers(bench: Bench, **texts: str) -> None:
    lines = [{"name": name, "about": text, "keep": text != "Bread."} for name, text in texts.items()]
    bench.file("papers.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def test_the_rows_of_a_step_are_what_is_searched(library: Bench) -> None:
    library.whole()
    assert {row["final"] for row in library.rows("runs", "final")} == {"- a (a)"}
    with library.asking(0):
        library.whole()
    papers(library, a="Lamps of the harbour.", b="Bread.", c="Roads and mills.", d="Harbour lamps, harbour lamps.")
    with library.asking(ROWS) as made:  # the first turn stands, what it found does not
        library.whole()
    assert len(made) == ROWS
    assert {row["final"] for row in library.rows("runs", "final")} == {"- d (d)"}
    papers(library, a="Lamps of the harbour.", b="Bread.", c="Roads and mills.")
    with library.asking(0):  # all of it is in the journal
        library.whole()
    assert {row["final"] for row in library.rows("runs", "final")} == {"- a (a)"}


def test_a_step_that_does_not_change_what_is_kept_recomputes_nothing(library: Bench) -> None:
    library.whole()
    opened = counted_builds(library)
    with (library.folder / "papers.jsonl").open("a") as file:
        file.write(json.dumps({"name": "e", "about": "Bread.", "keep": False}) + "\n")
    with library.asking(0):
        library.whole()
    assert counted_builds(library) == opened


def test_the_same_after_a_stop(library: Bench) -> None:
    while library.run(max_requests=2, concurrency=2).stopped is not None:
        pass
    assert len(library.calls()) == 2 * ROWS
    found = library.tables()
    other = Bench(library.folder)
    other.out = library.folder / "whole" / "small"
    other.whole()
    assert other.tables() == found


def counted_builds(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.out / "artifacts" / "corpora").iterdir())


def shipped_turn() -> str:
    from synthkit.core.resources import shipped

    return (shipped("prompts") / "en/agent/turn.j2").read_text(encoding="utf-8")


def test_files_count_by_what_they_say(bench: Bench) -> None:
    bench.file("one.yaml", SEARCH)
    papers(bench, a="Lamps of the harbour.")
    corpus = "{path: papers.jsonl, id: name, text: about, title: null}"
    spec = write(
        bench, STEPS.replace("{count: {tool: counting, log: counted.log}}", f"{{search: {{corpus: {corpus}}}}}")
    )
    found = [api.check(spec).nodes["runs"].fingerprint]
    (bench.folder / "papers.jsonl").touch()
    found.append(api.check(spec).nodes["runs"].fingerprint)
    papers(bench, a="Lamps of the quay.")
    found.append(api.check(spec).nodes["runs"].fingerprint)
    assert found[0] == found[1] != found[2]
