"""What nano is trained on: a tail is read as if its prompt stood alone; the tokenizer grows by whole keys."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from tests.examples.asked import NANO

torch = pytest.importorskip("torch")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def training(nano: Mapping[str, ModuleType]) -> Iterator[Mapping[str, ModuleType]]:
    """The modules that train, beside those that make examples."""
    yield {name: importlib.import_module(name) for name in ("batches", "network")}


def alone(batches: ModuleType, tok: Any, prompt: str, reply: str) -> Any:
    """A prompt and its reply as one plain example."""
    teacher = importlib.import_module("teacher")
    return batches.encode(tok, teacher.Example("plain", prompt, reply), Random(0))


@pytest.mark.parametrize("task", ["turn", "question", "alternatives", "rewrite"])
def test_a_tail_is_read_as_if_its_prompt_stood_alone(
    training: Mapping[str, ModuleType], monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    batches, network = training["batches"], training["network"]
    monkeypatch.setattr(batches, "NOISE", 0.0)
    tok = tokenizers.Tokenizer.from_file(str(NANO / "model" / "tokenizer.json"))
    torch.manual_seed(0)
    net = network.Network(network.Size(vocab=tok.get_vocab_size(), hidden=32, layers=2, heads=2, head=16, mlp=32))
    example = batches.example(Random(5), task, 1.0)
    assert len(example.tails) > 1

    def losses(item: Any) -> Any:
        batch = batches.collate(task, [item], 3, torch.tensor([0, 1]))
        hidden = net(batch.prefix, batch.tokens, batch.positions, batch.mask)
        targets = batch.targets.flatten()
        kept = targets >= 0
        found = torch.nn.functional.cross_entropy(net.lm_head(hidden[kept]), targets[kept], reduction="none")
        return sorted(found.tolist())

    together = losses(batches.encode(tok, example, Random(0)))
    prompts = [(example.prompt[: tail.cut] + tail.text, tail.reply) for tail in example.tails]
    apart = sorted(loss for prompt, reply in prompts for loss in losses(alone(batches, tok, prompt, reply)))
    assert together == pytest.approx(apart, abs=2e-5)


def test_the_tokenizer_has_each_key_as_one_token_and_grows_once(nano: Mapping[str, ModuleType]) -> None:
    pieces = nano["tokenizer"]
    tok = tokenizers.Tokenizer.from_file(str(NANO / "model" / "tokenizer.json"))
    grown = pieces.extended(tok)
    assert [len(grown.encode(key).ids) for key in pieces.KEYS] == [1] * len(pieces.KEYS)
    assert pieces.extended(grown).to_str() == grown.to_str()
    text = '{"statement":"Velmar was built in 1931."}'
    assert grown.encode(text).ids == tok.encode(text).ids
    assert all(token < grown.get_vocab_size() for pair in pieces.parts(grown).values() for token in pair)


def test_tokens_that_the_weights_lack_begin_as_their_parts(training: Mapping[str, ModuleType], tmp_path: Path) -> None:
    network = training["network"]
    size = network.Size(vocab=6, hidden=32, layers=1, heads=2, head=16, mlp=32)
    small = network.Network(size)
    small.save(tmp_path)
    grown = network.Network(size._replace(vocab=7))
    grown.load(tmp_path, {6: (2, 5)})
    for name, part in (("embed_tokens", 5), ("lm_head", 2)):
        rows = getattr(grown, name).weight
        assert torch.allclose(rows[:6], getattr(small, name).weight, atol=1e-2)
        near = torch.nn.functional.cosine_similarity(rows[6], rows, dim=-1)
        assert near[:6].argmax() == part and near[part] > 0.9


@pytest.mark.slow
def test_training_that_is_ended_early_keeps_its_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = NANO / "model"
    command = [sys.executable, str(NANO / "train.py"), "--resume", str(model), "--out", str(tmp_path), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        assert "parameters" in training.stdout.readline()
        training.send_signal(signal.SIGTERM)
        assert training.wait(60) == 0
        assert "ended early" in training.stdout.read()
    before, after = (load_file(folder / "model.safetensors") for folder in (model, tmp_path))
    assert {name: found.shape for name, found in after.items()} == {name: found.shape for name, found in before.items()}
