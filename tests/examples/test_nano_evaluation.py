"""What weights are chosen on and what the card reports are drawn apart."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def evaluate(nano: dict[str, ModuleType]) -> ModuleType:
    """The script that measures, beside the modules that make examples."""
    return importlib.import_module("evaluate")


def test_worlds_of_the_splits_share_no_subject(evaluate: ModuleType) -> None:
    first, second = ({d["title"] for d in evaluate.world_documents(12, split)} for split in evaluate.SPLITS)
    assert len(first) == len(second) == 12 and not first & second
    assert {d["title"] for d in evaluate.world_documents(12, "test")} == second


def test_real_documents_of_the_splits_are_others(
    evaluate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wiki").mkdir()
    lines = "".join(json.dumps({"id": n}) + "\n" for n in range(200))
    (tmp_path / "wiki" / "articles.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.setenv("SYNTHKIT_REALDATA", str(tmp_path))
    first, second = ({d["id"] for d in evaluate.real_documents(40, split)} for split in evaluate.SPLITS)
    assert len(first) == len(second) == 40 and not first & second


def test_planted_errors_of_the_splits_differ(evaluate: ModuleType) -> None:
    planted = evaluate.planted
    first, second = (planted.rows_of("plan", 8, seed) for seed in evaluate.SPLITS.values())
    assert [row["error"] for row in first] == [row["error"] for row in second]
    assert not {row["question"] for row in first} & {row["question"] for row in second}
