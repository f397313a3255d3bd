"""A small GPT trained by megatron-core on the exported packs, on a CPU: the loss falls far below that of a guess.

The layers, the loss and the data are megatron-core's; its optimiser, data parallel wrapper and training loop are not
(CUDA only).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("megatron.core", reason="megatron-core is not installed: `make test-recipes`")

import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer.transformer_config import TransformerConfig

from tests.recipes.cpu import one_process
from tests.recipes.test_megatron_files import built

STEPS, BATCH, VOCABULARY = 30, 4, 4224
EXPERTS = {
    "num_moe_experts": 4,
    "moe_router_topk": 2,
    "moe_token_dispatcher_type": "allgather",
    "moe_aux_loss_coeff": 1e-2,
}


def model(sequence: int, **changed: Any) -> GPTModel:
    torch.manual_seed(1)
    config = TransformerConfig(
        num_layers=2,
        hidden_size=96,
        ffn_hidden_size=256,
        num_attention_heads=4,
        num_query_groups=2,
        normalization="RMSNorm",
        gated_linear_unit=True,
        activation_func=torch.nn.functional.silu,
        add_bias_linear=False,
        bias_dropout_fusion=False,
        bias_activation_fusion=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        use_cpu_initialization=True,
        **changed,
    )
    return GPTModel(
        config=config,
        transformer_layer_spec=get_gpt_layer_local_spec(changed.get("num_moe_experts"), normalization="RMSNorm"),
        vocab_size=VOCABULARY,
        max_sequence_length=sequence,
        position_embedding_type="rope",
        rotary_base=1_000_000,
    )


@pytest.mark.slow
@pytest.mark.parametrize("experts", [{}, EXPERTS], ids=["dense", "experts"])
def test_the_loss_falls(exported: Path, tmp_path: Path, experts: dict[str, Any]) -> None:
    with one_process(tmp_path):
        train, _, _ = built(exported, tmp_path / "cache")
        gpt = model(512, **experts)
        optimiser = torch.optim.AdamW(gpt.parameters(), lr=3e-3)
        causal = torch.ones(512, 512, dtype=torch.bool).triu(1)[None, None]  # flash attention, on a GPU, makes its own
        losses = []
        for step in range(STEPS):
            samples = [train[step * BATCH + i] for i in range(BATCH)]
            batch = {
                key: torch.stack([each[key] for each in samples])
                for key in ("tokens", "labels", "loss_mask", "position_ids")
            }
            each = gpt(batch["tokens"], batch["position_ids"], causal, labels=batch["labels"])
            loss = (each * batch["loss_mask"]).sum() / batch["loss_mask"].sum()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[0] == pytest.approx(math.log(VOCABULARY), abs=0.6)
        assert sum(losses[-5:]) / 5 < losses[0] - 2.5
