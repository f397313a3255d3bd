"""From text to packed .bin/.idx: export, a loop like that of Megatron-LM, and the tokenizer alone and between files.

Same text, same tokenizer, every number from a process of its own, so that no cache is warm; tokens are divided by
processor time of all cores, which other work on the machine moves little. The text is the Python source of this
environment, each file a document; the tokenizer is trained on a part of it, with Qwen's pattern. The loop is what
Megatron-LM's `preprocess_data.py` does: a pool of a process a core, Hugging Face tokenizers per document, 32 a task,
one writer.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pool
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Figure, run

if TYPE_CHECKING:
    import pyarrow as pa

    from synthkit.train.batch import Batch

MEGABYTES = 160
_LOOP = 2000
"""Documents for the loop, which takes minutes for all of them."""
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def export(megabytes: int = MEGABYTES) -> Iterator[Figure]:
    """Tokens for each second of processor time, and packing fill."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = corpus(folder, megabytes)
        tokenizer(folder / "text.parquet", folder / "tokenizer")
        loop, bare, files = (_measured(folder, way)["rate"] / 1e6 for way in ("loop", "bare", "files"))
        for length in (32, 128):
            found = _measured(folder, "export", str(length))
            rate = found["rate"] / 1e6
            yield Figure(f"export, {count:,} documents at {length}K, whole", found["whole"] / 1e6, "Mtok/s")
            yield Figure("  each further document", rate, "Mtok/s")
            yield Figure("  against the loop of preprocess_data.py", rate, "Mtok/s", loop, "loop", ">= 20")
            yield Figure("  against the bare tokenizer, texts in memory", rate, "Mtok/s", bare, "bare", ">= 0.8")
            yield Figure("  against it from Parquet to a file of tokens", rate, "Mtok/s", files, "files")
            yield Figure("  packs filled, 200,000 documents of these lengths", found["fill"] * 100, "%", aim=">= 99.9")


def _measured(folder: Path, *arguments: str) -> dict[str, float]:
    way, *rest = arguments
    found: dict[str, float] = json.loads(
        run("-m", "benchmarks.export", way, str(folder), *rest).output.splitlines()[-1]
    )
    return found


