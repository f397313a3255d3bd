"""The shipped specs and the composite: they plan in both languages, and with a simple teacher they give rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from synthkit import api
from synthkit.actions.generate import Generate
from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped
from synthkit.core.types import ListOf, Object, Type
from synthkit.testing.scripted import read_log

SPECS = shipped("specs")
TEACHER = Path(__file__).parent / "teacher.py"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "models.yaml"
    file.write_text(
        f"engines: {{teacher: {{scripted: '{TEACHER}:reply', log: '{tmp_path / 'log'}'}}}}\n"
        "models: {writer: {engine: teacher}, judge: {engine: teacher, temperature: 0}}\n"
        "tokenizer: nano\n"
    )
    return file


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["entity_memory", "fas_planning", "fas_reasoning"])
def test_shipped_specs_plan_in_both_languages(models: Path, name: str, language: str) -> None:
    graph = api.check(SPECS / f"{name}.yaml", models=models, sets={"vars.language": language})
    assert graph.publish


@pytest.mark.parametrize("file", ["models.yaml", "models_vllm.yaml", "models_server.yaml"])
def test_shipped_models_files_serve_the_shipped_specs(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    graph = api.check(SPECS / "fas_planning.yaml", models=SPECS / file)
    assert set(graph.roles) == {"writer", "judge"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_replies_are_declared_in_the_order_the_prompts_ask_for(models: Path, language: str) -> None:
    """Constrained decoding writes keys in declared order: another one than the prompt's costs the model its plan."""
    for name in ("entity_memory", "fas_planning", "fas_reasoning"):
        graph = api.check(SPECS / f"{name}.yaml", models=models, sets={"vars.language": language})
        for node in graph.nodes.values():
            if isinstance(node.action, Generate):
                declared = list(_names(node.action.reply))
                text = (shipped("prompts") / node.action.prompt).read_text(encoding="utf-8")
                asked = re.findall(r'"(\w+)"', text[re.search("Reply with|回复格式", text).start() :])  # type: ignore[union-attr]
                assert [each for each in dict.fromkeys(asked) if each in declared] == declared, node.name


def _names(reply: Type) -> Iterator[str]:
    """Keys of a reply, outer ones first."""
    for name, each in reply.fields.items() if isinstance(reply, Object) else ():
        yield name
        yield from _names(each.of if isinstance(each, ListOf) else each)


def test_the_writer_of_plans_cannot_be_shown_the_answer(models: Path, tmp_path: Path) -> None:
    (tmp_path / "leak.j2").write_text('{% role "user" %}{{ question }} {{ answer }}{% endrole %}')
    text = (SPECS / "fas_planning.yaml").read_text()
    changed = text.replace('prompt: "${vars.language}/fas/plan.j2"', "prompt: leak.j2")
    assert changed != text
    (tmp_path / "spec.yaml").write_text(changed)
    with pytest.raises(SpecError, match="must not read 'answer'"):
        api.check(tmp_path / "spec.yaml", models=models, path=[SPECS])


def test_the_shipped_runs_give_rows_and_second_ones_ask_nothing(models: Path, tmp_path: Path) -> None:
    """fas_reasoning brings fas_planning up to date, and that entity_memory."""
    spec = SPECS / "fas_reasoning.yaml"
    result = api.run(spec, models=models)
    assert result.problems == []
    assert result.stopped is None
    assert [each.path.name for each in result.reads] == ["entity_memory", "fas_planning"]
    memory = api.open("runs/entity_memory")["memory"].collect()
    assert memory.height >= 30
    statements = memory.explode("statements").unnest("statements")
    assert statements.group_by("claim", "time").len().filter(pl.col("len") > 1).height >= 2, "contested ones are tied"
    plans = api.open("runs/fas_planning")["plans"].collect()
    assert plans.height >= 20
    assert plans["style"].value_counts()["count"].max() <= 10
    run = api.open("runs/fas_reasoning")
    chains, revisions = run["chains"].collect(), run["revisions"].collect()
    assert chains.height >= 20
    assert set(revisions["question"]) == set(chains["question"]), "every first answer was 1066"
    assert chains["style"].value_counts()["count"].max() <= 20
    asked = read_log(tmp_path / "log")
    again = api.run(spec, models=models)
    assert again.tables == result.tables
    assert read_log(tmp_path / "log") == asked
    assert set(asked.values()) == {1}
