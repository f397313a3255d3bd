"""What is broken, emptied, deleted or edited by hand is told; nothing of it is a traceback or goes on in silence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthkit.core.errors import SpecError
from synthkit.train import tokenizer as tokenizers
from synthkit.train.file_source import FileSource
from synthkit.train.mixture import amount
from synthkit.train.outputs.chat import BadChat, template
from synthkit.train.recipe import SourceKeys
from tests.cli.conftest import Done, call
from tests.train.corpus import recipe, write_jsonl

LINE = "The harbour of Lisbon opened in 1887.\n"
CHAT = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("a.jsonl"), [{"text": LINE * (1 + at % 5)} for at in range(60)])


def _recipe(base: Path, source: str = "path: a.jsonl", **keys: object) -> Path:
    return recipe(Path("r.yaml"), base, f"  a: {{{source}, share: 100%, repeat: 999}}", **{"budget": 2000, **keys})


def _exported(file: Path) -> Done:
    found = call("export", str(file), "--out", "out")
    assert found.code == 0, found.text
    return found


def _manifest() -> dict[str, Any]:
    return dict(json.loads(Path("out/manifest.json").read_bytes())["sources"]["a"])


def test_a_plan_of_no_documents(base: Path) -> None:
    Path("a.jsonl").write_text("")
    planned = call("export", str(_recipe(base)), "--plan")
    assert planned.code == 0 and "tokens to read" in planned.out, planned.text


@pytest.mark.parametrize("content", [b"PAR1 and no more", b""])
def test_a_parquet_file_that_cannot_be_read(base: Path, content: bytes) -> None:
    Path("files").mkdir()
    Path("files/broken.parquet").write_bytes(content)
    pq.write_table(pa.table({"text": [LINE] * 40}), "files/whole.parquet")
    file = _recipe(base, "path: files/*.parquet")
    assert call("export", str(file), "--plan").code == 0
    _exported(file)
    assert _manifest()["documents"] == 40 and _manifest()["aside"] == {"unreadable file": 1}


def test_batches_of_parquet_end_where_they_did(tmp_path: Path) -> None:
    """From whichever cursor reading goes on."""
    pq.write_table(pa.table({"text": [f"{at:6}" * 300_000 for at in range(22)]}), "big.parquet", row_group_size=6)
    source = FileSource("a", SourceKeys(path=("big.parquet",)), 0)
    whole = list(source.batches({}))
    assert len(whole) > 6 and [row for batch in whole for row in batch.rows] == [
        f"big.parquet:{at + 1}" for at in range(22)
    ]
    for at, batch in enumerate(whole[:-1], 1):
        assert [each.rows for each in source.batches(batch.cursor)] == [each.rows for each in whole[at:]]


def test_messages_that_are_none(base: Path) -> None:
    write_jsonl(Path("a.jsonl"), [CHAT, {"messages": ["hello"]}, {"messages": [None]}])
    _exported(_recipe(base, "path: a.jsonl, messages: messages", outputs="[chat]", budget=200))
    assert _manifest()["documents"] == 1 and _manifest()["aside"] == {"messages that are no list of mappings": 2}


def test_a_chat_is_traced_by_its_number_and_id(base: Path) -> None:
    write_jsonl(Path("a.jsonl"), [CHAT] * 5)
    _exported(_recipe(base, "path: a.jsonl, messages: messages", outputs="[chat]", budget=200))
    assert "row        a.jsonl:1" in call("trace", "out", "a:0").out
    found = call("trace", "out", "a_train:0")
    assert (
        found.code == 1 and "documents are named like a:0, or by the id" in found.err and "Traceback" not in found.err
    )


def test_a_long_value_is_not_cut_in_silence(base: Path) -> None:
    write_jsonl(Path("a.jsonl"), [{"text": LINE * 60}])
    _exported(_recipe(base, sequence=4096))
    assert call("trace", "out", "a:0").out.rstrip().endswith(f"... and {len(LINE) * 60 - 2000:,} characters more")


def test_a_column_of_tools_that_is_not_there(base: Path) -> None:
    pq.write_table(pa.table([[CHAT["messages"]]], ["messages"]), "m.parquet")
    found = call("export", str(_recipe(base, "path: m.parquet, messages: messages, tools: toolz", outputs="[chat]")))
    assert found.code == 2 and "m.parquet has no column 'toolz'" in found.err


def test_preflight_of_a_recipe_with_other_outputs(base: Path) -> None:
    _exported(_recipe(base, outputs="[packed]"))
    found = call("preflight", str(_recipe(base, outputs="[packed, megatron]")), "--out", "out")
    assert found.code == 1 and "another state of this recipe" in found.out and "Traceback" not in found.text


def test_preflight_of_an_index_that_is_cut_off(base: Path) -> None:
    file = _recipe(base)
    _exported(file)
    Path("out/megatron/a_train.idx").write_bytes(b"MMIDIDX\0\0\1")
    found = call("preflight", str(file), "--out", "out")
    assert found.code == 1 and "a_train.idx is cut off" in found.out, found.text


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("packed/train-00000.idx.parquet", "out/packed holds 0 rows of train, not"),
        ("ledger/packed.train.parquet", "out/packed: [Errno 2]"),
        ("datasets/train/data-00000-of-00001.arrow", "out/datasets/train lacks data-00000-of-00001.arrow"),
        ("datasets/dataset_dict.json", "out/datasets is no dataset"),
        ("datasets/validation/state.json", "out/datasets is no dataset"),
    ],
)
def test_preflight_of_rows_that_are_gone(base: Path, broken: str, told: str) -> None:
    file = _recipe(base, outputs="[packed, datasets]", holdout="30%")
    _exported(file)
    assert call("preflight", str(file), "--out", "out").code == 0
    Path("out", broken).unlink()
    found = call("preflight", str(file), "--out", "out")
    assert found.code == 1 and told in found.out, found.text


def test_preflight_of_a_checkpoint_whose_configuration_is_broken(base: Path) -> None:
    file = _recipe(base, train="{checkpoint: weights}")
    _exported(file)
    Path("weights").mkdir()
    Path("weights/config.json").write_text("{")
    found = call("preflight", str(file), "--out", "out")
    assert found.code == 1 and "weights/config.json cannot be read" in found.out, found.text


def test_a_source_may_have_any_name(base: Path) -> None:
    """Also one like the export's own files."""
    source = "path: a.jsonl, repeat: 999, share: 50%"
    _exported(recipe(Path("r.yaml"), base, f"  packed_train: {{{source}}}\n  packed: {{{source}}}", outputs="[packed]"))
    lines = pq.read_table("out/ledger/packed_train.parquet")
    assert lines.num_rows == pq.read_table("out/ledger/packed.parquet").num_rows == 60 and "row" in lines.column_names
    assert call("trace", "out", "train:0", "--no-row").out.startswith("document   packed")


