"""The trainer's tokenizer: texts in Arrow buffers in, token ids in numpy arrays out.

Special tokens are taken out of the added tokens before the tokenizer is built, so text such as `<|endoftext|>` in a
document is ordinary text to every engine; those of `special:` stay, and so do added tokens like `<think>`. gigatoken
is used where it is installed, knows the tokenizer's pattern, and gives the same ids as Hugging Face tokenizers on a
sample of the corpus itself; it is some 40 times faster. A document that comes to the end-of-document or pad id all the
same is set aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synthkit.core.errors import SpecError
from synthkit.core.names import nearest
from synthkit.core.resources import shipped

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SAMPLE = 256
"""Documents on which an engine must agree with Hugging Face tokenizers."""
_SAMPLE_BYTES = 1 << 20
"""Or as many as have so much text: the reference takes a second for it."""
_THREADS = 8
"""Calls at once: one core reads Parquet no faster than 4 encode it."""
_CONFIG = "tokenizer_config.json"


class Tokens(NamedTuple):
    """The tokens of a batch of texts."""

    ids: NDArray[np.int32]
    """All tokens, text after text."""
    ends: NDArray[np.int64]
    """Where each text's tokens end."""


@dataclass(frozen=True)
class TrainTokenizer:
    """A tokenizer.json without the special tokens that documents may not hold."""

    name: str
    content: str
    """The tokenizer.json that is built."""
    original: str
    """The tokenizer.json as it is, special tokens and all."""
    hash: str
    """Of the original file."""
    vocab_size: int
    eod: int
    """Id after each document."""
    pad_token: int | None
    """The tokenizer's own pad id."""
    normalizer: Mapping[str, Any] | None
    """What changes a text before it is encoded."""
    special: Mapping[str, int]
    """Special tokens that texts may hold."""
    config: Mapping[str, Any]
    """tokenizer_config.json; empty where there is none."""

    @property
    def pad(self) -> int:
        """What fills the rest of a pack: Megatron masks its pad id, or -1 where that would mask the real EOD too."""
        return -1 if self.pad_token is None or self.pad_token == self.eod else self.pad_token

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Ids that no document's text may come to."""
        return tuple({self.eod} | ({self.pad_token} if self.pad_token is not None else set()))

    def named(self, key: str) -> str | None:
        """A token of the configuration, such as `eos_token`."""
        return _text(self.config.get(key))

    @cached_property
    def reference(self) -> Any:
        """The Hugging Face tokenizer."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.content)

    @cached_property
    def speller(self) -> Any:
        """A tokenizer to single bytes with the same normaliser: its offsets say where each byte comes from."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE({byte: number for number, byte in enumerate(alphabet)}, []))
        made.normalizer = self.reference.normalizer
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return made

    @cached_property
    def whole(self) -> Any:
        """The Hugging Face tokenizer as the trainer has it, for texts that its chat template makes."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.original)

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64] | None:
        """Bytes of each token's text; None where the tokenizer is not one of bytes."""
        import numpy as np

        if '"ByteLevel"' not in self.content:
            return None
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        added = {each["id"]: each["content"] for each in json.loads(self.content).get("added_tokens") or ()}
        for token, number in self.reference.get_vocab(with_added_tokens=True).items():
            text = added.get(number)
            lengths[number] = len(token) if text is None else len(text.encode())
        return lengths


def load(name: str, eod: str | None = None, special: Sequence[str] = ()) -> TrainTokenizer:
    """The tokenizer of that name with `eod` as the end of documents; SpecError says what is not there."""
    content, config = _files(name)
    try:
        parsed = json.loads(content)
        if not isinstance(parsed, dict):
            raise TypeError("it is no mapping")
        added = {str(each["content"]): dict(each) for each in parsed.get("added_tokens") or ()}
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError(f"tokenizer {name!r}: its tokenizer.json cannot be read: {error}") from error
    vocab = {**_vocabulary(parsed), **{text: int(each["id"]) for text, each in added.items()}}
    marks = [text for text, each in added.items() if each.get("special")]
    end = eod or _text(config.get("eos_token"))
    if end is None or end not in vocab:
        what = "names no eos_token" if end is None else f"has no token {end!r}"
        raise SpecError(f"tokenizer {name!r} {what}; write eod: and {nearest(end or '', marks, 'its special tokens')}")
    if end in special:
        raise SpecError(f"tokenizer {name!r} ends documents with {end}, so none may hold it; take it out of special")
    for text in special:
        if text not in added:
            raise SpecError(f"tokenizer {name!r} has no special token {text!r}; {nearest(text, marks, 'it has')}")
    padding = _text(config.get("pad_token"))
    parsed["added_tokens"] = list(_kept(added, frozenset(special), _vocabulary(parsed)))
    parsed.update(post_processor=None, truncation=None, padding=None)
    made = TrainTokenizer(
        name=name,
        content=json.dumps(parsed, ensure_ascii=False),
        original=content,
        hash=blake2b(content.encode(), digest_size=16).hexdigest(),
        vocab_size=max(vocab.values()) + 1,
        eod=vocab[end],
        pad_token=vocab.get(padding) if padding is not None else None,
        normalizer=parsed.get("normalizer"),
        special={text: vocab[text] for text in special},
        config=config,
    )
    try:
        built = made.reference
    except Exception as error:  # tokenizers has no class of its own for what it cannot build
        raise SpecError(f"tokenizer {name!r}: its tokenizer.json cannot be read: {error}") from error
    for each in parsed["added_tokens"]:
        if built.token_to_id(each["content"]) != each["id"]:
            raise SpecError(f"tokenizer {name!r}: the id of its added token {each['content']!r} is not {each['id']}")
    return made


