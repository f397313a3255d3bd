"""plan_action: what it rejects before any judge, and its two modes, many plans of one question and one plan of many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synthkit import api, inspect
from synthkit.core.resources import shipped
from synthkit.inspect import bounds

TEACHER = Path(__file__).parent / "by_question.py"
MODELS = f"""
engines: {{teacher: {{scripted: '{TEACHER}:reply'}}}}
models: {{writer: {{engine: teacher}}, judge: {{engine: teacher, temperature: 0}}}}
tokenizer: nano
"""
SPEC = """
name: plans
models: models.yaml
toolset: deep_research.yaml
vars: {k: 1, language: en}
steps:
  questions:
    read:
      path: questions.jsonl
      key: question
      columns: {question: str, answer: str, used: "[str]", statements: "[{id: str, statement: str}]"}
  plans:
    from: questions
    plan_action: {model: writer, prompt: "${vars.language}/fas/plan.j2", k: "${vars.k}"}
publish: {plans: {from: plans}}
audit: {plans.plans_alike: ..0.6, plans.tools_per_question: 1.5..}
"""
EN = "In which year did the road bridge in Brennick open?"
ZH = "青岚市的那座大桥是哪一年通车的?"
ANALYSIS = {
    EN: "The town of Brennick is given, the bridge is not. The year in which it did open is asked. Find it first.",
    ZH: "题目给出青岚市，没有给出桥名，要问的是它哪一年通车。先找青岚市有哪些大桥，因为城市最能缩小范围，"
    "找到桥名之后再查通车的时间。城市是唯一的已知线索，其他内容都还不知道，所以从它开始最合适。",
}
OFF_TOPIC = "What is sought must be looked up first, since nothing about it is known to anybody so far, as one can see."


def search(*queries: str) -> dict[str, Any]:
    return {"name": "search", "arguments": {"query": list(queries)}}


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, replies: dict[str, Any], answers: dict[str, str], **sets: Any
) -> api.RunResult:
    """The spec over the questions of `answers`, answered by `replies`."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REPLIES", str(folder / "replies.json"))
    (folder / "replies.json").write_text(json.dumps(replies), encoding="utf-8")
    (folder / "models.yaml").write_text(MODELS, encoding="utf-8")
    (folder / "plans.yaml").write_text(SPEC, encoding="utf-8")
    rows = [{"question": q, "answer": a, "used": ["a"], "statements": [{"id": "a", "statement": "It opened."}]}
            for q, a in answers.items()]  # fmt: skip
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return api.run(folder / "plans.yaml", sets={f"vars.{name}": str(value) for name, value in sets.items()})


INVALID = [
    {"name": "dig", "arguments": {"query": ["Brennick bridge"]}},
    {"name": "search", "arguments": {"query": "Brennick bridge"}},
    {"name": "search", "arguments": {"query": ["Brennick"], "year": 1}},
    {"name": "search", "arguments": {}},
]
REJECTED = [
    ("right_final", EN, "1931", None, {"final": "1932"}),
    ("on_topic", EN, "1931", OFF_TOPIC, search("useful facts")),
    ("own_words", EN, "1931", None, search(EN)),
    ("own_words", EN, "1931", None, search("road bridge in Brennick: in which year did the open")),
    ("own_words", EN, "1931", None, search("In which year did", "the road bridge in Brennick", "open")),
    ("own_words", ZH, "1998年", None, search(ZH)),
    ("own_words", ZH, "1998年", None, search("是哪一年通车的 那座大桥 青岚市的")),
    ("short_queries", EN, "1931", None, search("Brennick bridge", "history of bridges and roads " * 5)),
    ("short", EN, "1931", None, search(*("Brennick bridge " + "pier " * 18 + str(n) for n in range(3)))),
    ("no_guess", EN, "1931", None, search("Brennick bridge 1931")),
    ("no_guess", EN, "1931", ANALYSIS[EN] + " I think it was 1931.", search("Brennick bridge")),
    ("no_guess", ZH, "1998年", ANALYSIS[ZH] + "应该是1998年。", search("青岚市 大桥")),
    ("no_part_of_it", EN, "1931; widened in 1974", ANALYSIS[EN] + " Perhaps 1974.", search("Brennick bridge")),
]  # fmt: skip
KEPT = [
    (EN, "1931", search("Brennick bridge")),
    (EN, "1931", search("Brennick road bridge opened", "Brennick bridges list")),
    (EN, "1931", {"name": "visit", "arguments": {"url": ["https://example.org/" + "x" * 150], "goal": "year"}}),
    (EN, "1931", {"name": "PythonInterpreter", "arguments": {"code": "print(1)\n" * 50}}),
    (EN, "The year 1931", {"final": "year 1931"}),
    (EN, "1931", {"final": "In 1931."}),
    (ZH, "1998年", search("青岚市 大桥 通车时间")),
]


