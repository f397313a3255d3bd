"""A tokenizer like the trainer's, small; and readers of what an export writes, written without the writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synthkit.core.resources import shipped
from synthkit.train.export import export
from synthkit.train.prepare import prepare

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Of Qwen's tokenizers."""
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if tools %}{{ tools | tojson }}{% endif %}"
)


def make_tokenizer(folder: Path, *, eos: str = "<|endoftext|>", size: int = 1200) -> Path:
    """Byte-level BPE with Qwen's pattern, normaliser and kinds of added tokens, trained on the shipped articles."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    lines = (line for file in sorted(shipped("documents").glob("*.jsonl")) for line in file.read_text().splitlines())
    tokenizer.train_from_iterator((json.loads(line)["text"] for line in lines), trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": eos, "pad_token": "<|endoftext|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sequences(prefix: Path) -> list[NDArray[np.int32]]:
    """Every sequence of a .bin/.idx pair, by the format's definition."""
    data = prefix.with_name(prefix.name + ".idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, code = int.from_bytes(data[9:17], "little"), data[17]
    assert (version, code) == (1, 4)
    count, documents = (int.from_bytes(data[at : at + 8], "little") for at in (18, 26))
    lengths = np.frombuffer(data, np.int32, count, 34)
    starts = np.frombuffer(data, np.int64, count, 34 + 4 * count)
    ends = np.frombuffer(data, np.int64, documents, 34 + 12 * count)
    assert ends.tolist() == list(range(count + 1)) and len(data) == 34 + 12 * count + 8 * documents
    tokens = np.fromfile(prefix.with_name(prefix.name + ".bin"), np.int32)
    return [tokens[start // 4 : start // 4 + length] for start, length in zip(starts, lengths, strict=True)]


def recipe(path: Path, tokenizer: Path, sources: str, **keys: object) -> Path:
    """A recipe file; `sources` is YAML, indented by two."""
    given = {"sequence": 256, "budget": "10K", "outputs": "[megatron]", **keys}
    head = "".join(f"{name}: {value}\n" for name, value in given.items())
    path.write_text(f"tokenizer: {tokenizer}\n{head}sources:\n{sources}\n")
    return path


def exported(path: Path, out: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """The manifest of a recipe that is exported in this process."""
    return dict(export(prepare(path), out, say))


def documents(out: Path, name: str, split: str = "train") -> list[list[int]]:
    """The documents of a source's packs, by the end that each has; padding left out."""
    manifest = orjson.loads((out / "manifest.json").read_bytes())
    tokenizer = manifest["tokenizer"]
    found: list[list[int]] = []
    for pack in sequences(out / "megatron" / f"{name}_{split}"):
        assert len(pack) == manifest["sequence"]
        ends = np.flatnonzero(pack == tokenizer["eod"]) + 1
        start = 0
        for end in ends.tolist():
            found.append(pack[start:end].tolist())
            start = end
        assert (pack[start:] == tokenizer["pad"]).all()
    return found


def ledger(out: Path, name: str) -> list[dict[str, Any]]:
    """A source's ledger."""
    lines: list[dict[str, Any]] = pq.read_table(out / "ledger" / f"{name}.parquet").to_pylist()
    return lines


def contents(out: Path) -> dict[str, bytes]:
    """Every file of an export but its lock and the sketches, which Lance names anew each time."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock" and "sketches" not in path.relative_to(out).parts
    }
