"""`decontaminate:` in a recipe: documents of every source, and every message of chats, that repeat a benchmark."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import call
from tests.train.corpus import documents, exported, ledger, recipe, write_jsonl

LEAK = "In which year was the old stone bridge over the river at Lisbon opened to the public for the first time"
REWORDED = LEAK.replace("old", "ancient").replace("public", "people")


def tale(at: int) -> str:
    return f"Tale {at}: a mill and a market and a lamp beside the canal, number {at * 7}."


def test_questions_are_looked_for_in_every_source(tmp_path: Path, base: Path) -> None:
    """Word for word within a document, and nearly as the whole of one; the ledger says which and where."""
    write_jsonl(tmp_path / "bench.jsonl", [{"question": LEAK}])
    said = f"Question: {LEAK}? Let me think."
    for first, name, leaks in ((0, "a", [said]), (100, "b", [REWORDED, f"Again: {LEAK}", said])):
        texts = [*map(tale, range(first, first + 30)), *leaks]
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": each} for each in texts])
    sources = "\n".join(f"  {name}: {{path: {tmp_path}/{name}.jsonl, share: 50%, repeat: 9}}" for name in "ab")
    against = f"{{against: {tmp_path}/bench.jsonl, fields: question}}"
    why = f"in benchmark {tmp_path}/bench.jsonl"
    for more in ({}, {"dedup": "{}"}):
        file = recipe(tmp_path / "r.yaml", base, sources, budget="3K", decontaminate=against, **more)
        manifest = exported(file, tmp_path / "out")
        wanted = {why: 2, "duplicate": 1} if more else {why: 3}  # a copy of a leak goes as a copy, and both go
        assert [manifest["sources"][name]["aside"] for name in "ab"] == [{why: 1}, wanted]
        for name, lines in (("a", [31]), ("b", [31, 32, 33])):
            told = [line["row"] for line in ledger(tmp_path / "out", name) if line["aside"] is not None]
            assert sorted(told) == [f"{tmp_path}/{name}.jsonl:{line}" for line in lines]
            assert len(documents(tmp_path / "out", name)) == 30


@pytest.mark.parametrize("place", ["user", "assistant", "call"])
def test_questions_are_looked_for_in_chats(
    tmp_path: Path, base: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chats = [
        {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": tale(at)}]}
        for at in range(20)
    ]
    leak: dict[str, object] = {"role": place, "content": f"Well: {LEAK}"}
    if place == "call":
        function = {"name": "search", "arguments": {"query": LEAK}}
        leak = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}]}
    write_jsonl(Path("a.jsonl"), [*chats, {"messages": [{"role": "user", "content": "hi"}, leak]}])
    write_jsonl(Path("bench.jsonl"), [{"question": LEAK}])
    source = "  a: {path: a.jsonl, messages: messages, share: 100%, repeat: 9}"
    against = "{against: bench.jsonl, fields: question}"
    file = recipe(Path("r.yaml"), base, source, outputs="[chat]", budget=500, decontaminate=against)
    exported(file, Path("out"))
    manifest = orjson.loads(Path("out/manifest.json").read_bytes())
    assert manifest["sources"]["a"]["aside"] == {"in benchmark bench.jsonl": 1}
    assert LEAK.encode() not in Path("out/chat/training.jsonl").read_bytes()
    assert "aside: in benchmark bench.jsonl" in call("trace", "out", "a.jsonl:21", "--no-row").out
