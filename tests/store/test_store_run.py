from __future__ import annotations

import asyncio
import os
import re
import resource
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import lance
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.errors import StoreError, StoreFull, StoreLocked
from synthkit.core.ids import digest, mint
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.store import JournalKey, JournalRecord, StepLayout
from synthkit.core.types import Choice, Int, Json, ListOf, MapOf, Object, Optional, Ref, Str
from synthkit.store import dataset as dataset_module
from synthkit.store import layouts
from synthkit.store.dataset import Dataset
from synthkit.store.lock import RunLock
from synthkit.store.run import LanceRun, open_run
from synthkit.store.writer import disk_error

DOCS = StepLayout("docs", digest("docs"), {"text": Str()})
PARTS = StepLayout("parts", digest("parts"), {"n": Int()}, ("docs",))


def docs(count: int, begin: int = 0) -> list[dict[str, object]]:
    return [{"_id": mint("", "docs", n), "_parents": [], "text": f"t{n}"} for n in range(begin, begin + count)]


TYPES = st.recursive(
    st.sampled_from([Str(), Str(1, 9), Int(0, 5), Json(), Choice(("a", "b")), Ref("text")]),
    lambda inner: (
        inner.map(ListOf)
        | inner.map(MapOf)
        | inner.filter(lambda of: not isinstance(of, Optional)).map(Optional)
        | st.dictionaries(st.sampled_from("xyz"), inner, min_size=1).map(Object)
    ),
    max_leaves=4,
)
NAMES = st.sampled_from(["one", "two.inner", "three"])
LAYOUTS = st.builds(
    StepLayout,
    name=NAMES,
    fingerprint=st.integers(0, 9).map(digest),
    adds=st.dictionaries(st.sampled_from("abc"), TYPES),
    parents=st.lists(NAMES, max_size=2).map(tuple),
    carries=st.booleans(),
    keeps_id=st.booleans(),
    union=st.booleans(),
    hidden=st.frozensets(st.sampled_from("abc")),
)


@given(LAYOUTS)
def test_layouts_come_back_from_run_json(layout: StepLayout) -> None:
    assert layouts.load(orjson.loads(orjson.dumps(layouts.dump(layout)))) == layout


async def test_damaged_or_unknown_run_json_is_refused_and_touched_by_nobody(tmp_path: Path) -> None:
    await open_run(tmp_path, write=True).close()
    path = tmp_path / "run.json"
    for content, message in [
        (b'{"format": 1, "lay', "is damaged"),
        (b'{"format": 2}', "has format 2, this version of synthkit knows format 1"),
        (b"[]", "has format None"),
    ]:
        path.write_bytes(content)
        for write in (True, False):
            with pytest.raises(StoreError, match=message):
                open_run(tmp_path, write=write)
        assert path.read_bytes() == content
    path.unlink()
    await open_run(tmp_path, write=True).close()


async def test_a_half_written_run_json_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(tmp_path, write=True)
    before = (tmp_path / "run.json").read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    run.state["vars"] = {"k": 1}
    with pytest.raises(StoreFull, match="the disk is full"):
        run.save()
    monkeypatch.undo()
    assert (tmp_path / "run.json").read_bytes() == before
    assert not list(tmp_path.glob("*.new"))
    await run.close()


HOLD = """
import pathlib, sys
from synthkit.store.lock import RunLock
lock = RunLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
input()
"""

FORK = """
import os, pathlib, sys, time
from synthkit.store.lock import RunLock
folder = pathlib.Path(sys.argv[1])
lock = RunLock(folder)
ready, started = os.pipe()
child = os.fork()
if not child:
    os.write(started, b"x")
    time.sleep(30)
    os._exit(0)
os.read(ready, 1)
lock.release()
RunLock(folder).release()
os.kill(child, 9)
print("free")
"""


def test_the_second_writer_is_told_who_the_first_is_until_that_one_is_killed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=-1, stdout=-1)
    with child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked, match=rf"process {child.pid} on .*; .* --out"):
            RunLock(tmp_path)
        child.kill()
    lock = RunLock(tmp_path)
    lock.release()
    lock.release()


