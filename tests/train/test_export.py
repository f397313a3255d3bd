"""What becomes of a document: every one is in one pack or aside with a reason, token by token."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthkit.core.errors import SpecError
from synthkit.train import tokenizer as tokenizers
from synthkit.train.prepare import prepare
from tests.train.corpus import documents, exported, ledger, recipe, write_jsonl

SEQUENCE = 256
DOCUMENT = "The harbour of Lisbon opened in 1887.\n"


def test_hard_documents(tmp_path: Path, base: Path) -> None:
    """Empty, one token, exactly a sequence, one more, special text, NUL, broken lines, a line of 5 MB."""
    loaded = tokenizers.load(str(base))
    word = next(t for t in (" the", " of", " a") if len(loaded.reference.encode(t, add_special_tokens=False).ids) == 1)
    texts = {
        "empty": "",
        "one": word,
        "exact": word * (SEQUENCE - 1),
        "longer": word * SEQUENCE,
        "special": "before<|endoftext|>after <|im_end|>",
        "nul": "a\0b",
        "chinese": "长江是中国最长的河流。",
        "combining": "e\u0301 \u212b",
        "huge": "x" * 5_000_000,
    }
    lines = [json.dumps({"text": text}) for text in texts.values()]
    lines += ['{"text": "half \\ud800"}', '{"text": 7}', "{broken", '{"other": "x"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    file = recipe(tmp_path / "r.yaml", base, f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99}}", budget=5000)
    out = tmp_path / "out"
    manifest = exported(file, out)
    names = [*texts, "surrogate", "number", "broken", "missing"]
    lines_of = {names[int(line["row"].rsplit(":", 1)[1]) - 1]: line for line in ledger(out, "a")}
    assert len(lines_of) == len(names)
    aside = {name: line["aside"] for name, line in lines_of.items() if line["aside"]}
    assert aside == {
        "empty": "empty",
        "longer": "longer than 256 tokens",
        "huge": "longer than 256 tokens",
        "surrogate": "broken JSON",
        "number": "no text in 'text'",
        "broken": "broken JSON",
        "missing": "no text in 'text'",
    }
    assert lines_of["exact"]["tokens"] == SEQUENCE and lines_of["longer"]["tokens"] == SEQUENCE + 1
    wanted = [
        [*loaded.reference.encode(text, add_special_tokens=False).ids, loaded.eod]
        for name, text in texts.items()
        if name not in aside
    ]
    assert sorted(documents(out, "a")) == sorted(wanted)
    assert manifest["sources"]["a"]["documents"] == len(wanted)
    assert sum(manifest["sources"]["a"]["aside"].values()) == len(aside)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=1, max_size=40),
    holdout=st.sampled_from(["0%", "30%"]),
    over=st.sampled_from(["aside", "split", "next"]),
)
def test_nothing_is_lost(
    base: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[str], holdout: str, over: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    texts = [*texts, DOCUMENT * 3]
    write_jsonl(folder / "a.jsonl", [{"text": text} for text in [*texts, *[DOCUMENT] * 40]])
    source = f"  a: {{path: {folder}/a.jsonl, share: 100%, repeat: 9999}}"
    file = recipe(folder / "r.yaml", base, source, holdout=holdout, over=over, sequence=64, budget="2K")
    out = folder / "out"
    manifest = exported(file, out)
    loaded = tokenizers.load(str(base))
    lines_of = ledger(out, "a")
    assert {line["row"].rsplit(":", 1)[1] for line in lines_of} == {str(at) for at in range(1, len(texts) + 41)}
    wanted: Counter[tuple[int, ...]] = Counter()
    pieces: Counter[tuple[int, ...]] = Counter()
    by_row: dict[str, list[dict[str, Any]]] = {}
    for line in lines_of:
        assert (line["pack"] is None) == (line["aside"] is not None)
        by_row.setdefault(line["row"], []).append(line)
    for row, lines in by_row.items():
        text = [*texts, *[DOCUMENT] * 40][int(row.rsplit(":", 1)[1]) - 1]
        ids = loaded.reference.encode(text, add_special_tokens=False).ids
        if lines[0]["aside"] is not None:
            assert len(lines) == 1
            continue
        assert sum(line["tokens"] for line in lines) == len(ids) + len(lines), "each piece has an end of its own"
        start = 0
        for line in sorted(lines, key=lambda each: each["piece"]):
            wanted[(*ids[start : start + line["tokens"] - 1], loaded.eod)] += 1
            start += line["tokens"] - 1
        if len(lines) > 1:
            assert over == "split"
    for split in ("train", "valid"):
        if manifest["sources"]["a"]["splits"][split]:
            pieces.update(map(tuple, documents(out, "a", split)))
    assert pieces == wanted


def test_special_tokens_of_templates_are_tokens(tmp_path: Path, base: Path, chatty: Path) -> None:
    text = "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>"
    write_jsonl(tmp_path / "a.jsonl", [{"text": text}])
    source = f"  a: {{path: {tmp_path}/a.jsonl, share: 100%, repeat: 99}}"
    special = "[<|im_start|>, <|im_end|>]"
    exported(recipe(tmp_path / "r.yaml", base, source, special=special, budget=40), tmp_path / "out")
    (document,) = documents(tmp_path / "out", "a")
    eod = tokenizers.load(str(base)).eod
    assert document[0] == eod + 1 and eod + 2 in document and document.count(eod) == 1
    with pytest.raises(SpecError, match=r"ends documents with <\|im_end\|>, so none may hold it"):
        prepare(recipe(tmp_path / "r.yaml", chatty, source, special=special))
