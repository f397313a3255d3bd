"""The whole hand-off: a run's table and articles, exported by the shipped recipe, read back, traced, checked."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import lance
import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq
import pytest

from synthkit import api
from tests.cli.conftest import call
from tests.docs.conftest import reader  # noqa: F401 - a finished run of the shipped recipe
from tests.train.corpus import recipe, sequences, write_jsonl

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def done(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("handoff") / "work"
    shutil.copytree(reader, folder)
    shutil.copytree(RECIPES, folder / "recipes", dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exported = call("export", "recipes/nano.yaml")
    assert exported.code == 0, exported.text
    return folder


@pytest.fixture
def work(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change at will; the working directory."""
    folder = tmp_path / "work"
    shutil.copytree(done, folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_rows_of_the_run_are_in_the_packs(work: Path) -> None:
    from tokenizers import Tokenizer

    from synthkit.core.resources import shipped

    tokenizer = Tokenizer.from_file(str(shipped("nano") / "tokenizer.json"))
    rows = api.open("runs/fas_planning")["plans"].collect()
    manifest = orjson.loads((work / "exports/nano/manifest.json").read_bytes())
    size = tokenizer.get_vocab_size()
    assert manifest["tokenizer"] == {**manifest["tokenizer"], "eod": 2, "pad": 0, "vocab_size": size}
    texts = []
    for split in ("train", "valid"):
        if not manifest["sources"]["plans"]["splits"][split]:
            continue
        for pack in sequences(work / f"exports/nano/megatron/plans_{split}"):
            assert len(pack) == 1024
            parts = np.split(pack, np.flatnonzero(pack == 2) + 1)
            texts += [tokenizer.decode(part[:-1].tolist(), skip_special_tokens=False) for part in parts[:-1]]
            assert not parts[-1].any()
    assert sorted(texts) == sorted(rows["text"])
    assert manifest["sources"]["plans"]["tokens"] == rows["tokens"].sum() + rows.height


def test_a_token_is_traced_to_its_row(work: Path) -> None:
    ledger = pq.read_table("exports/nano/ledger/plans.parquet").to_pylist()
    line = next(each for each in ledger if each["pack"] == 1 and each["at"] > 0 and not each["valid"])
    named = call("trace", "exports/nano", f"plans_train:1:{line['at'] + 3}")
    assert named.code == 0, named.text
    assert named.out.startswith(f"document   plans:{ledger.index(line)}\n")
    run = json.loads(Path("runs/fas_planning/run.json").read_text())
    version = lance.dataset("runs/fas_planning/published/plans.lance").version
    assert f"row        {line['row']}" in named.out
    assert (
        f"Lance version {version}" in named.out
        and run["name"] == "fas_planning"
        and "spec       fas_planning" in named.out
    )
    text = api.open("runs/fas_planning")["plans"].filter(pl.col("_id") == line["row"]).collect()["text"][0]
    assert text in named.out
    for name in (f"plans:{ledger.index(line)}", line["row"], line["row"][:10]):
        again = call("trace", "exports/nano", name, "--no-row")
        assert again.out.strip() == named.out[: named.out.index("\n\n")], name
    packed = call("trace", "exports/nano", "train:0", "--no-row")
    assert packed.code == 0 and packed.out.startswith("document   ")
    article = pq.read_table("exports/nano/ledger/articles.parquet")["row"][0].as_py()
    assert '"text"' not in call("trace", "exports/nano", article).out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plans_train:999", "has"),
        ("plans_train:0:1023", "is padding"),
        ("planz_train:0", "no document is called"),
        ("train:99999", "there is no train:99999"),
        ("00", "no document is called '00'"),
    ],
)
def test_a_trace_of_nothing_says_so(work: Path, name: str, told: str) -> None:
    found = call("trace", "exports/nano", name)
    assert found.code == 1 and told in found.err and "Traceback" not in found.err


def test_a_changed_run_is_not_taken_for_the_old_one(work: Path) -> None:
    table = Path("runs/fas_planning/published/plans.lance")
    lance.dataset(str(table)).delete("true")
    found = call("trace", "exports/nano", "plans:0")
    assert "the row is there no more as the export read it" in found.out


def test_the_plan_tells_before_it_starts(work: Path) -> None:
    shutil.rmtree("exports")
    planned = call("export", "recipes/nano.yaml", "--plan")
    assert planned.code == 0 and not Path("exports").exists()
    for word in ("tokens to read", "packs", "iterations         49 of 8 sequences", "time"):
        assert word in planned.out
    Path("recipes/nano.yaml").write_text(Path("recipes/nano.yaml").read_text().replace("budget: 400K", "budget: 4B"))
    assert "too few tokens, as it looks:\n  plans: about" in call("export", "recipes/nano.yaml", "--plan").out


def test_preflight_lets_a_good_export_go(work: Path) -> None:
    found = call("preflight", "recipes/nano.yaml", "--gpus", "8")
    assert found.code == 0 and found.out.endswith("49 iterations\n"), found.text