def test_forked_children_do_not_hold_the_lock(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "free\n", done.stderr


def test_rubbish_in_the_lock_file_hurts_nobody(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("rubbish")
    lock = RunLock(tmp_path)
    (tmp_path / ".lock").write_text("rubbish")
    with pytest.raises(StoreLocked, match="being written by another process"):
        RunLock(tmp_path)
    lock.release()


async def test_a_run_that_cannot_be_opened_lets_go_of_its_lock(tmp_path: Path) -> None:
    tmp_path.joinpath("run.json").write_text("{")
    for _ in range(2):
        with pytest.raises(StoreError, match="is damaged"):
            open_run(tmp_path, write=True)


async def test_a_damaged_table_says_what_to_do(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    run.describe([DOCS])
    await run.table("docs").write(docs(3), [])
    await run.close()
    for manifest in (tmp_path / "docs.lance" / "_versions").iterdir():
        manifest.write_bytes(b"rubbish")
    run = open_run(tmp_path, write=True)
    with pytest.raises(StoreError, match="Remove that folder and run again"):
        run.table("docs")
    await run.close()


async def test_files_that_are_gone_are_said_wherever_they_are_read(tmp_path: Path) -> None:
    store = open_run(tmp_path / "run", write=True)
    store.describe([DOCS, PARTS])
    await store.table("docs").write(docs(3), [])
    children = [{"_id": mint(each["_id"], "parts", 0), "_parents": [each["_id"]], "n": 1} for each in docs(3)]
    await store.table("parts").write(children, [])
    store.publish("out", "parts", ["n"], {})
    await store.close()
    for folder in ("docs.lance", "published/out.lance"):
        for file in (tmp_path / "run" / folder / "data").iterdir():
            file.write_bytes(file.read_bytes()[:40])
    store = open_run(tmp_path / "run", write=False)
    whole = re.escape(str(tmp_path / "run" / "docs.lance")) + " cannot be read: .* Remove that folder and run again"
    for reading in (
        lambda: store.scan("docs").collect(),
        lambda: store.scan("parts", ["text"]).collect(),
        store.table("docs").snapshot,
    ):
        with pytest.raises(StoreError, match=whole):
            reading()
    with pytest.raises(StoreError, match=r"published/out.lance cannot be read: .* written anew from the tables"):
        store.published("out").collect()


async def test_nobody_is_told_to_remove_what_only_cannot_be_opened_now(tmp_path: Path) -> None:
    store = open_run(tmp_path, write=True)
    store.describe([DOCS])
    await store.table("docs").write(docs(3), [])
    await store.close()
    rows = open_run(tmp_path, write=False).scan("docs")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(StoreError, match=r"Too many open files.* Nothing in it is lost: mend that, and run again$"):
            rows.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert rows.collect().height == 3


@pytest.mark.parametrize("layouts", [None, [{"name": 3}], [3], "x"])
def test_a_run_json_without_its_layouts_is_damaged(tmp_path: Path, layouts: object) -> None:
    asyncio.run(open_run(tmp_path / "run", write=True).close())
    path = tmp_path / "run" / "run.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "layouts": layouts}))
    with pytest.raises(StoreError, match=r"run\.json is damaged: its layouts are not readable"):
        open_run(tmp_path / "run", write=True)


@pytest.mark.parametrize("name", ["a b", "v1.", "v1..0", "v1.lock", ".v1", ""])
async def test_a_tag_of_other_characters_is_refused(tmp_path: Path, name: str) -> None:
    store = open_run(tmp_path / "run", write=True)
    with pytest.raises(StoreError, match=rf"a tag is made of letters, .* as in v1\.0; not '{re.escape(name)}'"):
        store.tag(name)
    await store.close()


async def test_a_table_whose_creation_was_killed_is_made_anew(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    run.describe([DOCS])
    (tmp_path / "docs.lance" / "data").mkdir(parents=True)
    (tmp_path / "docs.lance" / "data" / "orphan.lance").write_bytes(b"half")
    await run.table("docs").write(docs(2), [])
    assert run.scan("docs").collect().height == 2
    await run.close()


async def test_a_kill_between_reject_and_stale_rows_heals(tmp_path: Path) -> None:
    """New rejects are in, stale rows are not out yet: the row must be computed again, whatever its input hash."""
    run = open_run(tmp_path, write=True)
    run.describe([DOCS, PARTS])
    row = docs(1)[0]["_id"]
    table = run.table("parts")
    await table.write([{"_id": mint(str(row), "p"), "_parents": [row], "_in": digest("old"), "n": 1}], [])
    await table.write([], [Reject("parts", str(row), Outcome.FILTERED, "no", input=digest("new"))])
    snapshot = table.snapshot()
    assert len(snapshot) == 1
    (done,) = snapshot.find([str(row)])
    assert done is not None and done.input == "" and done.outcome is Outcome.KEPT
    assert list(snapshot.unvisited()) == []
    assert [batch for batch in table.snapshot().unvisited()] == [[row]]
    await run.close()


async def test_many_small_writes_leave_few_fragments_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "_FEW_FRAGMENTS", 4)
    monkeypatch.setattr(dataset_module, "_TIERS", (8, 64))
    monkeypatch.setattr(dataset_module, "_KEEP", timedelta(0))
    run = open_run(tmp_path, write=True)
    run.describe([DOCS])
    table = run.table("docs")
    await table.write(docs(5), [])
    snapshot = table.snapshot()
    for n in range(5, 120):
        await table.write(docs(1, n), [])
    assert table.dataset is not None and len(table.dataset.handle.get_fragments()) < 16
    assert run.scan("docs").collect()["text"].to_list() == [f"t{n}" for n in range(120)]
    assert [row["text"] for row in snapshot.take([4, 0])] == ["t4", "t0"], "a pinned version is never cleaned"
    await run.close()
    again = open_run(tmp_path, write=True)
    assert again.scan("docs").collect().height == 120
    await again.close()


async def test_reading_while_writing(tmp_path: Path) -> None:
    """Readers see whole batches only, never an error, and each frame is of one version."""
    run = open_run(tmp_path, write=True)
    run.describe([DOCS, PARTS])
    await run.table("docs").write(docs(10), [])
    parents = [str(doc["_id"]) for doc in docs(10)]
    stop = threading.Event()
    seen: list[int] = []
    failed: list[BaseException] = []

    def read() -> None:
        reader = open_run(tmp_path, write=False)
        try:
            while not stop.is_set():
                frame = reader.scan("parts").collect()
                assert frame.height % 10 == 0
                assert frame["text"].null_count() == 0
                assert reader.rejects().collect().height % 2 == 0
                seen.append(frame.height)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    table = run.table("parts")
    for batch in range(60):
        rows = [
            {"_id": mint(parent, "p", batch), "_parents": [parent], "_in": digest("1"), "n": batch}
            for parent in parents
        ]
        rejects = [Reject("parts", parents[0], Outcome.FAILED, "x", sample=2 * batch + s) for s in range(2)]
        await table.write(rows, rejects)
    stop.set()
    await asyncio.to_thread(thread.join)
    assert not failed
    assert seen and seen == sorted(seen)
    await run.close()


async def test_the_loop_stays_free_while_tables_are_written(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    run.describe([DOCS])
    table = run.table("docs")
    order: list[str] = []

    async def beat() -> None:
        while True:
            order.append("beat")
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(table.write(docs(50, 50 * n), []) for n in range(20)))
    beating.cancel()
    assert len(order) > 20
    assert table.count() == 1000
    assert run.scan("docs").collect()["text"].to_list() == [f"t{n}" for n in range(1000)], "writes keep their order"
    await run.close()


async def test_cleaning_takes_old_versions_and_orphans_and_says_how_much(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    run.describe([DOCS, PARTS])
    for n in range(5):
        await run.table("docs").write(docs(20, 20 * n), [])
    run.publish("out", "docs", ["text"], {"text": Str()})
    await run.close()
    run = open_run(tmp_path, write=True)
    (tmp_path / "docs.lance" / "data" / "0.lance").write_bytes(b"x" * 5000)
    kept = str(run.artifact("sketches") / "kept.lance")
    for _ in range(3):
        lance.write_dataset(pa.table({"at": [1]}), kept, mode="overwrite")
    (tmp_path / "run.json.new").write_bytes(b"x" * 100)
    told = run.clean(dry_run=True)
    assert told > 5100 and (tmp_path / "run.json.new").exists()
    assert run.clean() >= told
    assert not (tmp_path / "run.json.new").exists()
    assert run.scan("docs").collect().height == 100
    assert run.published("out").collect().height == 100
    assert len(lance.dataset(kept).versions()) == 1
    assert run.clean() == run.clean(dry_run=True) == 0
    await run.close()


async def test_closing_twice_and_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(tmp_path, write=True)
    monkeypatch.setattr(LanceRun, "save", lambda self: (_ for _ in ()).throw(StoreError("no")))
    with pytest.raises(StoreError, match="no"):
        await run.close()
    monkeypatch.undo()
    await run.close()
    await open_run(tmp_path, write=True).close()


def test_the_disk_in_words() -> None:
    assert isinstance(disk_error(OSError(28, "No space left on device")), StoreFull)
    assert isinstance(disk_error(OSError("LanceError(IO): No space left on device (os error 28)")), StoreFull)
    assert not isinstance(disk_error(OSError("permission denied")), StoreFull)


def test_step_names_of_the_store_itself_are_refused(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    with pytest.raises(StoreError, match="cannot be named 'rejects'"):
        run.describe([StepLayout("rejects", digest(1), {})])
    asyncio.run(run.close())


async def test_a_key_stands_for_one_call_across_steps(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    for step in ("a", "b"):
        run.journal.append(JournalRecord(JournalKey(digest(1), step, "main", 0, digest(2)), 0, ({"text": step},)))
    await run.close()
    table = Dataset.open(tmp_path / "completions.lance")
    assert table is not None and table.schema.field("_key_hi").type == pa.uint64()
    assert sorted(open_run(tmp_path, write=False).completions().collect()["step"]) == ["a", "b"]


async def test_what_a_killed_first_publishing_left_is_neither_listed_nor_kept(tmp_path: Path) -> None:
    run = open_run(tmp_path, write=True)
    run.describe([DOCS])
    await run.table("docs").write(docs(20), [])
    left = tmp_path / "published" / "out.lance" / "data" / "0.lance"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 5000)
    assert run.published_names() == []
    run.publish("out", "docs", ["text"], {"text": Str()})
    assert run.published_names() == ["out"]
    assert run.published("out").collect().height == 20
    assert len(list(left.parent.iterdir())) == 1 and not left.exists()
    await run.close()
