"""The main job on text that nobody of this project wrote: encyclopedia abstracts through both shipped specs."""

from pathlib import Path

import polars as pl
import pytest

from synthkit import api
from synthkit.core.resources import shipped
from synthkit.inspect.ledger import account

TEACHER = Path(__file__).parent.parent / "actions" / "teacher.py"
ARTICLES = 500


@pytest.mark.realdata
@pytest.mark.slow
def test_articles_become_first_moves(realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (realdata / "wiki" / "articles.jsonl").read_text(encoding="utf-8").splitlines()[:ARTICLES]
    Path("articles.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("models.yaml").write_text(
        f"engines: {{teacher: {{scripted: '{TEACHER}:reply'}}}}\n"
        "models: {writer: {engine: teacher}, judge: {engine: teacher, temperature: 0}}\n"
        "tokenizer: nano\n"
    )
    spec = shipped("specs") / "fas_planning.yaml"
    result = api.run(spec, models="models.yaml", sets={"vars.documents": "articles.jsonl"}, out="runs/fas_planning")

    assert result.stopped is None
    assert result.problems == []
    memory = api.open("runs/entity_memory")
    assert memory.ledger()["documents"].output == ARTICLES
    assert account(memory.store).problems == []
    statements = memory["memory"].select(pl.col("statements").list.len()).collect()["statements"]
    assert statements.min() >= 2
    assert result.tables["plans"] > 0
    plans = api.open("runs/fas_planning")["plans"].collect()
    assert plans["_id"].is_unique().all()
    assert (plans["tokens"] > 0).all()
