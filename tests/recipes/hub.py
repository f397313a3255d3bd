"""A hub cache that holds one model's configuration, as huggingface_hub lays it out: the recipes ask for it by name."""

from __future__ import annotations

import json
from pathlib import Path

_COMMIT = "ad44e777bcd18fa416d9da3bd8f70d33ebb85d39"
QWEN3_30B_A3B = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "initializer_range": 0.02,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def lay_out(cache: Path) -> None:
    """Put Qwen/Qwen3-30B-A3B into a cache."""
    model = cache / "models--Qwen--Qwen3-30B-A3B"
    snapshot = model / "snapshots" / _COMMIT
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(_COMMIT)
    (snapshot / "config.json").write_text(json.dumps(QWEN3_30B_A3B))
