"""A random Qwen3 of 0.4M parameters with a byte-level tokenizer and a chat template; made in about two seconds."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from random import Random

VERSION = 3
TEMPLATE = (
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n"
    "{%- if enable_thinking is defined and not enable_thinking %}\n<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
WORDS = "yes no supported not the river bridge was opened in name year question answer reason final true false"
HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, MLP, CONTEXT = 64, 2, 4, 2, 32, 192, 1024


def tiny_model() -> Path:
    """The folder of the model, shared by all test processes of this machine."""
    folder = Path(tempfile.gettempdir()) / f"synthkit-tiny-qwen3-{os.getuid()}-v{VERSION}"
    if not (folder / "config.json").exists():
        folder.mkdir(exist_ok=True)
        vocab = _tokenizer(folder)
        _weights(folder, vocab)
        _configs(folder, vocab)
    return folder


def tiny_lora(model: Path) -> Path:
    """An adapter of rank 8 that changes what the model says."""
    import torch
    from safetensors.torch import save_file

    folder = model / "lora"
    if not (folder / "adapter_config.json").exists():
        folder.mkdir(exist_ok=True)
        torch.manual_seed(1)
        tensors = {}
        for layer in range(LAYERS):
            for name, width in (("q_proj", HEADS * HEAD_DIM), ("v_proj", KV_HEADS * HEAD_DIM)):
                base = f"base_model.model.model.layers.{layer}.self_attn.{name}"
                tensors[f"{base}.lora_A.weight"] = torch.randn(8, HIDDEN)
                tensors[f"{base}.lora_B.weight"] = torch.randn(width, 8)
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 8, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _tokenizer(folder: Path) -> int:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    random = Random(0)
    words = WORDS.split()
    lines = [" ".join(random.choices(words, k=8)) for _ in range(400)] + ["yes", "no", '{"a": 1}'] * 50
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def _weights(folder: Path, vocab: int) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)

    def matrix(rows: int, columns: int, scale: float = 0.15) -> torch.Tensor:
        return (torch.randn(rows, columns) * scale).to(torch.bfloat16)

    one = torch.ones
    tensors = {"model.embed_tokens.weight": matrix(vocab, HIDDEN, 0.5)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        tensors |= {
            at + "self_attn.q_proj.weight": matrix(HEADS * HEAD_DIM, HIDDEN),
            at + "self_attn.k_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            at + "self_attn.v_proj.weight": matrix(KV_HEADS * HEAD_DIM, HIDDEN),
            at + "self_attn.o_proj.weight": matrix(HIDDEN, HEADS * HEAD_DIM),
            at + "self_attn.q_norm.weight": one(HEAD_DIM, dtype=torch.bfloat16),
            at + "self_attn.k_norm.weight": one(HEAD_DIM, dtype=torch.bfloat16),
            at + "mlp.gate_proj.weight": matrix(MLP, HIDDEN),
            at + "mlp.up_proj.weight": matrix(MLP, HIDDEN),
            at + "mlp.down_proj.weight": matrix(HIDDEN, MLP),
            at + "input_layernorm.weight": one(HIDDEN, dtype=torch.bfloat16),
            at + "post_attention_layernorm.weight": one(HIDDEN, dtype=torch.bfloat16),
        }
    tensors["model.norm.weight"] = one(HIDDEN, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _configs(folder: Path, vocab: int) -> None:
    special = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "chat_template": TEMPLATE,
                "model_max_length": CONTEXT,
            }
        )
    )
    (folder / "generation_config.json").write_text(json.dumps(special))
    (folder / "config.json").write_text(
        json.dumps(
            {
                "architectures": ["Qwen3ForCausalLM"],
                "model_type": "qwen3",
                "attention_bias": False,
                "head_dim": HEAD_DIM,
                "hidden_act": "silu",
                "hidden_size": HIDDEN,
                "initializer_range": 0.02,
                "intermediate_size": MLP,
                "max_position_embeddings": CONTEXT,
                "num_attention_heads": HEADS,
                "num_hidden_layers": LAYERS,
                "num_key_value_heads": KV_HEADS,
                "rms_norm_eps": 1e-6,
                "rope_theta": 10000.0,
                "tie_word_embeddings": True,
                "torch_dtype": "bfloat16",
                "vocab_size": vocab,
                **special,
            }
        )
    )