def elsewhere(value: Any, case: int) -> Any:
    """The same in another town, so that all cases stand in one run."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.replace("Brennick", f"Brennick{chr(97 + case)}").replace("岚", "岚云雨雪风霜雷电"[case % 8]))


@pytest.mark.parametrize(("language", "asked"), [("en", EN), ("zh", ZH)])
def test_what_needs_no_judge_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, asked: str
) -> None:
    cases = [*(("not parsed", EN, "1931", None, call) for call in INVALID), *REJECTED]
    cases += [("kept", question, answer, None, call) for question, answer, call in KEPT]
    expected, replies, answers = {}, {}, {}
    for case, (reason, question, answer, analysis, call) in enumerate(each for each in cases if each[1] == asked):
        town = elsewhere(question, case)
        plan = elsewhere({"analysis": analysis or ANALYSIS[question], "call": call}, case)
        expected[town], replies[town], answers[town] = reason, {"plan": plan}, answer
    result = run(tmp_path, monkeypatch, replies, answers, language=language)
    run_ = inspect.open(result.path)
    question_of = dict(run_["questions"].select("_id", "question").collect().iter_rows())
    found = {each: "kept" for each in run_["plans"].collect()["question"]}
    for row, reason in run_.rejects.select("row", "reason").collect().iter_rows():
        found[question_of[row]] = reason.removeprefix("not ") if reason != "not parsed" else reason
    assert found == expected


def test_many_plans_of_one_question_are_measured_for_variety(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scholar = {"name": "google_scholar", "arguments": {"query": ["road engineering Brennick valley"]}}
    calls = [search("Brennick bridge"), search("Brennick bridge"), search("bridge Brennick opening"), scholar]
    replies = {EN: {"plan": [{"analysis": ANALYSIS[EN], "call": call} for call in calls]}}
    result = run(tmp_path, monkeypatch, replies, {EN: "1931"}, k=4)
    assert result.tables == {"plans": 4}
    run_ = inspect.open(result.path)
    assert bounds.check_bounds(run_, run_.ledger()) == []
    assert bounds.measure(run_, run_.ledger(), "plans.tools_per_question") == 2
    alike = bounds.measure(run_, run_.ledger(), "plans.plans_alike")
    assert alike == pytest.approx(1 / 6), "of six pairs one is the same, the others share no run of two words"

    replies[EN]["plan"] = replies[EN]["plan"][:1]
    (tmp_path / "alike").mkdir()
    result = run(tmp_path / "alike", monkeypatch, replies, {EN: "1931"}, k=4)
    run_ = inspect.open(result.path)
    problems = bounds.check_bounds(run_, run_.ledger())
    assert [each.split(" is ")[0] for each in problems] == ["plans.plans_alike", "plans.tools_per_question"]


def test_without_two_plans_of_a_question_there_is_no_likeness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(
        tmp_path,
        monkeypatch,
        {EN: {"plan": {"analysis": ANALYSIS[EN], "call": search("Brennick bridge")}}},
        {EN: "1931"},
    )
    run_ = inspect.open(result.path)
    assert bounds.measure(run_, run_.ledger(), "plans.plans_alike") is None
    assert bounds.measure(run_, run_.ledger(), "plans.tools_per_question") == 1


def test_one_plan_of_each_of_many_styles_on_one_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode that the shipped spec is set to: the questions vary, each gets its own plan."""
    monkeypatch.chdir(tmp_path)
    teacher = Path(__file__).parent / "teacher.py"
    (tmp_path / "models.yaml").write_text(MODELS.replace(str(TEACHER), str(teacher)))
    sets = {"vars.clusters": "8", "vars.k": "1"}
    result = api.run(shipped("specs") / "fas_planning.yaml", models=tmp_path / "models.yaml", sets=sets)
    run_ = inspect.open(result.path)
    asked = (
        run_["sound"].collect().with_columns(pl.col("statements").list.eval(pl.element().struct["id"]).list.join(""))
    )
    assert result.ledger["questions"].asked == 5 * result.ledger["anchors"].output
    assert asked.group_by("statements").agg(pl.col("style").n_unique())["style"].max() == 5
    drafts = run_["plans.drafts"].collect()
    assert drafts["question"].n_unique() == drafts.height, "one plan a question"
    assert run_["plans"].collect()["style"].n_unique() >= 3