def test_what_a_table_has_not_is_said_where_it_stands(work: Path) -> None:
    """Run, tag, table, column, a column of another type, and a role: each at its key."""
    Path("bad.yaml").write_text(
        "tokenizer: nano\nsequence: 1Ki\nbudget: 1K\noutputs: packed\nsources:\n"
        "  a: {run: fas_planing, table: plans, share: 20%}\n"
        "  b: {run: fas_planning@v9, table: plans, share: 20%}\n"
        "  c: {run: fas_planning, table: plan, share: 20%}\n"
        "  d: {run: fas_planning, table: plans, text: txt, share: 20%}\n"
        "  e: {run: fas_planning, table: plans, text: tokens, share: 20%}\n"
    )
    found = call("export", "bad.yaml")
    assert found.code == 2 and "Traceback" not in found.err
    for told in (
        "bad.yaml:6:12: ", "is not a run", "bad.yaml:7:12: published table 'plans' has no tag 'v9'",
        "bad.yaml:8:33: run 'fas_planning' publishes no table 'plan'", "did you mean 'plans'?",
        "bad.yaml:9:46: table 'plans' has no column 'txt'", "did you mean 'text'?",
        "bad.yaml:10:46: column 'tokens' of table 'plans' is int(0..), not text",
    ):  # fmt: skip
        assert told in found.err, found.err
    Path("role.yaml").write_text(
        "tokenizer: nano\nsequence: 1Ki\nbudget: 1K\noutputs: packed\nloss: {questoin: 0}\nsources:\n"
        "  a: {run: fas_planning, table: plans, share: 100%}\n"
    )
    found = call("export", "role.yaml")
    assert found.code == 2 and "role.yaml:5:8: no document has the role 'questoin'" in found.err
    assert "roles of the sources: action, analysis, question; did you mean 'question'?" in found.err


def test_a_role_is_left_out_of_the_loss(work: Path) -> None:
    """The run's own spans: questions are read, moves are learned, to the token."""
    from tokenizers import Tokenizer

    from synthkit.core.resources import shipped

    Path("masked.yaml").write_text(
        "tokenizer: nano\nsequence: 1Ki\nbudget: 5K\noutputs: packed\nloss: {question: 0}\nsources:\n"
        "  a: {run: fas_planning, table: plans, share: 100%}\n"
    )
    assert call("export", "masked.yaml").code == 0
    tokenizer = Tokenizer.from_file(str(shipped("nano") / "tokenizer.json"))
    for row in pq.read_table("exports/masked/packed/train-00000.idx.parquet").to_pylist():
        for start, end in pairwise([*row["seq_start_id"], len(row["input_ids"])]):
            ids, mask = row["input_ids"][start : end - 1], row["loss_mask"][start:end]
            first = mask.index(1) + 1  # of the tokens that are labels to learn
            assert 0 not in mask[first - 1 : -1] and mask[-1] == 0
            read = tokenizer.decode(ids[:first], skip_special_tokens=False)
            learned = tokenizer.decode(ids[first:], skip_special_tokens=False)
            assert read.startswith("Question: ") and learned.lstrip().startswith("<think>")


def _edit(text: str, *pairs: tuple[str, str]) -> None:
    path = Path("recipes/nano.yaml")
    content = path.read_text()
    for old, new in pairs:
        assert old in content
        content = content.replace(old, new)
    path.write_text(content + text)


def _manifest(**changes: object) -> None:
    path = Path("exports/nano/manifest.json")
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **changes}))


def _blend(change: float) -> None:
    path = Path("exports/nano/megatron/blend.json")
    blend = orjson.loads(path.read_bytes())
    blend["train"][1][0] += change
    path.write_bytes(orjson.dumps(blend))


def _cut(path: str) -> None:
    file = Path(path)
    file.write_bytes(file.read_bytes()[:-4])


TRAPS = {
    "there is no checkpoint": lambda: _edit("train: {checkpoint: checkpoints/none}\n"),
    "is empty": lambda: (Path("empty").mkdir(), _edit("train: {checkpoint: empty}\n")),
    "is no export": lambda: shutil.rmtree("exports"),
    "was not finished": lambda: Path("exports/nano/manifest.json").unlink(),
    "another state of this recipe": lambda: _edit("", ("share: 20%", "share: 21%"), ("share: 80%", "share: 79%")),
    "documents end with <|endoftext|>, and the trainer takes": lambda: _edit("eod: <|endoftext|>\n"),
    "another tokenizer than nano is now": lambda: _manifest(
        tokenizer={"name": "nano", "hash": "0", "vocab_size": 1, "eod": 0, "pad": -1}
    ),
    "gives megatron/plans_train the weight": lambda: _blend(0.1),
    "plans_train.bin holds": lambda: _cut("exports/nano/megatron/plans_train.bin"),
    "plans_train: [Errno 2]": lambda: Path("exports/nano/megatron/plans_train.idx").unlink(),
    "see its": lambda: _manifest(iterations=4900),
    "8 GPUs are no multiple of 3": lambda: _edit("train: {tensor: 3}\n"),
    "cannot be shared by 8 replicas of micro batch 3": lambda: _edit("train: {micro_batch: 3}\n"),
    "keeps no document for validation": lambda: _edit("", ("holdout: 5%", "holdout: 0.0001%")),
    "no benchmarks there": lambda: _edit("decontaminate: {against: none.jsonl, fields: question}\n"),
    "the benchmarks have changed": lambda: (
        write_jsonl(Path("bench.jsonl"), [{"question": "What is the capital of Portugal?"}]),
        _edit("decontaminate: {against: bench.jsonl, fields: question}\n"),
    ),
}


