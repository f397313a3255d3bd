"""What every store promises to the layers above; run over all registered stores, a plugin's included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synthkit.core.errors import StoreError, StoreLocked
from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.registry import STORES, group
from synthkit.core.store import Done, JournalKey, JournalRecord, RunStore, StepLayout
from synthkit.core.types import Int, Json, ListOf, Object, Optional, Str

DOCS = StepLayout("docs", digest("docs"), {"text": Str(), "meta": Json()})
PARTS = StepLayout("parts", digest("parts"), {"part": Str(), "n": Int()}, ("docs",))
SHORT = StepLayout("short", digest("short"), {}, ("parts",), keeps_id=True)
SCORED = StepLayout("scored", digest("scored"), {"score": Int(1, 5), "why": Optional(Str())}, ("short",), keeps_id=True)
LAYOUTS = (DOCS, PARTS, SHORT, SCORED)

Opener = Callable[..., RunStore]


@pytest.fixture(params=sorted(group(STORES)))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the run of one test, as often as it is asked to."""
    opened: list[RunStore] = []

    def open_store(write: bool = True, **more: Any) -> RunStore:
        opened.append(group(STORES)[request.param](tmp_path / "run", write=write, **more))
        return opened[-1]

    yield open_store
    for store in opened:
        asyncio.run(store.close())


def doc(number: int, **columns: Any) -> dict[str, Any]:
    return {"_id": mint("", "docs", number), "_parents": [], "text": f"text {number}", "meta": {"n": number}, **columns}


def part(of: dict[str, Any], n: int, input: str = "1") -> dict[str, Any]:
    columns = {"part": f"{of['text']} / {n}", "n": n}
    return {"_id": mint(of["_id"], "parts", n), "_parents": [of["_id"]], "_in": digest(input), **columns}


def kept(of: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"_id": of["_id"], "_parents": [of["_id"]], "_in": digest("1"), **columns}


def key(number: int, **fields: Any) -> JournalKey:
    names = {"row": mint("", "docs", number), "step": "parts", "call": "main", "attempt": 0, "request": digest("q")}
    return JournalKey(**{**names, **fields})


def record(number: int, first: int = 0, texts: tuple[str, ...] = ("one",), **fields: Any) -> JournalRecord:
    samples = tuple({"text": text, "finish": "stop", "reasoning": None, "label_logprobs": None} for text in texts)
    return JournalRecord(fields.pop("key", key(number)), first, samples, **fields)


async def test_a_call_is_found_by_its_key_alone(opener: Opener) -> None:
    journal = opener().journal
    assert await journal.find(key(1)) == []
    written = record(1, model="writer", prompt_tokens=7, cached_tokens=3, completion_tokens=5, seconds=0.5, at=9.0)
    journal.append(written)
    assert await journal.find(key(1)) == [written]
    for other in (key(2), key(1, step="x"), key(1, call="x"), key(1, attempt=1), key(1, request=digest("x"))):
        assert await journal.find(other) == []


async def test_a_larger_n_adds_a_record_to_the_same_call(opener: Opener) -> None:
    store = opener()
    late, early = record(1, first=2, texts=("c",)), record(1, texts=("a", "b"))
    store.journal.append(late)
    store.journal.append(early)
    assert await store.journal.find(key(1)) == [early, late]
    await store.close()
    assert await opener().journal.find(key(1)) == [early, late]


async def test_a_record_appended_twice_is_one(opener: Opener) -> None:
    store = opener()
    first = record(1, texts=("first",))
    for each in (first, record(1, texts=("second",))):
        store.journal.append(each)
    assert await store.journal.find(key(1)) == [first]
    await store.close()
    store = opener()
    assert await store.journal.find(key(1)) == [first]
    assert store.completions().collect().height == 1


async def test_a_thousand_look_ups_at_once(opener: Opener) -> None:
    store = opener()
    for number in range(0, 1000, 2):
        store.journal.append(record(number, texts=(str(number),)))
    await store.close()
    journal = opener().journal
    for number in range(1, 1000, 4):
        journal.append(record(number, texts=(str(number),)))
    found = await asyncio.gather(*(journal.find(key(number)) for number in range(1000)))
    texts = [[sample["text"] for one in records for sample in one.samples] for records in found]
    assert texts == [[str(n)] if n % 2 == 0 or n % 4 == 1 else [] for n in range(1000)]


