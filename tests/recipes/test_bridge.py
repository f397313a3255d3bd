"""Megatron-Bridge 0.3.1 itself: its recipes made, filled, written as YAML, read back and validated, for 64 GPUs that
are not there.

`stubs.CUDA_ONLY` and `ABSENT` name what stands in for packages that need CUDA: names, types and constraints are
proven, kernels are not.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")
if importlib.util.find_spec("megatron.bridge") is None:  # importing it needs the stubs
    pytest.skip("megatron-bridge is not installed: `make test-recipes`", allow_module_level=True)

from recipes.nemo import bridge, fields, plan
from recipes.nemo.errors import LaunchError
from tests.recipes import hub, stubs
from tests.recipes.conftest import Planned

stubs.install()


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    cache = tmp_path_factory.mktemp("hub")
    hub.lay_out(cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(cache), raising=False)
        patch.setenv("WORLD_SIZE", "32")
        patch.setenv("HF_HUB_CACHE", str(cache))
        yield


def validated(config: Any) -> Any:
    """As the library does before it trains."""
    from megatron.bridge.training.config import runtime_config_update

    runtime_config_update(config)
    return config


@pytest.mark.parametrize(
    ("stage", "sets"),
    [
        ("stage1", []),
        ("stage2", ["rope.known=128"]),
        ("stage2", ["rope.known=128", "rope.kind=yarn"]),
        ("sft", []),
    ],
    ids=["stage1", "stage2", "stage2-yarn", "sft"],
)
def test_a_recipe_holds_the_plan_survives_yaml_and_is_valid(
    planned: Planned, tmp_path: Path, stage: str, sets: list[str]
) -> None:
    from megatron.bridge.training.config import ConfigContainer

    made = planned(stage, *sets)
    config = bridge.config(made)
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    config.to_yaml(str(first))
    back = ConfigContainer.from_yaml(str(first))
    back.to_yaml(str(second))
    assert first.read_text() == second.read_text()
    for section, values in bridge.values(made, "0.3").items():
        for name, value in values.items():
            assert getattr(getattr(config, section), name) == value, (section, name)
            again = getattr(getattr(back, section), name)
            assert json.dumps(again) == json.dumps(value), (section, name)  # YAML has no tuples
    validated(config)
    assert config.data_parallel_size == 1
    assert config.model.seq_length == config.dataset.seq_length == made.sequence
    assert config.scheduler.lr_decay_steps == made.iterations * made.global_batch


def test_the_library_itself_refuses_no_unknown_name(planned: Planned) -> None:
    """Why `fields.put` looks: the library takes a misspelt field in silence, and trains without it."""
    config = bridge.config(planned("stage1"))
    config.dataset.create_atention_mask = False
    validated(config)
    with pytest.raises(LaunchError, match="did you mean 'create_attention_mask'"):
        fields.put(config, {"dataset": {"create_atention_mask": False}})
    with pytest.raises(LaunchError, match="did you mean 'moe_aux_loss_coeff'"):
        bridge.config(planned("stage1", "overrides={model.moe_aux_loss_coef: 0.01}"))


def test_the_library_itself_takes_a_checkpoint_that_is_not_there(planned: Planned) -> None:
    """Why `plan.make` looks: with 0.3.1 the run would begin with random weights."""
    config = bridge.config(planned("stage1"))
    config.checkpoint.pretrained_checkpoint = "/nowhere"
    validated(config)


def test_a_dense_mask_is_the_librarys_default(planned: Planned) -> None:
    from megatron.bridge.training.config import GPTDatasetConfig

    assert GPTDatasetConfig(
        seq_length=8, random_seed=1, reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False
    ).create_attention_mask
    assert bridge.config(planned("stage1")).dataset.create_attention_mask is False


def test_yarn_of_a_hub_configuration_is_lost_and_ours_is_not(planned: Planned) -> None:
    config = bridge.config(planned("stage2", "rope.known=128", "rope.kind=yarn"))
    names = {each.name for each in dataclasses.fields(config.model)}
    assert {"yarn_beta_fast", "yarn_mscale", "yarn_rotary_scaling_factor"} <= names
    plain = bridge.config(planned("stage2", "rope.known=128")).model
    assert not any(each.name.startswith("yarn") for each in dataclasses.fields(plain))
    assert {name: getattr(config.model, name) for name in ("num_layers", "hidden_size", "num_moe_experts")} == {
        name: getattr(plain, name) for name in ("num_layers", "hidden_size", "num_moe_experts")
    }


def test_yarn_by_megatron_is_yarn_by_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frequencies and the same factor on attention, from the values that a plan sets."""
    import torch
    from megatron.core.models.common.embeddings.yarn_rotary_pos_embedding import (
        YarnRotaryEmbedding,
        _yarn_get_concentration_factor,
    )
    from transformers import Qwen3MoeConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    scaling = {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
    }
    theirs = Qwen3MoeConfig(head_dim=128, rope_theta=1e6, max_position_embeddings=131072, rope_scaling=scaling)
    frequencies, factor = ROPE_INIT_FUNCTIONS["yarn"](theirs, "cpu")
    ours = YarnRotaryEmbedding(
        kv_channels=128, rotary_percent=1.0, rotary_interleaved=False, seq_len_interpolation_factor=None,
        rotary_base=1e6, scaling_factor=4.0, original_max_position_embeddings=32768, beta_fast=32.0, beta_slow=1.0,
        mscale=None, mscale_all_dim=None, correction_range_round_to_int=True, use_cpu_initialization=True,
    )  # fmt: skip
    angles, concentration = ours.get_emb(4096) if hasattr(ours, "get_emb") else ours(4096)
    expected = torch.outer(torch.arange(4096, dtype=torch.float32), frequencies)
    assert torch.allclose(angles[:, 0, 0, :64], expected, rtol=1e-4, atol=1e-3)
    assert concentration == pytest.approx(factor)
    assert _yarn_get_concentration_factor(4.0, None, None) == pytest.approx(factor)