def _processor() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def corpus(folder: Path, megabytes: int) -> int:
    """Python sources as documents, each once, in `text.parquet`, and a quarter of them; the number of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts: dict[str, None] = {}
    size = 0
    for root in map(Path, sys.path):
        for file in sorted(root.rglob("*.py")) if root.is_dir() and "python" in root.as_posix() else ():
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if 200 < len(text) < 400_000 and text not in texts:
                texts[text] = None
                size += len(text)
            if size > megabytes << 20:
                break
    table = pa.table({"text": pa.array(list(texts), pa.large_string())})
    pq.write_table(table, folder / "text.parquet", row_group_size=1024)
    pq.write_table(table.slice(0, len(table) // 4), folder / "quarter.parquet", row_group_size=1024)
    return len(texts)


def tokenizer(text: Path, folder: Path) -> None:
    """Byte-level BPE of 32,000 tokens."""
    import pyarrow.parquet as pq
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_PATTERN), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=32_000, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(pq.read_table(text)["text"].slice(0, 600).to_pylist(), trainer)
    made.add_special_tokens(["<|endoftext|>"])
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


_tokenizer: Any = None


def _start(file: str) -> None:
    global _tokenizer
    from tokenizers import Tokenizer

    _tokenizer = Tokenizer.from_file(file)


def _encode(text: str) -> list[int]:
    ids: list[int] = _tokenizer.encode(text).ids
    return ids


def _loop(folder: Path) -> dict[str, float]:
    import numpy as np
    import pyarrow.parquet as pq

    texts = pq.read_table(folder / "text.parquet")["text"].slice(0, _LOOP).to_pylist()
    count = 0
    file = str(folder / "tokenizer/tokenizer.json")
    began = _processor()
    with Pool(cpu_count(), _start, (file,)) as pool, (folder / "loop.bin").open("wb") as out:
        for ids in pool.imap(_encode, texts, 32):
            ids.append(32_000)
            out.write(np.array(ids, dtype=np.int32).tobytes())
            count += len(ids)
        pool.close()
        pool.join()
    return {"rate": count / (_processor() - began)}


def _bare(folder: Path) -> dict[str, float]:
    """What export's own engine does on the same texts in memory, in as many threads, and nothing else."""

    def texts(name: str) -> list[Batch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        column = pq.read_table(folder / f"{name}.parquet")["text"].cast(pa.large_string()).combine_chunks()
        return [_batch(column.slice(at, 512)) for at in range(0, len(column), 512)]

    return _further(lambda name: _encoded(folder, texts(name)))


def _files(folder: Path) -> dict[str, float]:
    """The same between two files: Parquet is read, encoded, and the tokens are written once, as they come."""

    def texts(name: str) -> Iterator[Batch]:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(folder / f"{name}.parquet") as file:
            for batch in file.iter_batches(512, columns=["text"]):
                yield _batch(batch.column("text"))

    return _further(lambda name: _encoded(folder, texts(name), folder / f"{name}.tokens"))


def _batch(texts: pa.LargeStringArray) -> Batch:
    from synthkit.train.batch import Batch

    return Batch([], texts, None, {})


def _encoded(folder: Path, batches: Iterable[Batch], out: Path = Path(os.devnull)) -> tuple[int, float]:
    """Tokens, and seconds of processor time, by a tokenizer that has seen nothing yet."""
    import pyarrow as pa

    from synthkit.train import tokenizer as tokenizers
    from synthkit.train.encode import encoded

    fast, why = tokenizers.engine(tokenizers.load(str(folder / "tokenizer")), pa.array(["a"], pa.large_string()))
    assert fast.name.startswith("gigatoken"), why
    count = 0
    began = _processor()
    with out.open("wb") as file:
        for _, tokens in encoded(batches, fast):
            count += len(tokens.ids)
            if file.name != os.devnull:
                tokens.ids.tofile(file)
    return count, _processor() - began


def _further(once: Callable[[str], tuple[int, float]]) -> dict[str, float]:
    """Of all documents and of a quarter, so that what is paid once is left out; a quarter before that for imports."""
    once("quarter")
    (less, early), (more, late) = once("quarter"), once("text")
    return {"whole": more / late, "rate": (more - less) / (late - early)}


def _whole(folder: Path, length: int) -> dict[str, float]:
    """Export from Parquet to packs; what `prepare` takes (loading the tokenizer) is left out."""
    found = _further(lambda name: _exported(folder, name, length))
    return {**found, "fill": _fill(folder / f"text{length}/ledger/text.parquet", length << 10)}


def _exported(folder: Path, name: str, length: int) -> tuple[int, float]:
    """Tokens, and seconds of processor time."""
    from synthkit.train.export import export as write
    from synthkit.train.prepare import prepare

    out = folder / f"{name}{length}"
    shutil.rmtree(out, ignore_errors=True)
    recipe = out.with_suffix(".yaml")
    recipe.write_text(
        f"tokenizer: {folder}/tokenizer\nsequence: {length}Ki\nbudget: 10T\nover: split\n"
        f"sources:\n  text: {{path: {folder}/{name}.parquet, share: 100%, repeat: 999999999}}\n"
    )
    prepared = prepare(recipe)
    began = _processor()
    manifest = write(prepared, out, lambda line: None)
    seconds = _processor() - began
    source = manifest["sources"]["text"]
    assert source["engine"].startswith("gigatoken"), source["engine"]
    return source["tokens"], seconds


def _fill(ledger: Path, sequence: int) -> float:
    """Of packs of 200,000 documents, drawn from the lengths of those there are."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from synthkit.train.pack import pack

    lengths = pq.read_table(ledger).filter(pc.field("aside").is_null())["tokens"].to_numpy()
    drawn = np.random.default_rng(1).choice(lengths, 200_000).astype(np.int64)
    return float(drawn.sum() / (len(pack(drawn, sequence)) * sequence))


if __name__ == "__main__":
    way, where, *rest = sys.argv[1:]
    ways: dict[str, Callable[..., dict[str, float]]] = {"loop": _loop, "bare": _bare, "files": _files, "export": _whole}
    print(json.dumps(ways[way](Path(where), *map(int, rest))))
