"""Keys that name nothing, and what no document has, are told before anything is read; what is rare is no mistake."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from synthkit.train.prepare import prepare
from tests.cli.conftest import call
from tests.train.corpus import exported, ledger, recipe, write_jsonl

LINE = "The harbour of Lisbon opened in 1887.\n"
CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("together: questoin", "no record of a.jsonl has 'questoin'"),
        ("text: txt", "no record of a.jsonl has 'txt'"),
        ("messages: chat, tools: toolz", "no record of a.jsonl has 'toolz'"),
    ],
)
def test_a_key_that_no_record_has(
    tmp_path: Path, base: Path, source: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("a.jsonl"), [{"text": LINE, "question": "x", "chat": CHAT, "tools": []}] * 3)
    outputs = "[chat]" if "messages" in source else "[megatron]"
    file = recipe(Path("r.yaml"), base, f"  a: {{path: a.jsonl, share: 100%, {source}}}", outputs=outputs)
    with pytest.raises(SpecError) as caught:
        prepare(file)
    (problem,) = caught.value.problems
    assert (
        problem.message == told
        and problem.help is not None
        and "they have: text, question, chat, tools" in problem.help
    )
    at = file.read_text().splitlines()[5].index(source.rpartition(": ")[2]) + 1
    assert problem.mark is not None and (problem.mark.line, problem.mark.column) == (6, at)


def test_a_column_that_lance_does_not_have(tmp_path: Path, base: Path) -> None:
    lance.write_dataset(pa.table({"text": [LINE] * 3, "q": ["x"] * 3}), str(tmp_path / "a.lance"))
    prepare(recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.lance, share: 100%, together: q}}"))
    with pytest.raises(SpecError, match="has 'qq'") as caught:
        prepare(recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.lance, share: 100%, together: qq}}"))
    assert "they have: text, q" in str(caught.value)


def test_a_key_that_some_records_have(tmp_path: Path, base: Path) -> None:
    """In a later record or file, of whichever format; a file without a record that can be read says nothing."""
    rows = [{"text": LINE}] * 400 + [{"text": LINE, "q": "x"}]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows).encode()))
    write_jsonl(tmp_path / "b.jsonl", [{"text": LINE}])
    (tmp_path / "c.csv").write_text("text\nhello\n")
    prepare(recipe(tmp_path / "r.yaml", base, f"  a: {{path: '{tmp_path}/[a-c].*', share: 100%, together: q}}"))
    (tmp_path / "d.jsonl").write_text("{broken\n\n")
    prepare(recipe(tmp_path / "s.yaml", base, f"  a: {{path: '{tmp_path}/d.jsonl', share: 100%, together: q}}"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_role_that_only_later_documents_have(
    tmp_path: Path, base: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthkit.train.file_source.BATCH_ROWS", 10)
    monkeypatch.setattr("synthkit.train.batch.BATCH_ROWS", 10)
    rows = [{"text": LINE, "spans": [{"role": "a" if at < 50 else "b", "start": 0, "end": 3}]} for at in range(60)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write_jsonl(tmp_path / "plain.jsonl", [{"text": LINE}] * 30)
    sources = "\n".join(
        f"  {name}: {{path: {tmp_path}/{file}, share: 50%}}"
        for name, file in (("p", "plain.jsonl"), ("a", f"a.{kind}"))
    )
    prepare(recipe(tmp_path / "r.yaml", base, sources, outputs="packed", loss="{b: 0}"))
    with pytest.raises(SpecError, match="no document has the role 'c'") as caught:
        prepare(recipe(tmp_path / "r.yaml", base, sources, outputs="packed", loss="{c: 0}"))
    assert "roles of the sources: a, b" in str(caught.value)


def test_a_text_that_is_null_is_none(tmp_path: Path, base: Path) -> None:
    """In Parquet as in JSON lines; an empty one is something else."""
    rows = [{"text": LINE}, {"text": None}, {"text": ""}, {"text": f"{LINE}!"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for kind in ("jsonl", "parquet"):
        source = f"  a: {{path: {tmp_path}/a.{kind}, share: 100%, repeat: 99}}"
        manifest = exported(recipe(tmp_path / "r.yaml", base, source, budget=100), tmp_path / f"out-{kind}")
        assert manifest["sources"]["a"]["aside"] == {"empty": 1, "no text in 'text'": 1}
        lines = {int(line["row"].rsplit(":", 1)[1]): line for line in ledger(tmp_path / f"out-{kind}", "a")}
        assert lines[2]["aside"] == "no text in 'text'" and lines[4]["aside"] is None


def test_a_refused_export_leaves_the_old_one(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs and chats: the manifest still tells of what is there."""
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("a.jsonl"), [{"text": LINE * 3, "messages": CHAT}] * 30)
    for outputs, source in (("[megatron]", ""), ("[chat]", "messages: messages, ")):
        line = f"  a: {{path: a.jsonl, {source}share: 100%, repeat: 9}}"
        out = Path(f"out-{outputs}")
        exported(recipe(Path("r.yaml"), base, line, outputs=outputs, budget=900), out)
        before = {name: (out / name).read_bytes() for name in ("manifest.json", "ledger/a.parquet")}
        for keys in ({"budget": "9M"}, {"budget": "9M", "seed": 7}):
            with pytest.raises(SpecError, match="repeat allows 9"):
                exported(recipe(Path("r.yaml"), base, line, outputs=outputs, **keys), out)
            assert {name: (out / name).read_bytes() for name in before} == before
        assert call("trace", str(out), "a:0", "--no-row").code == 0


