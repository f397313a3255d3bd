"""Texts against benchmarks: what is a leak, what is not, and what the reject says."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit import api
from synthkit.actions.benchmarks import Benchmarks, Item, read
from synthkit.actions.decontaminate import Decontaminate
from synthkit.core.errors import SpecError
from synthkit.core.outcome import Outcome
from synthkit.testing.context import RecordingContext

from .fakes import FakeScope, types

COLUMNS = types({"question": "str", "answer": "str|none", "parts": ["str"], "size": "int"})
BRIDGE = (
    "Which bridge, opened in 1936 and painted in a colour called International Orange, was for 27 years the longest "
    "suspension bridge in the world and stands in the port of San Francisco?"
)
CHINESE = "请收集整理目前国际综合实力前十的保险公司的相关资料，横向比较各公司的融资情况、信誉度、过往五年的增长幅度"
SHORT = "Who wrote the book of the old stone bridge?"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    lines = [{"id": 1, "question": BRIDGE, "answer": "Golden Gate"}, {"id": 2, "question": SHORT}]
    (tmp_path / "bench/web.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    (tmp_path / "bench/zh.json").write_text(json.dumps([{"prompt": {"text": CHINESE}}], ensure_ascii=False))
    return tmp_path


def action(**more: Any) -> Decontaminate:
    given = {"text": "question", "against": "bench/*", "fields": ["question", "prompt.text"]}
    return Decontaminate.model_validate({**given, **more})


async def judged(row: dict[str, Any], **more: Any) -> Any:
    done = await RecordingContext(columns=COLUMNS).run(action(**more), row)
    return done.reject


async def test_a_question_of_a_benchmark_is_set_aside_and_named(folder: Path) -> None:
    reject = await judged({"question": f"Please answer: {BRIDGE.upper()}"})
    assert (reject.outcome, reject.reason) == (Outcome.FILTERED, "in benchmark bench/web.jsonl")
    assert reject.detail["at"] == "bench/web.jsonl:1"
    assert (reject.detail["field"], reject.detail["by"], reject.detail["share"]) == ("question", "run", 1.0)
    assert reject.detail["shared"] == "which bridge opened in 1936 and painted in a colour called international orange"
    assert reject.detail["benchmark"] == BRIDGE


async def test_case_width_and_punctuation_hide_nothing(folder: Path) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in BRIDGE)
    assert (await judged({"question": wide})).detail["by"] == "run"
    reject = await judged({"question": CHINESE.replace("，", ", ").replace("、", "")})
    assert (reject.detail["at"], reject.detail["shared"]) == ("bench/zh.json[0]", "请收集整理目前国际综合实力")


async def test_a_run_within_a_long_text_is_a_leak_and_twelve_words_are_none(folder: Path) -> None:
    words = BRIDGE.split()
    around = " ".join(f"word{n}" for n in range(500))
    assert (await judged({"question": f"{around} {' '.join(words[3:16])} {around}"})).detail["share"] < 0.1
    assert await judged({"question": f"{around} {' '.join(words[3:15])} {around}"}) is None
    assert (await judged({"question": f"{around} {' '.join(words[3:15])} {around}"}, ngram=12)) is not None


async def test_a_near_copy_shares_no_run_and_is_found(folder: Path) -> None:
    words = BRIDGE.split()
    words[::9] = ["something"] * len(words[::9])
    reject = await judged({"question": " ".join(words)})
    assert (reject.detail["by"], "shared" in reject.detail) == ("copy", False)
    assert 0.7 <= reject.detail["share"] < 1
    assert await judged({"question": " ".join(words)}, words=5) is None


async def test_short_rows_are_looked_for_whole(folder: Path) -> None:
    reject = await judged({"question": f"A list of questions. {SHORT} And more words that stand around it here."})
    assert (reject.detail["by"], reject.detail["at"]) == ("run", "bench/web.jsonl:2")
    assert await judged({"question": "Who wrote the book of the old stone house that stands near the bridge?"}) is None


async def test_lists_are_compared_text_by_text_and_nothing_is_no_text(folder: Path) -> None:
    halves = {"question": "", "parts": [BRIDGE[:40], BRIDGE[40:]]}
    assert await judged({"parts": ["unlike", BRIDGE]}, text="parts") is not None
    assert (await judged(halves, text="parts ~ ''")) is not None, "an expression may put them together"
    assert await judged({"answer": None}, text="answer") is None
    assert await judged({"question": ""}) is None


async def test_a_form_of_many_rows_is_no_leak(folder: Path) -> None:
    form = "Answer the following question as well as you can and think step by step before you answer. Question: "
    lines = [{"question": f"{form}{' '.join(f'{n}x{i}' for i in range(9))}"} for n in range(12)]
    (folder / "bench/web.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    text = {"question": f"{form} what is the tallest tower of that old town, and who built it for whom and when?"}
    assert await judged(text) is None
    assert (await judged(text, common=12)).detail["by"] == "run"


def test_problems_are_told_at_plan_time(folder: Path) -> None:
    assert FakeScope(COLUMNS).told(action()) == []
    assert FakeScope(COLUMNS).told(action(text="[question, answer]")) == []
    assert FakeScope(COLUMNS).told(action(text="size")) == ["'size' must be text or a list of texts, not int"]
    assert "no file matches 'none/*.jsonl'" in FakeScope(COLUMNS).told(action(against="none/*.jsonl"))[0]
    scope = FakeScope(COLUMNS)
    assert scope.told(action(fields=["query"])) == ["the benchmark bench/web.jsonl has no text in query"]
    (folder / "bench/web.jsonl").write_text('{"question": "a"}\n{"question": \n')
    with pytest.raises(SpecError, match=r"bench/web\.jsonl:2 is broken JSON"):
        list(read({"bench/web.jsonl": folder / "bench/web.jsonl"}, ["question"]))


def test_the_content_of_the_benchmark_is_in_the_fingerprint(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps({"question": BRIDGE}) + "\n" + json.dumps({"question": "new one"}))
    (folder / "spec.yaml").write_text(
        "name: clean\nsteps:\n"
        "  rows:\n    read: {path: rows.jsonl, columns: {question: str}}\n"
        "  clean:\n    from: rows\n"
        "    decontaminate: {text: question, against: bench/*.jsonl, fields: [question]}\n"
        "publish: {clean: {from: clean}}\n"
    )
    before = api.check("spec.yaml").nodes
    assert api.check("spec.yaml").nodes["clean"].fingerprint == before["clean"].fingerprint
    result = api.run("spec.yaml")
    assert result.problems == [] and result.tables == {"clean": 1}
    assert api.open("runs/clean").ledger()["clean"].reasons == {"in benchmark bench/web.jsonl": 1}
    (folder / "bench/web.jsonl").write_text('{"question": "new one"}\n')
    after = api.check("spec.yaml").nodes
    assert after["clean"].fingerprint != before["clean"].fingerprint
    assert after["rows"].fingerprint == before["rows"].fingerprint
    api.run("spec.yaml")
    assert api.open("runs/clean")["clean"].collect()["question"].to_list() == [BRIDGE]


VOCABULARY = [f"word{n}" for n in range(60)]


@given(st.integers(0, 10**6), st.integers(4, 20))
def test_runs_are_found_as_a_search_by_hand_finds_them(key: int, ngram: int) -> None:
    rng = random.Random(key)
    texts = [[rng.choice(VOCABULARY) for _ in range(rng.randint(1, 40))] for _ in range(8)]
    index = Benchmarks(
        [Item("f", str(n), "q", " ".join(each)) for n, each in enumerate(texts)],
        ngram=ngram,
        common=10**6,
        words=1,
        threshold=0.99,
    )
    source = rng.choice(texts)
    begin = rng.randint(0, max(len(source) - 1, 0))
    mine = [rng.choice("abc"), *source[begin : begin + rng.randint(1, 25)], rng.choice("abc")]
    shared = {
        (n, length)
        for n, each in enumerate(texts)
        if (length := min(ngram, len(each))) == ngram or length >= 8
        for at in range(len(each) - length + 1)
        if any(mine[i : i + length] == each[at : at + length] for i in range(len(mine)))
    }
    found = index.match(" ".join(mine))
    assert (found is not None and found.how == "run") == bool(shared)
    if found is not None and found.how == "run":
        assert found.shared in " ".join(mine) and found.shared in found.item.text
        assert 0 < found.share <= 1


@pytest.mark.realdata
async def test_real_benchmarks_are_found_in_themselves_and_not_in_an_encyclopedia(realdata: Path) -> None:
    files = {"drbench": realdata / "drbench/queries.jsonl", "webshaper": realdata / "webshaper/questions.jsonl"}
    items = list(read(files, ["prompt", "question"]))
    assert len(items) == 350
    index = Benchmarks(items, ngram=13, common=10, words=1, threshold=0.7)
    found = [index.match(item.text) for item in items]
    assert all(match is not None and match.item.text == item.text for match, item in zip(found, items, strict=True))
    with (realdata / "wiki/articles.jsonl").open() as lines:
        texts = [json.loads(line)["text"] for line in lines]
    assert sum(index.match(text) is not None for text in texts) <= 5


async def test_the_index_is_made_once_and_the_event_loop_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many rows come at once while it is made, and something else has its turns."""
    made: list[int] = []
    start = Benchmarks.__init__

    def slow(self: Benchmarks, *given: Any, **more: Any) -> None:
        made.append(threading.get_ident())
        time.sleep(0.5)
        start(self, *given, **more)

    monkeypatch.setattr(Benchmarks, "__init__", slow)
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    beating = asyncio.create_task(beat())
    one = action()
    rows = [{"question": BRIDGE}, {"question": "a question of nobody"}] * 10
    done = await asyncio.gather(*(RecordingContext(columns=COLUMNS).run(one, row) for row in rows))
    beating.cancel()
    assert [each.reject is not None for each in done] == [True, False] * 10
    assert len(made) == 1 and made[0] != threading.get_ident()
    assert turns > 10
