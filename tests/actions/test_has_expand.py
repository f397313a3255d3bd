"""The shipped recipe from runs to text: what it gives, what it asks again, and what its audit catches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit import api
from synthkit.core.prompt import PromptLibrary
from synthkit.core.prompt.escape import escape_special
from synthkit.core.resources import shipped
from synthkit.core.types.reply import stored_call
from synthkit.execute.context import RowContext
from synthkit.testing.scripted import read_log
from tests.cli.conftest import call

from . import alternatives

SPEC = shipped("specs") / "has_expand.yaml"
Models = Callable[[str], Path]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.chdir(tmp_path)

    def write(function: str = "reply") -> Path:
        file = tmp_path / f"{function}.yaml"
        script = f"{alternatives.__file__}:{function}"
        file.write_text(
            f"engines: {{teacher: {{scripted: '{script}', log: '{tmp_path / 'log'}'}}}}\n"
            "models: {writer: {engine: teacher}}\ntokenizer: nano\n"
        )
        return file

    return write


def run_of(number: int, steps: int) -> dict[str, Any]:
    """A run of the made-up agent: its steps and an answer."""
    random = Random(number)
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"Question {number}?"}]
    for at in range(steps):
        made = alternatives.step(random)
        function = {"name": made["call"]["name"], "arguments": json.dumps(made["call"]["arguments"])}
        calls = [{"id": f"c{at}", "type": "function", "function": function}]
        messages.append({"role": "assistant", "content": made["thought"], "tool_calls": calls})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "content": f"result {number}.{at}"})
    return {"id": str(number), "messages": messages, "reward": number % 2}


def write_runs(runs: list[dict[str, Any]]) -> None:
    Path("runs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in runs), encoding="utf-8")


def run(models: Path, out: str = "runs/has", **sets: str) -> api.RunResult:
    given = {"runs": "runs.jsonl", "columns": "{id: str, messages: json, reward: float}"} | sets
    result = api.run(SPEC, models=models, sets={f"vars.{name}": value for name, value in given.items()}, out=out)
    assert result.stopped is None, result.stopped
    assert result.problems == []
    assert all(counts.balanced() for counts in result.ledger.values())
    return result


def texts(out: str = "runs/has", table: str = "short") -> list[dict[str, Any]]:
    return api.open(out)[table].collect().sort("_id").to_dicts()


def parsed(text: str, spans: list[dict[str, Any]]) -> list[tuple[list[tuple[str | None, str, str]], int]]:
    """The decisions of a document: options as (thought, kind, content), and the number chosen."""
    found: list[tuple[list[tuple[str | None, str, str]], int]] = []
    for span in spans:
        part = text[span["start"] : span["end"]].rstrip("\n")
        if span["role"] == "options" and (head := re.fullmatch(r"(?:I have|我有) (\d+) (?:solutions:|个方案：)", part)):
            found.append(([], -int(head[1])))
        elif span["role"] == "options":
            body = re.fullmatch(
                r"(?:Solution|方案) (\d+)[:：]\n(?:<think>\n(.*)\n</think>\n)?<(\w+)>\n(.*)\n</\3>", part, re.S
            )
            assert body is not None, part
            found[-1][0].append((body[2], body[3], body[4]))
            assert int(body[1]) == len(found[-1][0])
        elif span["role"] == "choice":
            options, count = found[-1]
            assert len(options) == -count
            found[-1] = (options, int(re.search(r"\d+", part)[0]))  # type: ignore[index]
    return found


def covered(text: str, spans: list[dict[str, Any]]) -> None:
    at = 0
    for span in spans:
        assert span["start"] == at, "a gap or an overlap"
        assert span["end"] > at
        at = span["end"]
    assert at == len(text)


Word = st.text(
    st.sampled_from('ab <>|\n"\\é中/') | st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn"]),
    max_size=12,
)
Line = Word.map(str.strip).filter(bool)
Call = st.one_of(
    st.builds(lambda word: stored_call({"name": "search", "arguments": {"query": [word]}}), Word),
    st.builds(lambda word: stored_call({"final": word}), Line),
    st.builds(lambda word: stored_call({"say": word}), Line),
)
Option = st.fixed_dictionaries({"thought": st.none() | Line, "call": Call})
Tag = {"name": "tool_call", "final": "answer", "say": "say"}


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    options = draw(st.none() | st.lists(Option, min_size=2, max_size=5))
    chosen = str(draw(st.integers(1, len(options)))) if options else None
    real = options[int(chosen) - 1] if options and chosen else draw(Option)
    return {**real, "response": draw(st.none() | Word), "options": options, "chosen": chosen}


@given(
    Line,
    st.none() | Line,
    st.lists(steps(), min_size=1, max_size=4),
    st.sampled_from([True, False, None]),
    st.sampled_from(["en", "zh"]),
)
def test_a_document_says_its_decisions_back_and_its_spans_cover_it(
    question: str, system: str | None, steps: list[Any], correct: bool | None, language: str
) -> None:
    prompt = PromptLibrary([shipped("prompts")]).get(f"{language}/has/decision_document.j2")
    row = {"question": question, "system": system, "steps": steps, "correct": correct, "vars": {}}
    text, spans = prompt.document(row)
    covered(text, spans)
    decided = [step for step in steps if step["options"]]
    found = parsed(text, spans)
    assert len(found) == len(decided)
    for step, (options, chosen) in zip(decided, found, strict=True):
        wanted = []
        for option in step["options"]:
            kind = next(kind for kind in Tag if option["call"][kind] is not None)
            said = (
                option["call"][kind]
                if kind != "name"
                else json.dumps({name: option["call"][name] for name in ("name", "arguments")}, ensure_ascii=False)
            )
            thought = option["thought"] and escape_special(option["thought"])
            wanted.append((thought, Tag[kind], escape_special(said)))
        assert options == wanted
        assert str(chosen) == step["chosen"]
        assert wanted[chosen - 1] == options[chosen - 1]
    roles = [span["role"] for span in spans]
    assert roles.count("verdict") == (correct is not None)
    assert roles.count("choice") == len(decided)
    assert roles.count("action") == len(steps) - len(decided)
    assert roles.count("response") == sum(step["response"] is not None for step in steps)
    verdicts = {("en", True): "My decision is Correct", ("en", False): "My decision is Incorrect"}
    verdicts |= {("zh", True): "我的决策正确", ("zh", False): "我的决策错误"}
    if correct is not None:
        assert text.endswith(verdicts[language, correct])


def test_runs_become_decisions_with_the_real_step_chosen_in_right_and_wrong_ones(models: Models) -> None:
    runs = [run_of(number, 2 + number % 4) for number in range(12)]
    write_runs(runs)
    result = run(models("reply"))
    assert result.tables == {"short": 12, "long": 0}
    store = api.open("runs/has").store
    rows = store.scan("choices", ["question", "k", "step", "past", "options", "chosen"]).collect().to_dicts()
    assert len(rows) == sum(2 + number % 4 for number in range(12))
    for row in rows:
        assert row["options"][int(row["chosen"]) - 1] == {name: row["step"][name] for name in ("thought", "call")}
        assert len(row["past"]) == row["k"] - 1
    found = {row["_id"]: row for row in store.scan("trajectories", ["question", "correct"]).collect().to_dicts()}
    for row in texts():
        covered(row["text"], row["spans"])
        decisions = parsed(row["text"], row["spans"])
        assert len(decisions) == min(3, 2 + int(found[row["_id"]]["question"][9:-1]) % 4), "the pivots"
        real = next(run["messages"] for run in runs if run["messages"][0]["content"] == found[row["_id"]]["question"])
        said = [
            json.loads(m["tool_calls"][0]["function"]["arguments"])["query"][0]
            for m in real
            if m["role"] == "assistant"
        ]
        for options, chosen in decisions:
            assert json.loads(options[chosen - 1][2])["arguments"]["query"][0] in said
        for each in said:
            assert each in row["text"], "no holes"
        assert row["text"].endswith("My decision is Correct" if row["correct"] else "My decision is Incorrect")


def test_a_second_run_asks_nothing_and_a_changed_response_only_what_comes_after_it(
    models: Models, tmp_path: Path
) -> None:
    runs = [run_of(number, 4) for number in range(5)]
    for each in runs:
        each["messages"].append({"role": "assistant", "content": "done"})
    write_runs(runs)
    teacher = models("reply")
    run(teacher, show="[call]")
    asked = read_log(tmp_path / "log")
    before = texts()
    assert asked.total() == 25
    run(teacher, show="[call]")
    assert read_log(tmp_path / "log") == asked
    run(teacher, show="[call]", pivots="2")
    assert read_log(tmp_path / "log") == asked, "another number of pivots asks nothing"
    run(teacher, show="[call]")
    assert texts() == before

    question = runs[2]["messages"][0]["content"]
    runs[2]["messages"][6]["content"] = "another result"  # of the third step
    write_runs(runs)
    run(teacher, show="[call]")
    new = read_log(tmp_path / "log") - asked
    assert new.total() == 2, "the fourth step, and the answer"
    after = texts()
    assert [row["_id"] for row in after] == [row["_id"] for row in before]
    assert [row["text"] == old["text"] for row, old in zip(after, before, strict=True)].count(False) == 1
    assert any("another result" in row["text"] and question in row["text"] for row in after)


@pytest.mark.parametrize(
    ("which", "kept"),
    [("k == 1", [1]), ("k % 2 == 1", [1, 3]), ("k == steps | length", [4]), ("step.call.final is none", [1, 2, 3, 4])],
)
def test_steps_are_chosen_by_an_expression_and_the_others_come_back_plain(
    models: Models, which: str, kept: list[int]
) -> None:
    write_runs([run_of(number, 4) for number in range(3)])
    run(models("reply"), which=f'"{which}"', pivots="9")
    decisions = api.open("runs/has").store.scan("decisions", ["steps"]).collect().to_dicts()
    for row in decisions:
        assert [at for at, step in enumerate(row["steps"], 1) if step["options"] is not None] == kept
        assert len(row["steps"]) == 4
    for row in texts():
        assert [span["role"] for span in row["spans"]].count("action") == 4 - len(kept)


def test_a_judge_says_how_runs_ended_where_the_data_do_not(models: Models, tmp_path: Path) -> None:
    runs = [run_of(number, 2) | {"reward": None if number % 3 else 1} for number in range(9)]
    write_runs(runs)
    sets = {"ask_for_verdicts": "true", "columns": "{id: str, messages: json, reward: float|none}"}
    result = run(models("reply"), **sets)
    assert read_log(tmp_path / "log").total() == 6 + 18, "runs with a verdict cost no call"
    assert result.ledger["verdicts"].asked == 6
    kept = api.open("runs/has")["verdicts"].select("question", "correct", "reason").collect().to_dicts()
    told = {int(row["question"][9:-1]): (row["correct"], row["reason"]) for row in kept}
    assert told == {n: (True, None) if n % 3 == 0 else (n % 2 == 0, f"Result {n}.1 decides it.") for n in range(9)}
    assert all(row["text"].endswith("Correct" if row["correct"] else "Incorrect") for row in texts())
    run(models("reply"), out="runs/open", columns=sets["columns"])
    assert api.open("runs/open")["short"].collect()["correct"].null_count() == 6


def test_what_fits_no_range_is_set_aside_and_counted(models: Models) -> None:
    write_runs([run_of(number, 1 + 3 * (number % 3)) for number in range(9)])
    run(models("reply"))
    sizes = sorted(row["tokens"] for row in texts())
    result = run(models("reply"), short=f"..{sizes[2]}", long=f"..{sizes[5]}")
    assert result.tables == {"short": 3, "long": 3}
    assert result.ledger["stage"].reasons == {"fits no range": 3}
    assert (result.ledger["stage.short"].kept, result.ledger["stage.short"].unused) == (3, 3)
    assert result.ledger["stage.short"].reasons == {"in long": 3}


def audited(out: str = "runs/has") -> tuple[int, str]:
    done = call("audit", out)
    return done.code, done.text


def broken(text: str) -> dict[str, float]:
    """Figures of `choices` that the audit finds out of bounds, with their values."""
    return {name: float(value) for name, value in re.findall(r"choices\.(\w+) is ([\d.e-]+), outside of", text)}


RUNS = [run_of(number, 5) for number in range(150)]


def test_an_honest_run_passes_its_audit(models: Models) -> None:
    write_runs(RUNS)
    run(models("reply"))
    code, text = audited()
    assert code == 0, text
    (told,) = json.loads(call("audit", "runs/has", "--json").out)["decisions"]
    assert (told["step"], told["decisions"], told["correct"]) == ("choices", 750, 0.5)
    assert 4.5 < told["options"] <= 5
    assert told["variety"] > 0.3 and told["collapsed"] < 0.2 and told["position_p"] > 0.01
    assert "in runs that ended well" in text


def test_a_generator_that_always_says_more_is_caught(models: Models) -> None:
    write_runs(RUNS)
    run(models("longer"))
    code, text = audited()
    assert code == 1
    assert broken(text).keys() >= {"length_auc"}
    assert broken(text)["length_auc"] > 0.9
    assert "position_p" not in broken(text)


def test_a_shuffler_with_a_favourite_place_is_caught(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    fair = RowContext.rng

    class Bribed(Random):
        def shuffle(self, x: Any) -> None:
            super().shuffle(x)
            if self.random() < 0.15:
                x.insert(0, x.pop(x.index(0)))

    monkeypatch.setattr(RowContext, "rng", lambda self, *key: Bribed(fair(self, *key).random()))
    write_runs(RUNS)
    run(models("reply"))
    code, text = audited()
    assert code == 1
    assert broken(text).keys() == {"position_p"}


def test_options_that_are_all_alike_raise_the_alarm(models: Models) -> None:
    write_runs(RUNS[:30])
    run(models("alike"))
    code, text = audited()
    assert code == 1
    assert "variety" in broken(text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_shipped_runs_go_through_in_both_languages(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models.yaml").write_text("engines: {e: {scripted: auto}}\nmodels: {writer: {engine: e}}\ntokenizer: nano\n")
    name = {"en": "english", "zh": "chinese"}[language]
    sets = {"vars.language": language, "vars.runs": f"shipped:trajectories/{name}.jsonl"}
    result = api.run(SPEC, models="models.yaml", sets=sets)
    assert result.problems == []
    files = (shipped("trajectories") / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert result.ledger["trajectories"].kept == len(files)
    assert result.tables["short"] == result.ledger["decisions"].output > 0


PUBLIC: dict[str, tuple[int, Mapping[str, str]]] = {
    "webdancer/trajectories.jsonl": (
        100,
        {
            "key": "null",
            "columns": "{messages: json}",
            "question": "'messages[1].content | after(\"User: \")'",
            "correct": "null",
        },
    ),
    "taubench/airline.jsonl": (
        100,
        {
            "key": "[task_id, trial]",
            "columns": "{task_id: int, trial: int, traj: json, reward: float}",
            "messages": "traj",
            "toolset": "tau_airline.yaml",
        },
    ),
    "fireact/hotpotqa_gpt35.json": (
        465,
        {
            "columns": "{id: str, traj: json, reward: bool}",
            "messages": "traj",
            "correct": "reward",
            "toolset": "react_wiki.yaml",
        },
    ),
    "sweagent/function_calling_simple.traj": (
        1,
        {
            "key": "null",
            "columns": "{history: json}",
            "messages": "history",
            "correct": "null",
            "toolset": "swe_agent.yaml",
        },
    ),
}


@pytest.mark.realdata
@pytest.mark.parametrize("file", PUBLIC)
def test_every_public_run_is_expanded_or_set_aside_with_a_reason(
    file: str, realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models.yaml").write_text(
        "engines: {e: {scripted: auto}}\nmodels: {writer: {engine: e, max_tokens: 8192}}\ntokenizer: nano\n"
    )
    records, sets = PUBLIC[file]
    given = {"runs": str(realdata / file), "window": "32Ki", **sets}
    result = api.run(SPEC, models="models.yaml", sets={f"vars.{name}": value for name, value in given.items()})
    assert result.stopped is None
    assert result.problems == []
    runs, decisions = result.ledger["trajectories"], result.ledger["decisions"]
    assert runs.input == records
    assert runs.kept + runs.failed + runs.filtered == records
    assert sum(runs.reasons.values()) == records - runs.kept
    assert all(reason for reason in runs.reasons)
    store = api.open("runs/has_expand").store
    states = store.scan("states", ["k"]).select(pl.col("_parents").list.first().alias("p")).collect()["p"]
    done = set(store.scan("decisions", []).collect()["_id"])
    lost = set(states) - done
    rejected = store.rejects().filter(pl.col("step").is_in(["choices", "worth", "decisions"])).collect()["row"]
    steps = store.scan("states", []).select("_id", p=pl.col("_parents").list.first()).collect()
    refused = set(steps.filter(pl.col("_id").is_in(rejected.implode()))["p"])
    assert lost <= refused, "a run whose steps are all gone has a reason at each"
    assert decisions.output == len(done) >= 0.9 * runs.kept
    for row in store.scan("text", ["text", "spans", "steps"]).collect().to_dicts():
        covered(row["text"], row["spans"])
        decided = [step for step in row["steps"] if step["options"]]
        assert [chosen for _, chosen in parsed(row["text"], row["spans"])] == [int(step["chosen"]) for step in decided]
        for step in decided:
            real = step["options"][int(step["chosen"]) - 1]["call"]
            assert real["text"].split() == step["call"]["text"].split() or sorted(real["text"]) == sorted(
                step["call"]["text"]
            )
