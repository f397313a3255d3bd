"""Private data and a benchmark's question go, and what is kept is what a model answers now and then."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthkit import api
from tests.cli.conftest import call

FOLDER = Path(__file__).parents[2] / "examples/hard_questions"
REPLIES = """
import json

RIGHT = {"opened to traffic": ("1931", 8), "concrete": ("620,000", 3), "stand that": ("Ilde River; no, River Ilde", 4)}


def reply(request):
    text = request.messages[0].content
    answer, times = next((each for words, each in RIGHT.items() if words in text), ("", 0))
    answers = [answer if number < times else "unknown" for number in range(request.n)]
    return [json.dumps({"thought": "so", "answer": each}) for each in answers]
"""


def test_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("replies.py").write_text(REPLIES)
    Path("models.yaml").write_text(
        "engines: {e: {scripted: 'replies.py:reply'}}\nmodels: {writer: {engine: e, temperature: 0.7}}\n"
    )
    sets = {"vars.questions": f"{FOLDER}/questions.jsonl", "vars.benchmarks": f"['{FOLDER}/benchmark.jsonl']"}
    result = api.run(FOLDER / "spec.yaml", models="models.yaml", sets=sets)
    assert (result.stopped, result.problems) == (None, [])
    ledger = result.ledger
    assert ledger["unseen"].reasons == {f"in benchmark {FOLDER}/benchmark.jsonl": 1}
    assert ledger["kept"].reasons == {"not answerable": 7, "not hard": 1}
    run = api.open("runs/hard_questions")
    (row,) = run["questions"].collect().to_dicts()
    assert (row["answer"], row["difficulty"], row["attempts"].count("620,000")) == ("620,000", 0.625, 3)
    clean = run["clean"].select("question", "scrubbed").collect().to_dicts()
    assert sum(each["scrubbed"]["email"] for each in clean) == 1
    assert not any("@" in each["question"] for each in clean)
    assert call("audit", "runs/hard_questions").code == 0
