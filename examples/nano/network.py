"""The network of nano: Qwen3 in plain PyTorch, with two changes that matter on a CPU and none in the arithmetic.

1. The static part of a prompt is run once per batch and its keys and values are shared by all rows (`forward`).
2. The first layers start as a copying machine (`wire`): heads that look one and two tokens back, and heads that find
   where the last two tokens stood before and write what followed. Copying is what nano is for, and the part that
   training finds last: a loss that took a plain start 13 minutes is reached in 2.

The residual stream is divided at the start only: A the token, B the token before, D the one before that, C the next.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Size(NamedTuple):
    """Sizes of the network."""

    vocab: int = 4096
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    head: int = 64
    mlp: int = 448
    theta: float = 1e6
    context: int = 4096


class Norm(nn.Module):
    """RMS norm with a weight."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Scale to unit RMS."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-6)


class Layer(nn.Module):
    """One block: attention with normed queries and keys, then a gated MLP."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        wide = size.heads * size.head
        self.shape = (size.heads, size.head)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(size.hidden, wide, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(wide, size.hidden, bias=False)
        self.q_norm, self.k_norm = Norm(size.head), Norm(size.head)
        self.gate_proj, self.up_proj = (nn.Linear(size.hidden, size.mlp, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(size.mlp, size.hidden, bias=False)
        self.input_layernorm, self.post_attention_layernorm = Norm(size.hidden), Norm(size.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, prefix: int, rows: tuple[int, int], mask: Tensor) -> Tensor:
        """Run on `prefix` shared tokens followed by rows x length tokens, flattened."""
        h = self.input_layernorm(x)
        heads = (-1, *self.shape)
        q, k = self.q_norm(self.q_proj(h).view(heads)), self.k_norm(self.k_proj(h).view(heads))
        q, k, v = turn(q, cos, sin), turn(k, cos, sin), self.v_proj(h).view(heads)
        (q0, q1), (k0, k1), (v0, v1) = (
            (t[:prefix].transpose(0, 1)[None], t[prefix:].view(*rows, *self.shape).transpose(1, 2)) for t in (q, k, v)
        )
        first = F.scaled_dot_product_attention(q0, k0, v0, is_causal=True)
        k1, v1 = (torch.cat([a.expand(rows[0], -1, -1, -1), b], dim=2) for a, b in ((k0, k1), (v0, v1)))
        rest = F.scaled_dot_product_attention(q1, k1, v1, attn_mask=mask)
        joined = torch.cat([first[0].transpose(0, 1).flatten(1), rest.transpose(1, 2).reshape(rows[0] * rows[1], -1)])
        x = x + self.o_proj(joined)
        h = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h))


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Network(nn.Module):
    """Qwen3 with untied embeddings."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.embed_tokens = nn.Embedding(size.vocab, size.hidden)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = Norm(size.hidden)
        self.lm_head = nn.Linear(size.hidden, size.vocab, bias=False)
        angles = torch.arange(size.context)[:, None] * size.theta ** (-torch.arange(0, size.head, 2) / size.head)
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", angles.sin().repeat(1, 2), persistent=False)

    def forward(self, prefix: Tensor, tokens: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Return the last hidden states of `tokens` (rows x length), which follow the shared `prefix`."""
        n = len(prefix)
        x = self.embed_tokens(torch.cat([prefix, tokens.flatten()]))
        at = torch.cat([torch.arange(n), positions.flatten()])
        cos, sin = self.cos[at][:, None], self.sin[at][:, None]
        for layer in self.layers:
            x = layer(x, cos, sin, n, (tokens.shape[0], tokens.shape[1]), mask)
        return self.norm(x[n:])

    @torch.no_grad()
    def wire(self, generator: torch.Generator) -> None:
        """Start as a copying machine; everything else starts small and random."""
        s = self.size
        a, b, c, d, one = slice(0, 80), slice(80, 144), slice(144, 224), slice(224, 255), 255
        for p in self.parameters():
            if p.dim() == 2:
                p.normal_(0, 0.02, generator=generator)
        for layer in self.layers:
            layer.o_proj.weight.mul_(0.3)
            layer.down_proj.weight.mul_(0.3)
        table = torch.randn(s.vocab, 80, generator=generator)
        table /= table.norm(dim=1, keepdim=True) / 80**0.5
        self.embed_tokens.weight[:, a] = table
        self.embed_tokens.weight[:, one] = 2.0
        self.lm_head.weight[:, c] = table * 0.12
        basis = torch.linalg.qr(torch.randn(80, 80, generator=generator))[0]
        h = s.head
        kernel = torch.zeros(h)
        kernel[:5] = 1.0
        first = self.layers[0]
        first.q_norm.weight.fill_(1.9)
        first.k_norm.weight.fill_(1.9)
        for head, back, target in ((0, 1, b), (1, 2, d)):
            rows = slice(head * h, head * h + h)
            at = torch.tensor(back)
            first.k_proj.weight[rows, one] = kernel * 3
            first.q_proj.weight[rows, one] = turn(kernel * 3, self.cos[at], -self.sin[at])
            wide = target.stop - target.start
            first.v_proj.weight[head * h : head * h + wide, a] = basis[:wide]
            first.o_proj.weight[target, head * h : head * h + wide] = torch.eye(wide)
        low = [*range(13, 32), *range(45, 64)]
        spread = torch.linalg.qr(torch.randn(64, len(low), generator=generator))[0].T
        second = torch.randn(len(low), 31, generator=generator) / 31**0.5
        copier = self.layers[1]
        copier.q_norm.weight.fill_(1.5)
        copier.k_norm.weight.fill_(1.5)
        for head, part in ((0, slice(0, 40)), (1, slice(40, 80))):
            rows = torch.tensor([head * h + i for i in low])
            copier.q_proj.weight[rows, a] = spread @ basis[:64]
            copier.q_proj.weight[rows, b] = 0.6 * second @ torch.eye(64)[:31]
            copier.k_proj.weight[rows, b] = spread
            copier.k_proj.weight[rows, d] = 0.6 * second
            copier.v_proj.weight[head * h : head * h + 40, a] = basis[part]
            copier.o_proj.weight[c, head * h : head * h + 40] = basis[part].T * 1.5
        checker = self.layers[2]  # what was expected here, seen from the token after: the judge compares the two
        checker.q_norm.weight.fill_(1.9)
        checker.k_norm.weight.fill_(1.9)
        checker.k_proj.weight[:h, one] = kernel * 3
        checker.q_proj.weight[:h, one] = turn(kernel * 3, self.cos[torch.tensor(1)], -self.sin[torch.tensor(1)])
        checker.v_proj.weight[:31, c] = basis[:31]
        checker.o_proj.weight[d, :31] = torch.eye(31)

    def load(self, folder: Path) -> None:
        """Read weights that `save` wrote."""
        found = load_file(folder / "model.safetensors")
        self.load_state_dict({re.sub(r"model\.|self_attn\.|mlp\.", "", key): value.float() for key, value in found.items()})

    def save(self, folder: Path) -> None:
        """Write the configuration and the weights (bf16) as Qwen3ForCausalLM reads them."""
        s = self.size
        config: dict[str, Any] = {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "vocab_size": s.vocab,
            "hidden_size": s.hidden,
            "num_hidden_layers": s.layers,
            "intermediate_size": s.mlp,
            "num_attention_heads": s.heads,
            "num_key_value_heads": s.heads,
            "head_dim": s.head,
            "hidden_act": "silu",
            "max_position_embeddings": s.context,
            "rms_norm_eps": 1e-6,
            "rope_theta": s.theta,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "use_cache": True,
            "use_sliding_window": False,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "dtype": "bfloat16",
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        generation = {"eos_token_id": 2, "pad_token_id": 0, "do_sample": True, "temperature": 0.7, "top_p": 1.0}
        (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
        found = {}
        for key, value in self.state_dict().items():
            key = key.replace("layers.", "model.layers.", 1) if key.startswith("layers.") else key
            leaf = key.split(".")
            if leaf[0] == "model":
                group = "self_attn." if leaf[3] in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm") else ""
                group = "mlp." if leaf[3] in ("gate_proj", "up_proj", "down_proj") else group
                key = ".".join(leaf[:3]) + "." + group + ".".join(leaf[3:])
            elif leaf[0] in ("embed_tokens", "norm"):
                key = "model." + key
            found[key] = value.to(torch.bfloat16).contiguous()
        partial = folder / "model.safetensors.partial"
        save_file(found, str(partial), metadata={"format": "pt"})
        partial.chmod(0o644)
        partial.replace(folder / "model.safetensors")  # a reader never sees half a file
