"""The tokenizer of nano: byte-level BPE whose pieces suit copying.

A word has the same tokens wherever it stands: a space is joined to a lower-case word only, so that `Velmar` after a
quote and `Velmar` after a space are the same tokens; digits, capitals and punctuation stand alone. The keys of JSON
replies are one token each.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SIZE = 4096
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_JSON = r'\\"|["\]}]*(?:, ?)?\{?"[a-z_]+": ?(?:\["|\[|"|\{)?|["\]}]+'
_TEXT = r" ?\p{Ll}+|\p{Lu}\p{Ll}+|\p{Lu}|\p{Lo}+|\p{N}|\n+| |[^\s\p{L}\p{N}]|\s"

KEYS = (  # what a grammar forces must be one token: constrained decoding spells the rest in tokens of its own
    '{"thought":"', '"url":["', '"],"goal":"', '"final":"', '"code":"', '"}}', '"}}}', "visit", "python",
    '{"alternatives":[', '"]}},{"thought":"', '"}},{"thought":"', '"]}}]}', '"}}]}',
    '{"call":{', '"]}},{"call":{', '"}},{"call":{', '{"state":"', '{"summaries":["',
)  # fmt: skip

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking %}<think>\n{% endif %}{% endif %}"
)


def train(texts: list[str], size: int = SIZE) -> Tokenizer:
    """Train the BPE on `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"{_JSON}|{_TEXT}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(Random(0).sample(texts, len(texts)), trainer)
    return tokenizer


def extended(tokenizer: Tokenizer, keys: tuple[str, ...] = KEYS) -> Tokenizer:
    """Return the tokenizer with a token for each key, behind those it has, by merges of what it made of the key."""
    for key in keys:
        state = json.loads(tokenizer.to_str())
        vocab, merges = state["model"]["vocab"], state["model"]["merges"]
        left, *rest = tokenizer.encode(key, add_special_tokens=False).tokens
        for right in rest:
            merges.append([left, right])
            left += right
            vocab.setdefault(left, len(vocab))
        tokenizer = Tokenizer.from_str(json.dumps(state))
    return tokenizer


def parts(tokenizer: Tokenizer) -> dict[int, tuple[int, int]]:
    """Return token -> the two tokens it was merged of."""
    model = json.loads(tokenizer.to_str())["model"]
    vocab, merges = model["vocab"], model["merges"]
    return {vocab[left + right]: (vocab[left], vocab[right]) for left, right in merges}


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` as transformers and vLLM read them."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "unk_token": None,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