def test_nothing_is_left_of_rows_that_are_held_out_no_more(base: Path) -> None:
    _exported(_recipe(base, holdout="30%", outputs="[megatron, documents]"))
    assert Path("out/megatron/a_valid.bin").exists() and Path("out/documents/a_valid.bin").exists()
    _exported(_recipe(base, outputs="[megatron, documents]"))
    assert not [*Path("out").glob("*/a_valid.bin"), *Path("out").glob("*/a_valid.idx"), *Path("out").glob("*/*.of.*")]
    write_jsonl(Path("a.jsonl"), [CHAT] * 5)
    _exported(_recipe(base, "path: a.jsonl, messages: messages", outputs="[chat]", budget=200))
    assert not [*Path("out/megatron").iterdir(), *Path("out/documents").iterdir()]


def test_tokens_that_were_deleted_are_read_again(base: Path) -> None:
    """And not taken for zeros."""
    _exported(_recipe(base))
    data = Path("out/megatron/a_train.bin").read_bytes()
    Path("out/tokens/a/tokens.bin").write_bytes(b"")
    shutil.rmtree("out/megatron")
    assert "a: 0 tokens are there" in _exported(_recipe(base)).err
    assert Path("out/megatron/a_train.bin").read_bytes() == data


@pytest.mark.parametrize("content", ["[]", '{"model": {"vocab": {"a": 0}}}', "\ud800"])
def test_a_tokenizer_that_is_none(tmp_path: Path, content: str) -> None:
    Path("tokenizer.json").write_text(content, errors="surrogatepass")
    Path("tokenizer_config.json").write_text('{"eos_token": "a"}')
    with pytest.raises(SpecError, match=r"tokenizer.json cannot be read"):
        tokenizers.load(str(tmp_path))
    Path("tokenizer_config.json").write_text('{"eos_token"')
    with pytest.raises(SpecError, match=r"tokenizer_config.json or tokenizer.json cannot be read"):
        tokenizers.load(str(tmp_path))


def test_templates_as_trainers_write_them(base: Path) -> None:
    loaded = tokenizers.load(str(base))

    def rendered(text: str, **config: object) -> str:
        return template(replace(loaded, config={**loaded.config, "chat_template": text, **config}))(CHAT)

    marked = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %};{% endfor %}"
    assert rendered(marked) == "hello;good day;"
    assert rendered("{{ bos_token }}", bos_token={"content": "<s>"}) == "<s>"
    with pytest.raises(SpecError, match=r"line 2 of the chat template: Encountered unknown tag 'broken'"):
        rendered("\n{% broken %}")
    with pytest.raises(BadChat, match="the chat template refuses it: no"):
        rendered("{{ raise_exception('no') }}")


def test_chats_are_measured_by_the_template_that_the_trainer_takes(base: Path) -> None:
    write_jsonl(Path("a.jsonl"), [CHAT] * 5)
    text = "{% for m in messages %}{% generation %}{{ m.content * 40 }}{% endgeneration %}{% endfor %}"
    Path("long.jinja").write_text(text)
    source = "path: a.jsonl, messages: messages"
    _exported(_recipe(base, source, outputs="[chat]", budget=200))
    short = _manifest()["tokens"]
    _exported(_recipe(base, source, outputs="[chat]", budget=200, template="long.jinja", sequence=4096))
    assert _manifest()["tokens"] > 10 * short
    found = call("export", str(_recipe(base, source, outputs="[chat]", template="none.jinja")), "--out", "out")
    assert found.code == 2 and "r.yaml:5:11: template 'none.jinja' cannot be read: No such file" in found.err
    found = call("export", str(_recipe(base, template="long.jinja")), "--out", "out")
    assert found.code == 2 and "only chats have a template" in found.err


def test_a_sequence_of_an_odd_length_needs_no_context_ranks(base: Path) -> None:
    _exported(_recipe(base, sequence=255, train="{tensor: 2}"))
    found = call("export", str(_recipe(base, sequence=255, train="{context: 2}")), "--out", "out")
    assert found.code == 2 and "cannot be shared by 2 context parallel ranks" in found.err


def test_an_amount_has_three_digits() -> None:
    assert [amount(each) for each in (999, 999.7, 999_499, 999_700, 999_999_999)] == ["999", "1K", "999K", "1M", "1B"]
