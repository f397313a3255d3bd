"""The output `datasets`, read by Hugging Face's own libraries: packs that a model takes as they are, and messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from synthkit.train.prepare import prepare
from tests.cli.conftest import call
from tests.train.corpus import TEMPLATE, contents, exported, recipe, write_jsonl

datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'synthkit[dev]'")
LINE = "The harbour of Lisbon opened in 1887.\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)  # the order of rows goes by the paths of their files as a recipe has them
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def packs(folder: Path, base: Path, **keys: object) -> Path:
    """Two sources with roles, some rows held out, in packs of 128."""
    for name in "ab":
        rows = [
            {"text": f"{name}{at} {LINE * (1 + at % 3)}", "spans": [{"role": "x", "start": 0, "end": 2}]}
            for at in range(60)
        ]
        write_jsonl(folder / f"{name}.jsonl", rows)
    lines = "\n".join(f"  {name}: {{path: {name}.jsonl, share: 50%, repeat: 99}}" for name in "ab")
    given: dict[str, Any] = {
        "outputs": "[packed, datasets]",
        "sequence": 128,
        "budget": "12K",
        "holdout": "20%",
        **keys,
    }
    return recipe(folder / "r.yaml", base, lines, **given)


def test_packs_are_those_of_packed_parquet(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows in the same order, in several files; labels are of the token itself, as transformers has them."""
    monkeypatch.setattr("synthkit.train.outputs.datasets._BATCH", 256)
    monkeypatch.setattr("synthkit.train.outputs.datasets._FILE", 1024)
    out = tmp_path / "out"
    file = packs(tmp_path, base, loss="{x: 0}")
    exported(file, out)
    loaded = datasets.load_from_disk(str(out / "datasets"))
    assert set(loaded) == {"train", "validation"} and len(list((out / "datasets/train").glob("*.arrow"))) > 3
    for split, name in (("train", "train"), ("valid", "validation")):
        wanted = [
            row for path in sorted((out / "packed").glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()
        ]
        assert len(loaded[name]) == len(wanted) > 5
        for row, packed in zip(loaded[name], wanted, strict=True):
            ids, starts = packed["input_ids"], packed["seq_start_id"]
            assert row["input_ids"] == ids
            assert [at for at, position in enumerate(row["position_ids"]) if position == 0] == starts
            learned = [0, *packed["loss_mask"][:-1]]
            assert row["labels"] == [token if keep else -100 for token, keep in zip(ids, learned, strict=True)]
            assert all(row["labels"][start] == -100 for start in starts)
    assert -100 in loaded["train"][0]["labels"][1:] and call("trace", str(out), "train:3", "--no-row").code == 0
    before = contents(out)
    exported(file, out)
    assert contents(out) == before


@pytest.mark.slow
def test_a_model_reads_each_document_by_itself(tmp_path: Path, base: Path) -> None:
    """Loss and logits of a pack are those of its documents one by one: nothing is seen across their bounds."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    exported(packs(tmp_path, base, outputs="datasets", sequence=256), tmp_path / "out")
    loaded = datasets.load_from_disk(str(tmp_path / "out/datasets"))["train"].with_format("torch")
    torch.manual_seed(0)
    size = max(max(row["input_ids"]) for row in loaded.with_format(None)) + 1
    config = transformers.LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for at in range(3):
            row = loaded[at]
            whole = model(**{name: each[None] for name, each in row.items()}, use_cache=False)
            starts = [*torch.nonzero(row["position_ids"] == 0)[:, 0].tolist(), len(row["input_ids"])]
            assert len(starts) > 3
            losses, count = 0.0, 0
            for begin, end in pairwise(starts):
                ids = row["input_ids"][begin:end][None]
                alone = model(input_ids=ids, labels=ids, use_cache=False)
                assert torch.allclose(alone.logits[0], whole.logits[0, begin:end], atol=1e-5)
                losses, count = losses + float(alone.loss) * (end - begin - 1), count + end - begin - 1
            assert float(whole.loss) == pytest.approx(losses / count, abs=1e-4)


def chats(folder: Path, rows: list[dict[str, Any]], base: Path, **keys: object) -> Path:
    write_jsonl(folder / "a.jsonl", rows)
    source = f"  a: {{path: {folder}/a.jsonl, messages: messages, tools: tools, share: 100%, repeat: 99}}"
    given: dict[str, Any] = {"outputs": "[chat, datasets]", "sequence": 512, "budget": "4K", "holdout": "20%", **keys}
    return recipe(folder / "r.yaml", base, source, **given)


def _chat(at: int) -> dict[str, Any]:
    function = {"name": "search", "arguments": {"query": f"harbour {at}", **({"limit": at} if at % 2 else {})}}
    calls = [{"type": "function", "id": str(at), "function": function}]
    messages = [
        {"role": "user", "content": f"hello {at}", "loss": False},
        {"role": "assistant", "content": None, "loss": True, "tool_calls": calls},
        {"role": "tool", "content": "nothing", "name": "search"},
        {"role": "assistant", "content": "good day", "loss": True},
    ]
    tools = [{"type": "function", "function": {"name": "search", "parameters": {"properties": {f"q{at % 3}": {}}}}}]
    return {"messages": messages if at % 4 else messages[:1] + messages[3:], "tools": tools}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value


def test_messages_are_those_of_the_chats(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chats in the same order; tools and arguments as JSON text, keys that are not there as None."""
    monkeypatch.setattr("synthkit.train.outputs.messages._BATCH", 2000)
    monkeypatch.setattr("synthkit.train.outputs.messages._FILE", 8000)
    out = tmp_path / "out"
    exported(chats(tmp_path, [_chat(at) for at in range(40)], base), out)
    loaded = datasets.load_from_disk(str(out / "datasets"))
    assert len(list((out / "datasets/train").glob("*.arrow"))) > 1
    for name, file in (("train", "training"), ("validation", "validation")):
        lines = [json.loads(line) for line in (out / f"chat/{file}.jsonl").read_text().splitlines()]
        assert len(lines) == len(loaded[name]) > 3
        for line, row in zip(lines, loaded[name], strict=True):
            assert json.loads(row["tools"]) == line["tools"]
            for message in row["messages"]:
                for each in message["tool_calls"] or ():
                    each["function"]["arguments"] = json.loads(each["function"]["arguments"])
            assert _without_none(row["messages"]) == _without_none(line["messages"])
            assert (row["id"], row["source"]) == (line["id"], "a")
    before = contents(out)
    given = (tmp_path / "r.yaml").read_text().replace("[chat, datasets]", "[datasets]")
    only = tmp_path / "r.yaml"
    only.write_text(given)
    exported(only, out)
    assert not list((out / "chat").glob("*")) and prepare(only).recipe.chat
    now = contents(out)
    assert {name for name in now if now[name] != before[name]} == {"manifest.json"}


def test_a_trainer_renders_the_same_text(tmp_path: Path, base: Path) -> None:
    transformers = pytest.importorskip("transformers")
    exported(chats(tmp_path, [{**_chat(at * 4), "tools": None} for at in range(20)], base), tmp_path / "out")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(base / "tokenizer.json"))
    loaded = datasets.load_from_disk(str(tmp_path / "out/datasets"))["train"]
    lines = [json.loads(line) for line in (tmp_path / "out/chat/training.jsonl").read_text().splitlines()]
    for line, row in zip(lines, loaded, strict=True):
        texts = [
            tokenizer.apply_chat_template(each["messages"], chat_template=TEMPLATE, tokenize=False)
            for each in (line, row)
        ]
        assert texts[0] == texts[1] and "hello" in texts[0]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            "messages[].content is a list here and text before",
        ),
        ({"role": "user", "content": "hi", "loss": 1}, "messages[].loss is a number here and true or false before"),
    ],
)  # fmt: skip
def test_two_types_in_one_place_are_refused(tmp_path: Path, base: Path, message: dict[str, Any], told: str) -> None:
    rows = [*[_chat(at) for at in range(12)], {"messages": [message], "tools": None}]
    with pytest.raises(SpecError) as caught:
        exported(chats(tmp_path, rows, base, holdout="0%"), tmp_path / "out")
    assert f"chat {tmp_path}/a.jsonl:13 of source 'a': {told}, and a column has one type" in str(caught.value)


def test_memory_does_not_follow_the_corpus(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record batch at a time, however long the split is."""
    sizes: list[int] = []
    import synthkit.train.outputs.datasets as module

    plain = module._table

    def watched(rows: Any) -> Any:
        made = plain(rows)
        sizes.append(made.nbytes)
        return made

    monkeypatch.setattr(module, "_table", watched)
    monkeypatch.setattr(module, "_BATCH", 1024)
    exported(packs(tmp_path, base, outputs="datasets", budget="60K"), tmp_path / "out")
    assert len(sizes) > 40 and max(sizes) <= 3 * 4 * 1024 + 3 * 4 * 16
    assert np.sum(sizes) > 12 * 50_000