def test_exchange_by_heads_needs_heads(planned: Planned) -> None:
    with pytest.raises(LaunchError, match="a2a splits 4 KV heads over tensor 4 x context 4 ranks"):
        bridge.config(planned("stage1", "parallel.context_exchange=a2a"))


def test_a_tokenizer_other_than_the_corpus_has(planned: Planned) -> None:
    made = planned("stage1")
    manifest = dict(made.corpus.manifest)
    manifest["tokenizer"] = {**manifest["tokenizer"], "eod": 0}
    with pytest.raises(LaunchError, match="ends documents with 2, and the corpus with 0"):
        bridge.config(dataclasses.replace(made, corpus=dataclasses.replace(made.corpus, manifest=manifest)))


def test_another_recipe_by_name(planned: Planned) -> None:
    with pytest.raises(LaunchError, match=r"qwen3_moe:none"):
        bridge.config(planned("stage1", "recipe=megatron.bridge.recipes.qwen.qwen3_moe:none"))


def learned(made: plan.Plan, template: str | None) -> tuple[str, str]:
    """Text of the first chat as the library's dataset reads it, and what of it is learned."""
    from megatron.bridge.data.datasets.sft import create_sft_dataset
    from megatron.bridge.training.tokenizers.tokenizer import build_tokenizer

    config = bridge.config(made)
    config.tokenizer.chat_template = template
    tokenizer = build_tokenizer(config.tokenizer)
    dataset = create_sft_dataset(
        made.chats / "training.jsonl",
        tokenizer=tokenizer,
        seq_length=512,
        chat=True,
        use_hf_tokenizer_chat_template=True,
        memmap_workers=1,
        seed=1,
    )
    sample = dataset[0]
    ids, mask = sample["input_ids"], sample["loss_mask"]
    inner = tokenizer._tokenizer
    hub_tokenizer = inner.tokenizer if hasattr(inner, "tokenizer") else inner
    kept = [each for each, learn in zip(ids, mask, strict=True) if learn]
    return hub_tokenizer.decode(ids), hub_tokenizer.decode(kept)


def test_only_the_assistants_turns_are_learned(planned: Planned) -> None:
    made = planned("sft")
    chat = json.loads((made.chats / "training.jsonl").read_text().splitlines()[0])["messages"]
    said = [each["content"] for each in chat if each["role"] == "assistant"]
    asked = [each["content"] for each in chat if each["role"] == "user"]
    whole, kept = learned(made, bridge.config(made).tokenizer.chat_template)
    assert all(text in whole for text in asked)
    assert all(text in kept for text in said)
    assert not any(text in kept for text in asked)
    assert kept.count("<|im_end|>") >= len(said)
    # Why `plan.template` looks: a template without marks makes the library learn the questions, too.
    _, everything = learned(
        made, "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    assert all(text in everything for text in asked)