def test_why_nothing_is_there_is_said(tmp_path: Path, base: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": ""}, {"text": LINE * 99}, {"text": LINE * 98}])
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.jsonl, share: 100%}}")
    with pytest.raises(SpecError, match="source 'a' has no tokens to train on") as caught:
        exported(file, tmp_path / "out")
    assert "1 empty; 2 longer than 256 tokens" in str(caught.value)


def test_a_row_of_a_changed_file_is_not_taken_for_the_old_one(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        write_jsonl(Path(f"{name}.jsonl"), [{"text": f"{name} {LINE}"}] * 3)
    file = recipe(Path("r.yaml"), base, "  a: {path: '*.jsonl', share: 100%, repeat: 9}", budget=100, seed=5)
    exported(file, Path("out"))
    found = call("trace", "out", "b.jsonl:2")
    assert "as they are now, with the names and sizes" in found.out and f"text: b {LINE}" in found.out
    write_jsonl(Path("b.jsonl"), [{"text": f"other {LINE}"}] * 3)
    found = call("trace", "out", "b.jsonl:2")
    assert "the row is there no more as the export read it" in found.out and "other" not in found.out


def test_the_template_is_part_of_the_export(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one beside the tokenizer stands above its configuration's; preflight sees that it was changed."""
    import shutil

    monkeypatch.chdir(tmp_path)
    shutil.copytree(base, "tokenizer")
    write_jsonl(Path("a.jsonl"), [{"messages": CHAT}] * 9)
    source = "  a: {path: a.jsonl, messages: messages, share: 100%, repeat: 99}"
    file = recipe(Path("r.yaml"), Path("tokenizer"), source, outputs="[chat]", budget=200, sequence=2048)
    first = exported(file, Path("out"))
    assert call("preflight", str(file), "--out", "out", "--gpus", "1").code in (0, 1)
    told = "measured with another chat template"
    assert told not in call("preflight", str(file), "--out", "out").out
    Path("tokenizer/chat_template.jinja").write_text("{% for m in messages %}{{ m.content * 30 }}{% endfor %}")
    assert told in call("preflight", str(file), "--out", "out").out
    second = exported(file, Path("out"))
    assert second["sources"]["a"]["tokens"] > 5 * first["sources"]["a"]["tokens"]
    assert second["template"]["hash"] != first["template"]["hash"] and second["template"]["file"] is None
    assert told not in call("preflight", str(file), "--out", "out").out
    Path("mine.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    file.write_text(file.read_text() + "template: mine.jinja\n")
    third = exported(file, Path("out"))
    assert (
        third["template"]["file"] == "mine.jinja" and third["sources"]["a"]["tokens"] < first["sources"]["a"]["tokens"]
    )
