"""The spec fas_reasoning, answered by a scripted teacher: what is kept, rejected where, and made a revision."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthkit import api, inspect
from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped
from synthkit.inspect import bounds
from tests.actions.test_plan_action import MODELS

SPEC = shipped("specs") / "fas_reasoning.yaml"
TOWNS = ["Brennick", "Aldmoor", "Corvale", "Dunmere", "Elsworth", "Farrow", "Garstang", "Hexley", "Ilford", "Jarrow",
         "Kelso", "Lorne", "Morpeth", "Nairn", "Oban", "Penrith", "Quorn", "Ripon", "Selby"]  # fmt: skip
CHAIN = (
    "Asked is the bridge that stands in Brennick. The Kestrel Bridge in Brennick opened to traffic in 1931. "
    "No other bridge is asked for, so the answer is 1931."
)


@dataclass(frozen=True)
class Case:
    """One question: what the teacher replies, where its row ends, and whether it is a revision."""

    end: str
    """`kept`, or `step: reason`."""
    revision: bool = False
    chain: str = CHAIN
    final: str = "1931"
    first: str = "1925"
    fixes: list[str] = field(default_factory=lambda: ["I supposed that it opened in 1925, but it opened in 1931."])
    same: str = "fail"
    supported: str = "pass"
    draft: str = "A bridge in Brennick is asked for. I suppose that it is the old one and opened in 1925."


OWN = "The Kestrel Bridge in Brennick opened to traffic in 1931. It carried 38,400 vehicles a day in 2022, and 35,900"
EN = [
    Case("kept", revision=True),
    Case("kept", first="1931", fixes=[]),
    Case("kept", first="It opened in 1931."),
    Case("kept", fixes=[]),
    Case("kept", revision=True, final="the year 1931", chain=CHAIN.replace("is 1931", "is the year 1931"), same="pass"),
    Case(
        "kept", revision=True, chain=f"{OWN} in 1998: 38,400 - 35,900 = 2,500 more. The year that is asked for is 1931."
    ),
    Case(
        "kept",
        revision=True,
        chain=f"{CHAIN} It carried 38,400 vehicles then, that is 38400.",
        final="38.4 thousand",
        same="pass",
    ),
    Case("kept", revision=True, chain=CHAIN + " The rest of the 1930s does not matter, nor does the 20th century."),
    Case("agreed: not agrees", final="2022", chain=CHAIN + " Or else it is 2022."),
    Case("agreed: not agrees", final="the year 1931", chain=CHAIN.replace("is 1931", "is the year 1931")),
    Case("clean: not no_leak", chain=f"According to the given facts, {CHAIN}"),
    Case("clean: not no_leak", fixes=["I supposed 1925, but the provided statements say 1931."]),
    Case("clean: not in_range", chain="The Kestrel Bridge in Brennick opened to traffic in 1931: 1931."),
    Case("clean: not cites_evidence", chain=CHAIN.replace("The Kestrel Bridge in Brennick opened to traffic", "Done")),
    Case("clean: not reaches_final", final="a certain later time"),
    Case("clean: not own_figures", chain=CHAIN + " It cost 4,750,000 dollars."),
    Case("clean: not own_figures", chain=CHAIN + " It was not finished by 1925."),
    Case("clean: not own_fixes", fixes=["I supposed that it opened in 1925, but it opened in 1947."]),
    Case("supported: not supported", chain=CHAIN + " It is the longest of the country.", supported="fail"),
]
ZH_CHAIN = "题目问的是青岚市的大桥。位于青岚市的沧浪大桥于1998年建成通车。没有其他大桥与题目相符，所以答案是1998年。"
ZH = [
    Case(
        "kept",
        True,
        ZH_CHAIN,
        "1998年",
        "1995年",
        ["我原以为它1995年通车，其实是1998年。"],
        draft="我猜是1995年。" * 10,
    ),
    Case("kept", False, ZH_CHAIN, "1998", "一九九八年", [], draft="我猜是1998年。" * 10),
    Case("clean: not no_leak", False, "根据给定的事实，" + ZH_CHAIN, "1998年", "1995年", ["我原以为是1995年。"]),
    Case("clean: not own_figures", False, ZH_CHAIN + "它长2400米。", "1998年", "1995年", ["我原以为是1995年。"]),
    Case("agreed: not agrees", False, ZH_CHAIN, "青岚市", "1995年", ["我原以为是1995年。"]),
]
ROWS: dict[str, dict[str, Any]] = {
    "en": {
        "question": "In which year did the bridge in Brennick open?",
        "answer": "1931",
        "used": ["a", "b"],
        "statements": [
            {"id": "a", "statement": "The Kestrel Bridge in Brennick opened to traffic in 1931.", "time": "1931"},
            {"id": "b", "statement": "It carried 38,400 vehicles a day in 2022, and 35,900 in 1998.", "time": "2022"},
            {"id": "c", "statement": "The Kestrel Bridge cost 4,750,000 dollars.", "time": None},
        ],
    },
    "zh": {
        "question": "青岚市的那座大桥是哪一年通车的？",
        "answer": "1998年",
        "used": ["a"],
        "statements": [{"id": "a", "statement": "位于青岚市的沧浪大桥于1998年建成通车。", "time": "1998"}],
    },
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a models file; replies are those of `replies.json`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLIES", str(tmp_path / "replies.json"))
    (tmp_path / "models.yaml").write_text(MODELS)
    return tmp_path


def run(here: Path, language: str, cases: list[Case]) -> tuple[api.RunResult, dict[str, Case]]:
    """The shipped spec with its questions from a file; question -> case."""
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    columns = {"question": "str", "answer": "str", "used": "[str]", "style": "factual|survey",
               "statements": "[{id: str, statement: str, time: date|none}]"}  # fmt: skip
    spec["steps"]["questions"] = {"read": {"path": "questions.jsonl", "key": "question", "columns": columns}}
    spec["vars"] |= {"language": language, "least": 100 if language == "en" else 40}
    (here / "fas_reasoning.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False))
    rows, replies, told = [], {}, {}
    for town, case in zip(TOWNS[: len(cases)], cases, strict=True):

        def there(value: Any, town: str = town) -> Any:
            text = json.dumps(value, ensure_ascii=False)
            return json.loads(text.replace("Brennick", town).replace("青岚", town))

        row = there(ROWS[language]) | {"style": "factual"}
        rows.append(json.dumps(row, ensure_ascii=False))
        told[row["question"]] = case
        replies[row["question"]] = {
            "draft": there({"parts": ["Which bridge?"], "draft": case.draft, "first_answer": case.first}),
            "refine": there({"fixes": case.fixes, "chain": case.chain, "final": case.final}),
            "same": case.same,
            "supported": case.supported,
        }
    (here / "questions.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (here / "replies.json").write_text(json.dumps(replies), encoding="utf-8")
    return api.run(here / "fas_reasoning.yaml"), told


@pytest.mark.parametrize(("language", "cases"), [("en", EN), ("zh", ZH)])
def test_each_chain_ends_where_it_should(here: Path, language: str, cases: list[Case]) -> None:
    result, told = run(here, language, cases)
    assert result.problems == []
    run_ = inspect.open(result.path)
    question_of = dict(run_["questions"].select("_id", "question").collect().iter_rows())
    chains, revisions = run_["chains"].collect(), run_["revisions"].collect()
    ends = dict.fromkeys(chains["question"], "kept")
    for row, step, reason in run_.rejects.select("row", "step", "reason").collect().iter_rows():
        if step != "corrected":
            ends[question_of[row]] = f"{step}: {reason}"
    assert ends == {question: case.end for question, case in told.items()}
    assert sorted(revisions["question"]) == sorted(question for question, case in told.items() if case.revision)

    reached = [case for case in told.values() if not case.end.startswith("clean")]
    opened = [case for case in reached if case.same == "pass" or case.end.startswith("agreed")]
    assert result.ledger["agreed"].asked == len(opened), "a judge is asked only what the match left open"
    assert result.ledger["supported"].asked == len([case for case in reached if not case.end.startswith("agreed")])
    assert bounds.check_bounds(run_, run_.ledger()) == []


def test_documents_say_what_each_part_is(here: Path) -> None:
    result, _ = run(here, "en", EN[:1])
    run_ = inspect.open(result.path)
    for table, roles in {
        "chains": ["question", "reasoning", "answer"],
        "revisions": ["question", "draft", "correction", "reasoning", "answer"],
    }.items():
        row = run_[table].collect().to_dicts()[0]
        assert [span["role"] for span in row["spans"]] == roles
        parts = {span["role"]: row["text"][span["start"] : span["end"]] for span in row["spans"]}
        assert CHAIN in parts["reasoning"] and "1931" in parts["answer"] and row["answer"] == "1931"
        if table == "revisions":
            assert "1925" in parts["draft"] and "1931" not in parts["draft"]
            assert EN[0].fixes[0] in parts["correction"]
        else:
            assert "1925" not in row["text"]


def test_several_drafts_of_a_question(here: Path) -> None:
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    assert spec["steps"]["drafts"]["generate"]["n"] == "${vars.k}"
    _, told = run(here, "en", EN[:1])
    result = api.run(here / "fas_reasoning.yaml", sets={"vars.k": "3"})
    assert result.ledger["drafts"].asked == 3 * len(told)
    assert result.tables == {"chains": 3, "revisions": 3}


@pytest.mark.parametrize(
    ("prompt", "column"), [("reason_draft", "evidence"), ("reason_draft", "answer"), ("reason_refine", "answer")]
)
def test_the_writer_cannot_be_shown_what_it_must_find(here: Path, prompt: str, column: str) -> None:
    (here / "leak.j2").write_text(f'{{% role "user" %}}{{{{ question }}}} {{{{ {column} }}}}{{% endrole %}}')
    text = SPEC.read_text(encoding="utf-8")
    changed = text.replace(f'"${{vars.language}}/fas/{prompt}.j2"', "leak.j2")
    assert changed != text
    (here / "spec.yaml").write_text(changed)
    with pytest.raises(SpecError, match=f"must not read '{column}'"):
        api.check(here / "spec.yaml", models=here / "models.yaml", path=[SPEC.parent])