async def test_an_effect_keeps_its_json_text(opener: Opener) -> None:
    store = opener()
    written = JournalRecord(key(1), 0, ({"text": '{"a": [1, null]}'},), kind="effect")
    store.journal.append(written)
    for journal in (store.journal, None):
        if journal is None:
            await store.close()
            journal = opener().journal
        (found,) = await journal.find(key(1))
        assert found.kind == "effect" and found.samples[0]["text"] == '{"a": [1, null]}'


async def test_half_a_character_does_not_end_a_run(opener: Opener) -> None:
    store = opener()
    store.journal.append(record(1, texts=("caf\udce9",)))
    await store.close()
    (found,) = await opener().journal.find(key(1))
    assert found.samples[0]["text"] == "caf�"


async def test_a_snapshot_says_what_became_of_each_row(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    docs = [doc(n) for n in range(6)]
    table = store.table("parts")
    children = [part(docs[0], 0), part(docs[0], 1), part(docs[1], 0, "other")]
    rejects = [
        Reject("parts", docs[2]["_id"], Outcome.FILTERED, "not long", input=digest("1")),
        Reject("parts", docs[2]["_id"], Outcome.FAILED, "not parsed", sample=0),
        Reject("parts", docs[3]["_id"], Outcome.PENDING, "unreachable", boundary="transport"),
        Reject("parts", docs[4]["_id"], Outcome.UNUSED, "over quota", boundary="quota"),
    ]
    await table.write(children, rejects)
    snapshot = table.snapshot()
    assert len(snapshot) == 3
    assert table.count() == 3
    assert sorted(table.ids()) == sorted(child["_id"] for child in children)
    found = snapshot.find([each["_id"] for each in docs])
    assert [done and (done.input, len(done.children), done.outcome, done.reason) for done in found] == [
        (digest("1"), 2, Outcome.KEPT, ""),
        (digest("other"), 1, Outcome.KEPT, ""),
        (digest("1"), 0, Outcome.FILTERED, "not long"),
        None,
        None,
        None,
    ]
    positions = [at for done in reversed(found[:2]) if done for at in done.children]
    wanted = [children[2], *children[:2]]
    assert snapshot.take(positions) == [{k: v for k, v in row.items() if k != "_in"} for row in wanted]


async def test_what_left_the_input_is_named(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    docs = [doc(n) for n in range(5)]
    table = store.table("parts")
    rejects = [Reject("parts", docs[n]["_id"], Outcome.FAILED, "x") for n in (2, 3)]
    await table.write([part(docs[0], 0), part(docs[1], 0)], rejects)
    snapshot = table.snapshot()
    snapshot.find([docs[0]["_id"], docs[2]["_id"], docs[4]["_id"]])
    gone = {row for batch in snapshot.unvisited() for row in batch}
    assert gone == {docs[1]["_id"], docs[3]["_id"]}
    await table.write([], [], sorted(gone))
    assert sorted(row for batch in table.snapshot().unvisited() for row in batch) == sorted(
        [docs[0]["_id"], docs[2]["_id"]]
    )


async def test_a_snapshot_does_not_see_what_is_written_later(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    docs = [doc(n) for n in range(4)]
    table = store.table("parts")
    await table.write([part(each, 0) for each in docs[:2]], [])
    snapshot = table.snapshot()
    await table.write([part(docs[0], 5, "new"), part(docs[2], 0)], [], [docs[0]["_id"]])
    assert snapshot.find([docs[0]["_id"], docs[2]["_id"]]) == [Done(digest("1"), (0,)), None]
    assert snapshot.take([0])[0]["_id"] == part(docs[0], 0)["_id"]
    assert table.snapshot().find([docs[0]["_id"]])[0] is not None


async def test_stale_rows_go_with_their_rejects_and_siblings_stay(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    docs = [doc(n) for n in range(2)]
    await store.table("docs").write(docs, [])
    table = store.table("parts")
    sample = Reject("parts", docs[0]["_id"], Outcome.FAILED, "not parsed", sample=1)
    await table.write([part(docs[0], 0), part(docs[0], 1), part(docs[1], 0)], [sample])
    await table.write([], [Reject("parts", docs[0]["_id"], Outcome.FILTERED, "no")], [docs[0]["_id"]])
    assert list(table.ids()) == [part(docs[1], 0)["_id"]]
    assert store.rejects().collect()["reason"].to_list() == ["no"]
    await table.write([part(docs[0], 7)], [], [docs[0]["_id"]])
    assert store.rejects().collect().height == 0
    assert sorted(store.scan("parts").collect()["n"]) == [0, 7]


async def test_rejects_are_one_line_each(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    row = doc(1)["_id"]
    line = Reject("parts", row, Outcome.FAILED, "first", sample=0, key="main", raw="{", detail={"at": [1, None]})
    again = Reject("parts", row, Outcome.FAILED, "second", sample=0, key="main", raw="{")
    other = Reject("parts", row, Outcome.FAILED, "third", sample=0, key="main", attempt=1)
    await store.table("parts").write([], [line])
    await store.table("parts").write([], [again, other])
    lines = store.rejects().collect().sort("attempt")
    assert lines["reason"].to_list() == ["second", "third"]
    assert lines["fingerprint"].unique().to_list() == [PARTS.fingerprint]


async def test_a_table_step_is_replaced_whole(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    import pyarrow as pa

    from synthkit.core.types.arrow import encode

    def batches(count: int, dropped: list[Reject]) -> Iterator[Any]:
        for n in range(count):
            added = encode(DOCS.adds, [doc(n)])
            ids = pa.array([doc(n)["_id"]])
            yield pa.RecordBatch.from_arrays([ids, *added.columns], ["_id", *added.schema.names])
        dropped.append(Reject("docs", doc(99)["_id"], Outcome.DUPLICATE, "duplicate"))

    table = store.table("docs")
    for count in (3, 2):
        dropped: list[Reject] = []
        await table.replace(batches(count, dropped), dropped)
        rows = store.scan("docs").collect()
        assert sorted(rows["text"]) == [f"text {n}" for n in range(count)]
        assert store.rejects().collect()["row"].to_list() == [doc(99)["_id"]]
    await table.replace(None, [])
    assert table.count() == 2 and store.rejects().collect().height == 0
    nothing = next(batches(1, [])).slice(1)  # a batch of which every row was let go
    await table.replace(iter([nothing, *batches(2, [])]), [])
    assert table.count() == 2
    await table.replace(iter(()), [])
    assert table.count() == 0


async def test_an_error_in_a_table_step_comes_through_and_changes_nothing(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    table = store.table("docs")
    await table.write([doc(1)], [])

    def broken() -> Iterator[Any]:
        raise ZeroDivisionError("in the action")
        yield

    with pytest.raises(ZeroDivisionError, match="in the action"):
        await table.replace(broken(), [])
    assert table.count() == 1


async def test_reading_joins_what_is_asked_for(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    docs = [doc(n) for n in range(2)]
    parts = [part(each, n) for each in docs for n in range(3)]
    await store.table("docs").write(docs, [])
    await store.table("parts").write(parts, [])
    await store.table("short").write([kept(each) for each in parts if each["n"] < 2], [])
    scored = [kept(each, score=each["n"] + 1, why=None) for each in parts if each["n"] < 1]
    await store.table("scored").write(scored, [])
    assert list(store.columns("scored")) == ["text", "meta", "part", "n", "score", "why"]
    rows = store.scan("scored").collect().sort("text")
    assert rows.columns == ["_id", "_parents", "text", "meta", "part", "n", "score", "why"]
    assert rows["part"].to_list() == ["text 0 / 0", "text 1 / 0"]
    assert rows["text"].to_list() == ["text 0", "text 1"]
    assert store.scan("short", ["meta"]).collect().columns == ["_id", "_parents", "meta"]
    assert store.scan("short", []).collect()["_id"].to_list() == [each["_id"] for each in parts if each["n"] < 2]
    with pytest.raises(StoreError, match="no column 'txt'; it has text, meta, part, n"):
        store.scan("short", ["txt"])
    with pytest.raises(StoreError, match="no step 'shrt'; it has docs, parts, short, scored"):
        store.scan("shrt")


async def test_unions_and_hidden_columns(opener: Opener) -> None:
    store = opener()
    long = StepLayout("long", digest("long"), {"reason": Str()}, ("parts",), keeps_id=True)
    union = StepLayout("both.union", digest("u"), {}, ("short", "long"), union=True)
    hidden = frozenset({"draft", "n"})
    inner = StepLayout(
        "both", digest("n"), {"name": Str(), "draft": Str()}, ("both.union",), keeps_id=True, hidden=hidden
    )
    last = StepLayout("last", digest("l"), {"draft": Int()}, ("both",), keeps_id=True)
    store.describe([DOCS, PARTS, SHORT, long, union, inner, last])
    docs = [doc(n) for n in range(2)]
    parts = [part(each, n) for each in docs for n in range(2)]
    await store.table("docs").write(docs, [])
    await store.table("parts").write(parts, [])
    await store.table("short").write([kept(each) for each in parts if each["n"] == 0], [])
    await store.table("long").write([kept(each, reason="long") for each in parts if each["n"] == 1], [])
    joined = [
        {"_id": mint(row["_id"], "both", branch), "_parents": [row["_id"]], "_branch": branch}
        for row in parts
        for branch in [("short", "long")[row["n"]]]
    ]
    await store.table("both.union").write(joined, [])
    await store.table("both").write([kept(row, name="x", draft="y") for row in joined], [])
    await store.table("last").write([kept(row, draft=3) for row in joined], [])
    assert list(store.columns("both")) == ["text", "meta", "part", "reason", "name"]
    rows = store.scan("both").collect().sort("part")
    assert rows.columns == ["_id", "_parents", "text", "meta", "part", "reason", "name"]
    assert rows["part"].to_list() == sorted(each["part"] for each in parts)
    assert rows["reason"].to_list() == [None, "long", None, "long"]
    assert store.scan("last", ["draft", "text"]).collect()["draft"].to_list() == [3] * 4
    assert sorted(store.scan("both.union", ["_branch"]).collect()["_branch"]) == ["long", "long", "short", "short"]


async def test_another_fingerprint_starts_empty_and_the_old_one_comes_back(opener: Opener) -> None:
    one, two, three, four = (
        StepLayout("parts", digest(f), {"part": Str(), f"n{f}": Int()}, ("docs",)) for f in range(4)
    )
    rows = [doc(n)["_id"] for n in range(4)]

    async def use(layout: StepLayout, write: bool) -> tuple[int, int]:
        store = opener()
        store.describe([DOCS, layout])
        table = store.table("parts")
        before = len(table.snapshot())
        if write:
            column = list(layout.adds)[1]
            child = {"_id": mint(rows[0], "parts"), "_parents": [rows[0]], "_in": digest("1"), "part": "x", column: 1}
            await table.write([child], [Reject("parts", rows[1], Outcome.FAILED, column)])
        reasons = store.rejects().collect()["reason"].to_list()
        assert all(reason in layout.adds for reason in reasons)
        await store.close()
        return before, len(reasons)

    assert await use(one, True) == (0, 1)
    assert await use(two, True) == (0, 1)
    assert await use(one, False) == (2, 1)
    assert await use(three, True) == (0, 1)
    assert await use(four, True) == (0, 1)
    assert await use(one, False) == (2, 1)
    assert await use(two, False) == (0, 0), "only the last three fingerprints are kept"


async def test_readers_see_the_fingerprint_in_force(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    await store.table("docs").write([doc(1)], [])
    await store.close()
    other = StepLayout("docs", digest("other"), {"title": Str()})
    writer = opener()
    writer.describe([other])
    reader = opener(write=False)
    assert reader.scan("docs").collect().columns == ["_id", "_parents", "title"]
    assert reader.scan("docs").collect().height == 0
    await writer.table("docs").write([{"_id": doc(1)["_id"], "_parents": [], "title": "t"}], [])
    assert reader.scan("docs").collect()["title"].to_list() == ["t"]


async def test_retry_raises_the_attempt_and_takes_the_rejects_out(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    rows = [doc(n)["_id"] for n in range(3)]
    table = store.table("parts")
    await table.write([], [Reject("parts", row, Outcome.FAILED, "x", sample=s) for row in rows for s in (None, 0)])
    store.retry("parts", {rows[0]: {"temperature": 1.0}, rows[1]: {}})
    store.retry("parts", {rows[0]: {"max_tokens": 5}})
    assert store.rejects().collect()["row"].unique().to_list() == [rows[2]]
    await store.close()
    store = opener()
    assert store.attempts("parts") == {rows[0]: (2, {"max_tokens": 5}), rows[1]: (1, {})}
    assert store.attempts("docs") == {}
    assert store.table("parts").snapshot().find(rows)[:2] == [None, None]


async def test_publishing_writes_only_what_changed_and_tags_stay(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    types = {"text": Str(), "meta": Json()}
    await store.table("docs").write([doc(1), doc(2)], [])
    assert store.publish("corpus", "docs", ["meta", "text"], types) == 2
    first = store.published_version("corpus")
    assert store.publish("corpus", "docs", ["meta", "text"], types) == 2
    assert store.published_version("corpus") == first
    assert store.tag("v1") == {"corpus": first}
    await store.table("docs").write([doc(3)], [])
    assert store.publish("corpus", "docs", ["meta", "text"], types) == 3
    with pytest.raises(StoreError, match="a tag never moves"):
        store.tag("v1")
    store.clean()
    await store.close()
    reader = opener(write=False)
    assert reader.published("corpus").collect().columns == ["_id", "meta", "text"]
    assert sorted(reader.published("corpus").collect()["text"]) == ["text 1", "text 2", "text 3"]
    assert sorted(reader.published("corpus", "v1").collect()["text"]) == ["text 1", "text 2"]
    assert dict(reader.published_types("corpus")) == {"meta": Json(), "text": Str()}
    assert reader.published_names() == ["corpus"]
    with pytest.raises(StoreError, match="no tag 'v2'; it has v1"):
        reader.published("corpus", "v2")
    with pytest.raises(StoreError, match="no published table 'copus'; it has corpus"):
        reader.published("copus")


async def test_nested_values_come_back_as_they_went(opener: Opener) -> None:
    store = opener()
    nested = {"claims": ListOf(Object({"text": Str(), "extra": Json(), "at": Optional(Int())}))}
    store.describe([StepLayout("claims", digest("c"), nested)])
    value = [{"text": "甲", "extra": {"a": [1, {"b": None}]}, "at": None}, {"text": "", "extra": None, "at": 3}]
    row = doc(1)["_id"]
    await store.table("claims").write([{"_id": row, "_parents": [], "claims": value}], [])
    snapshot = store.table("claims").snapshot()
    (done,) = snapshot.find([row])
    assert done is not None
    assert snapshot.take(done.children) == [{"_id": row, "_parents": [], "claims": value}]


async def test_state_and_layouts_outlive_the_process(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    store.state["vars"] = {"k": 8}
    store.save()
    await store.close()
    reader = opener(write=False)
    assert reader.state["vars"] == {"k": 8}
    assert tuple(reader.layouts.values()) == LAYOUTS
    with pytest.raises(StoreError, match="opened for reading"):
        reader.save()
    with pytest.raises(StoreError, match="opened for reading"):
        reader.journal.append(record(1))
    with pytest.raises(StoreError, match="opened for reading"):
        await reader.table("docs").write([doc(1)], [])


async def test_one_writer_and_readers_beside_it(opener: Opener) -> None:
    store = opener()
    with pytest.raises(StoreLocked, match="is being written by process"):
        opener()
    reader = opener(write=False)
    assert reader.completions().collect().height == 0
    assert reader.rejects().collect().height == 0
    await store.close()
    await opener().close()


def test_a_run_that_is_not_there_is_not_made_by_reading(opener: Opener) -> None:
    with pytest.raises(StoreError, match="is not a run"):
        opener(write=False)
    with pytest.raises(StoreError, match="is not a run"):
        opener(create=False)


async def test_ids_of_any_other_kind_are_refused(opener: Opener) -> None:
    store = opener()
    store.describe(LAYOUTS)
    with pytest.raises(StoreError, match="'7' is not 32 lower-case hex digits"):
        await store.table("docs").write([doc(1, _id="7")], [])
    assert store.table("docs").count() == 0


async def test_artifacts_stay_inside_the_run(opener: Opener) -> None:
    store = opener()
    assert store.artifact("index").is_dir()
    assert store.artifact("index").is_relative_to(store.path)
    with pytest.raises(StoreError, match="inside the run"):
        store.artifact("../..")
