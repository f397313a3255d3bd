"""One tokenizer for all tests of the hand-off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.corpus import make_tokenizer


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model's tokenizer: end of document and padding are one token."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "base")


@pytest.fixture(scope="session")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model's: it ends with `<|im_end|>` and pads with `<|endoftext|>`."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "chat", eos="<|im_end|>")
