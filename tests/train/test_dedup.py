"""`dedup:` in a recipe: one of all documents that are alike stays, across sources; the others are accounted for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from tests.cli.conftest import call
from tests.train.corpus import documents, exported, ledger, recipe, write_jsonl

WORDS = "harbour bridge river mill market lamp canal stone boat tower road bell ship wall gate hill".split()  # noqa: SIM905


def text(seed: int, words: int = 60) -> str:
    """Prose that is like no other."""
    drawn = random.Random(seed)
    return " ".join(drawn.choice(WORDS) + str(drawn.randrange(30)) for _ in range(words))


def near(seed: int, words: int = 60) -> str:
    """The same with its last word changed."""
    return text(seed, words).rsplit(" ", 1)[0] + " changed"


def sources(folder: Path, **rows: list[dict[str, Any]]) -> str:
    """Sources of JSON lines, by name, in equal shares."""
    lines = []
    for name, each in rows.items():
        write_jsonl(folder / f"{name}.jsonl", each)
        lines.append(f"  {name}: {{path: {folder}/{name}.jsonl, share: {100 / len(rows)}%, repeat: 99}}")
    return "\n".join(lines)


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": each} for each in texts]


def test_the_source_listed_first_keeps_its_document(tmp_path: Path, base: Path) -> None:
    """Near and exact copies, within a source and across; empty texts and texts without a word are no copies."""
    first = sources(
        tmp_path,
        a=rows(text(1), near(2), text(1), "", "?", "!!", text(6)),
        b=rows(text(2), near(1), text(3), text(4), "?"),
    )
    file = recipe(tmp_path / "r.yaml", base, first, dedup="{}", sequence=1024)
    manifest = exported(file, tmp_path / "out")
    assert manifest["sources"]["a"]["aside"] == {"duplicate": 1, "empty": 1}
    assert manifest["sources"]["b"]["aside"] == {"duplicate": 2}
    assert manifest["sources"]["a"]["duplicates"] == {"a": 1} and manifest["sources"]["b"]["duplicates"] == {"a": 2}
    assert manifest["deduplicated"] == {"exact": False, "threshold": 0.8, "words": None, "chars": None}
    place = str(tmp_path)
    told = {
        line["row"].removeprefix(f"{place}/"): (line["dup_of"], line["dup_source"], line["similarity"])
        for name in "ab"
        for line in ledger(tmp_path / "out", name)
        if line["aside"] == "duplicate"
    }
    assert told == {
        "a.jsonl:3": (f"{place}/a.jsonl:1", "a", 1.0),
        "b.jsonl:1": (f"{place}/a.jsonl:2", "a", pytest.approx(55 / 57, abs=1e-4)),
        "b.jsonl:2": (f"{place}/a.jsonl:1", "a", pytest.approx(55 / 57, abs=1e-4)),
    }
    assert all(line["dup_of"] is None for line in ledger(tmp_path / "out", "a") if line["aside"] != "duplicate")
    assert (len(documents(tmp_path / "out", "a")), len(documents(tmp_path / "out", "b"))) == (5, 3)
    other = "\n".join(reversed(first.splitlines()))
    before = manifest["recipe"]["hash"]
    manifest = exported(recipe(tmp_path / "r.yaml", base, other, dedup="{}", sequence=1024), tmp_path / "out")
    assert manifest["recipe"]["hash"] != before, "another order is another recipe"
    assert manifest["sources"]["b"]["duplicates"] == {} and manifest["sources"]["a"]["duplicates"] == {"b": 3}


def test_exact_is_to_the_byte(tmp_path: Path, base: Path) -> None:
    written = sources(tmp_path, a=rows(text(1), near(2), "", ""), b=rows(text(2), text(1), text(1).upper(), text(8)))
    exported(recipe(tmp_path / "r.yaml", base, written, dedup="{}", sequence=1024), tmp_path / "out")
    assert (tmp_path / "out/dedup/sketches").exists()
    file = recipe(tmp_path / "r.yaml", base, written, dedup="{exact: true}", sequence=1024)
    manifest = exported(file, tmp_path / "out")
    assert manifest["sources"]["a"]["aside"] == {"empty": 2}
    assert manifest["sources"]["b"]["aside"] == {"duplicate": 1}
    assert not (tmp_path / "out/dedup/sketches").exists()


def test_of_files_the_first_by_name_and_line_stays(tmp_path: Path, base: Path) -> None:
    """Whatever the order in which the seed lets them be read, and of whichever format."""
    for name in ("1", "2", "10"):
        write_jsonl(tmp_path / "f" / f"{name}.jsonl", rows(*(text(at) for at in range(12))))
    pq.write_table(pa.table({"text": [text(at) for at in range(20)]}), tmp_path / "f/0.parquet", row_group_size=7)
    for seed in range(6):
        source = f"  a: {{path: '{tmp_path}/f/*', share: 100%, repeat: 99}}"
        file = recipe(tmp_path / "r.yaml", base, source, dedup="{}", seed=seed, sequence=1024)
        exported(file, tmp_path / f"out{seed}")
        kept = {line["row"] for line in ledger(tmp_path / f"out{seed}", "a") if line["aside"] is None}
        assert kept == {f"{tmp_path}/f/0.parquet:{line}" for line in range(1, 21)}


def test_of_a_table_the_smallest_id_stays(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(
        "name: made\nsteps:\n  rows:\n    read: {path: t.jsonl, columns: {text: str}}\n"
        "publish: {texts: {from: rows, columns: [text]}}\n"
    )  # fmt: skip
    write_jsonl(Path("t.jsonl"), [{"text": text(1)}, {"text": near(1)}, {"text": text(1)}, {"text": text(5)}])
    ran = call("run", "spec.yaml", "--quiet")
    assert ran.code == 0, ran.text
    file = recipe(
        Path("r.yaml"), base, "  a: {run: made, table: texts, share: 100%, repeat: 99}", dedup="{}", sequence=512
    )
    exported(file, Path("out"))
    ids = {row["_id"]: row["text"] for row in lance.dataset("runs/made/published/texts.lance").to_table().to_pylist()}
    smallest = min(each for each, said in ids.items() if said != text(5))
    lines = ledger(Path("out"), "a")
    assert {line["dup_of"] for line in lines if line["aside"]} == {smallest}
    assert len([line for line in lines if line["aside"] is None]) == 2


def test_it_is_what_the_verb_finds(tmp_path: Path, base: Path) -> None:
    """Against a plain comparison of all pairs, and whatever the budget takes of the sources."""
    drawn = random.Random(3)
    texts = [(text if drawn.random() < 0.5 else near)(drawn.randrange(80)) for _ in range(240)]
    parts = {"a": texts[:100], "b": texts[100:140], "c": texts[140:]}
    written = sources(tmp_path, **{name: rows(*each) for name, each in parts.items()})
    for budget in ("2K", "90K"):
        file = recipe(tmp_path / "r.yaml", base, written, dedup="{}", budget=budget, sequence=1024)
        exported(file, tmp_path / "out")
        seen: list[set[str]] = []
        for name, each in parts.items():
            gone = {int(line.rsplit(":", 1)[1]) for line in _copies(tmp_path / "out", name)}
            for at, said in enumerate(each, 1):
                shingles = _shingles(said)
                alike = any(len(shingles & other) / len(shingles | other) >= 0.8 for other in seen)
                assert alike == (at in gone), (name, at)
                seen.append(shingles)


def _copies(out: Path, name: str) -> list[str]:
    found: list[str] = pq.read_table(out / "dedup" / f"{name}.parquet")["row"].to_pylist()
    return found


def _shingles(said: str) -> set[str]:
    words = said.split()
    return {" ".join(words[at : at + 5]) for at in range(len(words) - 4)}


def test_a_copy_brings_its_roles_and_question_along(tmp_path: Path, base: Path) -> None:
    """Masks, and what is held out together, stay with the right rows when those between them go."""
    made = [
        {"text": f"{text(at // 2)} end", "q": at // 2, "spans": [{"role": "a", "start": 0, "end": 4 + at}]}
        for at in range(40)
    ]
    write_jsonl(tmp_path / "a.jsonl", made)
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99, together: q}}"
    file = recipe(
        tmp_path / "r.yaml", base, source, dedup="{}", sequence=1024, loss="{a: 0}", outputs="[packed]",
        holdout="30%", budget="4K",
    )  # fmt: skip
    exported(file, tmp_path / "out")
    kept = [line for line in ledger(tmp_path / "out", "a") if line["aside"] is None]
    assert [int(line["row"].rsplit(":", 1)[1]) for line in kept] == list(range(1, 41, 2))
    write_jsonl(tmp_path / "a.jsonl", made[::2])
    alone = recipe(
        tmp_path / "s.yaml", base, source, sequence=1024, loss="{a: 0}", outputs="[packed]", holdout="30%", budget="4K"
    )
    exported(alone, tmp_path / "alone")
    for split in ("train", "valid"):
        one, other = (pq.read_table(tmp_path / out / f"packed/{split}-00000.idx.parquet") for out in ("out", "alone"))
        assert one.equals(other)


def test_it_is_decided_once(tmp_path: Path, base: Path) -> None:
    """Again with the same sources nothing is compared; of a changed source only what that changes is new."""
    written = sources(tmp_path, a=rows(text(1), text(2)), b=rows(text(1), text(3)), c=rows(text(4), text(5)))
    file = recipe(tmp_path / "r.yaml", base, written, dedup="{}", sequence=1024)
    said: list[str] = []
    exported(file, tmp_path / "out", said.append)
    assert any("comparing 6 rows" in line for line in said)
    said.clear()
    exported(file, tmp_path / "out", said.append)
    assert not any("dedup" in line or "comparing" in line for line in said)
    c = (tmp_path / "out/tokens/c/tokens.bin").stat().st_mtime_ns
    write_jsonl(tmp_path / "a.jsonl", rows(text(9), text(2)))
    manifest = exported(file, tmp_path / "out", said.append)
    assert "comparing 6 rows" in said and manifest["sources"]["b"]["duplicates"] == {}
    assert (tmp_path / "out/tokens/c/tokens.bin").stat().st_mtime_ns == c
    exported(recipe(tmp_path / "r.yaml", base, written, sequence=1024), tmp_path / "out")
    assert not list((tmp_path / "out/dedup").iterdir())


@pytest.mark.parametrize("how", ["{}", "{exact: true}"])
def test_few_rows_and_none(tmp_path: Path, base: Path, how: str) -> None:
    """A source without a row beside one with a single one; nothing at all is told as what it is."""
    written = sources(tmp_path, a=rows(text(1)), b=rows())
    with pytest.raises(SpecError, match="source 'b' has no tokens to train on") as caught:
        exported(recipe(tmp_path / "r.yaml", base, written, dedup=how, sequence=1024), tmp_path / "out")
    assert "it is empty" in str(caught.value) and "source 'a'" not in str(caught.value)
    written = sources(tmp_path, a=rows(), b=rows())
    with pytest.raises(SpecError, match="source 'a' has no tokens to train on"):
        exported(recipe(tmp_path / "r.yaml", base, written, dedup=how, sequence=1024), tmp_path / "out")
    written = sources(tmp_path, a=rows(text(1)), b=rows(text(1)))
    with pytest.raises(SpecError, match="source 'b' has no tokens to train on") as caught:
        exported(recipe(tmp_path / "r.yaml", base, written, dedup=how, sequence=1024), tmp_path / "out")
    assert "1 duplicate" in str(caught.value)


def test_chats_are_compared_by_what_is_said(tmp_path: Path, base: Path) -> None:
    def chat(said: str, **more: object) -> dict[str, Any]:
        return {
            "messages": [{"role": "user", "content": "hello there", **more}, {"role": "assistant", "content": said}]
        }

    call_of = [{"type": "function", "function": {"name": "search", "arguments": {"q": text(7)}}}]
    made = [chat(text(1)), chat(near(1), name="x"), chat(text(2)), chat("so", tool_calls=call_of)]
    write_jsonl(tmp_path / "a.jsonl", made)
    write_jsonl(tmp_path / "b.jsonl", [chat("so", tool_calls=call_of), chat(text(3)), {"messages": 7}])
    lines = "\n".join(
        f"  {name}: {{path: {tmp_path}/{name}.jsonl, messages: messages, share: 50%, repeat: 99}}" for name in "ab"
    )
    file = recipe(tmp_path / "r.yaml", base, lines, dedup="{}", outputs="[chat]", sequence=1024, budget="2K")
    manifest = exported(file, tmp_path / "out")
    assert manifest["sources"]["a"]["aside"] == {"duplicate": 1}
    assert manifest["sources"]["b"]["aside"] == {"duplicate": 1, "no messages in 'messages'": 1}
    (told,) = [line for line in ledger(tmp_path / "out", "b") if line["dup_of"]]
    assert told["dup_of"] == f"{tmp_path}/a.jsonl:4" and told["dup_source"] == "a"


def test_plan_trace_and_preflight_know_of_it(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written = sources(Path(), a=rows(text(1), text(2)), b=rows(*([near(1)] * 9), text(3)))
    file = str(recipe(Path("r.yaml"), base, written, dedup="{}", sequence=1024))
    planned = call("export", file, "--plan", "--out", "out")
    assert planned.code == 0 and not Path("out").exists()
    assert "dedup              12 rows are read and compared first" in planned.out, planned.out
    assert call("export", file, "--out", "out").code == 0
    planned = call("export", file, "--plan", "--out", "out")
    assert "dedup              9 of 12 rows are copies: b 9" in planned.out, planned.out
    assert "b" in planned.out and " 1 " in next(line for line in planned.out.splitlines() if line.startswith("b "))
    traced = call("trace", "out", "b:0", "--no-row")
    assert "place      aside: duplicate of a.jsonl:1 in a, " in traced.out and "alike" in traced.out, traced.out
    found = call("preflight", file, "--out", "out", "--gpus", "1")
    assert found.code == 0 and "b: 9 of 10 rows are copies" in found.out, found.text
    plain = str(recipe(Path("s.yaml"), base, written, sequence=1024))
    assert call("export", plain, "--out", "plain").code == 0
    told = "documents that repeat another source's were not looked for"
    assert told in call("preflight", plain, "--out", "plain", "--gpus", "1").out
    assert told not in found.out