def _kept(
    added: Mapping[str, Mapping[str, Any]], special: frozenset[str], vocabulary: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """The added tokens that texts may hold.

    tokenizers numbers added tokens by their place, so one that no text may hold leaves a stand-in made of
    noncharacters, unless the model's own vocabulary has its number.
    """
    for text, each in added.items():
        if not each.get("special") or text in special:
            yield {**each, "special": False}
        elif text not in vocabulary:
            yield {**each, "content": f"\ufdd0{each['id']}\ufdd1", "normalized": False}


def _files(name: str) -> tuple[str, dict[str, Any]]:
    """tokenizer.json and tokenizer_config.json as they are."""
    path = shipped("nano") if name == "nano" else Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    beside = file.with_name(_CONFIG)
    if not file.is_file():
        if name == "nano" or path.is_absolute() or name.startswith("."):
            raise SpecError(f"tokenizer {name!r}: there is no file {file}")
        file, beside = _fetched(name, "tokenizer.json"), _fetched(name, _CONFIG)
    try:
        config = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
        return file.read_text(encoding="utf-8"), config if isinstance(config, dict) else {}
    except ValueError as error:  # no JSON, or no UTF-8
        raise SpecError(f"tokenizer {name!r}: {beside.name} or {file.name} cannot be read: {error}") from error


def _fetched(name: str, file: str) -> Path:
    """A file of the hub, or of its cache."""
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, file))
    except Exception as error:  # a hub's client raises errors of many libraries
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SpecError(
            f"tokenizer {name!r}: {file} cannot be had: {reason}; give 'nano', a folder with tokenizer.json and "
            f"{_CONFIG}, or a hub name"
        ) from error


def _vocabulary(parsed: Mapping[str, Any]) -> dict[str, int]:
    vocab = parsed.get("model", {}).get("vocab", {})
    if isinstance(vocab, list):  # Unigram: [piece, score]
        return {str(piece): number for number, (piece, _) in enumerate(vocab)}
    return {str(token): int(number) for token, number in vocab.items()}


def _text(token: Any) -> str | None:
    """A token of the configuration, which is a text or an object with one."""
    return token.get("content") if isinstance(token, Mapping) else token


class Reference:
    """Hugging Face tokenizers; what every other engine is compared with."""

    most = 1 << 20
    """Bytes of text to give it at once: it makes 100 bytes and more a token."""
    threads = 1
    """Calls at once: each call takes all cores."""

    def __init__(self, tokenizer: TrainTokenizer) -> None:
        """The engine of that tokenizer."""
        import tokenizers

        self.tokenizer = tokenizer
        self.name = f"tokenizers {tokenizers.__version__}"

    def encode(self, texts: pa.LargeStringArray) -> Tokens:
        """Their tokens; a list of each text's is made, so batches should stay below some million tokens."""
        import numpy as np

        encoded = self.tokenizer.reference.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        parts = [np.array(each.ids, dtype=np.int32) for each in encoded]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return Tokens(np.concatenate(parts) if parts else np.empty(0, dtype=np.int32), ends)


class Gigatoken:
    """gigatoken on the Arrow buffers themselves."""

    most = 8 << 20
    """Bytes of text to give it at once; a call costs 0.6 ms before its first token."""

    def __init__(self, tokenizer: TrainTokenizer) -> None:
        """The engine of that tokenizer; raises what gigatoken raises where it does not know the tokenizer."""
        import os
        from importlib.metadata import version

        import awkward
        from gigatoken import Tokenizer

        self.name = f"gigatoken {version('gigatoken')}"
        self._from_arrow = awkward.from_arrow
        self._tokenizer = Tokenizer.from_json(tokenizer.content)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = min(cores, _THREADS)

    def encode(self, texts: pa.LargeStringArray) -> Tokens:
        """Their tokens, found in this thread: calls in several cost less than one that is shared out."""
        import numpy as np

        if not len(texts):
            return Tokens(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64))
        layout = self._tokenizer.encode_batch(self._from_arrow(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets, dtype=np.int64)
        flat = np.asarray(layout.content.data)
        return Tokens(flat[offsets[0] : offsets[-1]].view(np.int32), offsets[1:] - offsets[0])


def engine(tokenizer: TrainTokenizer, sample: pa.LargeStringArray) -> tuple[Gigatoken | Reference, str]:
    """The fastest engine that agrees with the reference on the sample, and why it is that one."""
    reference = Reference(tokenizer)
    sample = _first(sample)
    try:
        fast = Gigatoken(tokenizer)
    except ImportError:
        return reference, "gigatoken is not installed"
    except Exception as error:  # whatever it does not know of a tokenizer.json
        return reference, f"gigatoken does not know this tokenizer ({str(error).splitlines()[0].partition(',')[0]})"
    ours, theirs = fast.encode(sample), reference.encode(sample)
    if not _same(ours, theirs):
        return reference, f"{fast.name} differs from {reference.name} on the sample"
    return fast, f"the same ids as {reference.name} on {len(sample):,} documents of the corpus"


def _first(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The first texts, up to the size of a sample and at least one."""
    import numpy as np
    import pyarrow.compute as pc

    texts = texts.slice(0, SAMPLE)
    sizes = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))
    return texts.slice(0, max(1, int(np.searchsorted(sizes, _SAMPLE_BYTES, side="right"))))


def _same(one: Tokens, other: Tokens) -> bool:
    import numpy as np

    return bool(np.array_equal(one.ends, other.ends) and np.array_equal(one.ids, other.ids))