@pytest.mark.parametrize("told", TRAPS)
def test_preflight_finds_what_costs_a_day(work: Path, told: str) -> None:
    TRAPS[told]()
    if told == "keeps no document for validation":
        assert call("export", "recipes/nano.yaml").code == 0
    found = call("preflight", "recipes/nano.yaml", "--gpus", "8")
    wanted = "no file matches" if told == "no benchmarks there" else told
    assert found.code == 1 and wanted in found.out and found.out.startswith("problem: "), found.text
    assert "Traceback" not in found.text


def test_benchmark_questions_are_set_aside(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leak = "In which year was the old stone bridge over the river at Lisbon opened to the public for the first time"
    texts = [f"Tale {at}: a mill and a market and a lamp beside the canal, number {at}." for at in range(30)]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in [*texts, f"Question: {leak}? Let me think."]])
    write_jsonl(tmp_path / "bench.jsonl", [{"question": leak}])
    file = recipe(
        tmp_path / "r.yaml", base, "  a: {path: a.jsonl, share: 100%, repeat: 9}", budget=500,
        decontaminate="{against: bench.jsonl, fields: question}",
    )  # fmt: skip
    exported = call("export", str(file), "--out", "out")
    assert exported.code == 0 and "1 in benchmark bench.jsonl" in exported.out, exported.text
    assert call("preflight", str(file), "--out", "out", "--gpus", "1").code == 0


def test_chats_are_measured_by_their_template(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"messages": [{"role": "user", "content": f"hi {at}"}, {"role": "assistant", "content": "hello", "loss": True}]}
        for at in range(20)
    ]
    rows.append({"messages": [{"role": "user", "content": "long " * 500}]})
    rows.append({"messages": "none"})  # type: ignore[dict-item]
    rows.append({"messages": []})
    write_jsonl(tmp_path / "a.jsonl", rows)
    source = "  a: {path: a.jsonl, messages: messages, share: 100%, repeat: 9}"
    file = recipe(tmp_path / "r.yaml", base, source, outputs="chat", budget=600, holdout="20%")
    exported = call("export", str(file), "--out", "out")
    assert exported.code == 0, exported.text
    lines = [json.loads(line) for line in Path("out/chat/training.jsonl").read_text().splitlines()]
    held = [json.loads(line) for line in Path("out/chat/validation.jsonl").read_text().splitlines()]
    assert held and not {line["id"] for line in held} & {line["id"] for line in lines}
    assert len({line["id"] for line in lines}) + len(held) == 20
    assert all(line["messages"][1]["loss"] is True and line["source"] == "a" for line in lines)
    manifest = orjson.loads(Path("out/manifest.json").read_bytes())["sources"]["a"]
    assert manifest["aside"] == {"empty": 1, "longer than 256 tokens": 1, "no messages in 'messages'": 1}
    assert len(lines) == round((20 - len(held)) * manifest["epochs"])
    traced = call("trace", "out", lines[0]["id"], "--no-row")
    assert traced.code == 0 and "place      train" in traced.out
    assert call("preflight", str(file), "--out", "out").code == 0


def test_runs_of_an_agent_become_chats(work: Path) -> None:
    """The shipped fine-tuning spec's tables, with their tools and the loss of each message."""
    assert call("run", "specs/sft_a.yaml", "--quiet").code == 0
    Path("chats.yaml").write_text(
        "tokenizer: nano\nsequence: 4Ki\nbudget: 20K\nholdout: 20%\noutputs: [chat]\nsources:\n"
        "  chats: {run: sft_a, table: stage_1, messages: messages, share: 40%, repeat: 99}\n"
        "  runs: {run: sft_a, table: stage_2, messages: messages, tools: functions, share: 60%, repeat: 99}\n"
    )
    exported = call("export", "chats.yaml")
    assert exported.code == 0, exported.text
    lines = [json.loads(line) for line in Path("exports/chats/chat/training.jsonl").read_text().splitlines()]
    runs = [line for line in lines if line["source"] == "runs"]
    stored = {row["_id"]: row for row in api.open("runs/sft_a")["stage_2"].collect().to_dicts()}
    assert runs and {line["id"] for line in runs} <= stored.keys()
    for line in runs:
        assert [each["function"]["name"] for each in line["tools"]][:2] == ["search", "visit"]
        assert [message["loss"] for message in line["messages"]] == [
            message["role"] == "assistant" for message in line["messages"]
        ]
        contents = [message["content"] for message in stored[line["id"]]["messages"]]
        assert [message["content"] for message in line["messages"]] == contents
    assert call("preflight", "chats.yaml", "--gpus", "1").code == 0
