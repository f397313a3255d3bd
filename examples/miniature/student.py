"""A trained network as the agent of a rollout, behind the scripted engine.

The rollout is the shipped spec's: it asks turn by turn and makes the calls with the real tools. Here the conversation
is written as the fine-tuning data has it (ChatML, tags), the network goes on greedily, and what it wrote is told as
the JSON that a turn replies. Nothing is constrained or mended: what does not read as a turn fails its rollout.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from network import Layer, Network, turn
from tokenizers import Tokenizer
from torch import Tensor

from synthkit.core.engine import Request
from synthkit.core.trajectory.form import Malformed
from synthkit.core.trajectory.tags import inner, segments

NANO = Path(__file__).resolve().parents[1] / "nano"
LAST = "\n\nThis is the last turn: answer now."
LONGEST = 256
"""Tokens of a turn; the teacher's longest has about 250."""
AHEAD = 8
"""Tokens that are guessed."""


class Student:
    """Writes turns."""

    def __init__(self, net: Network) -> None:
        self.net = net.eval()
        self.tok = Tokenizer.from_file(str(NANO / "model" / "tokenizer.json"))
        self.made: dict[str, str] = {}
        """What it wrote after a conversation; greedily, so it would write it again."""
        self.end = self.tok.token_to_id("<|im_end|>")

    def reply(self, request: Request) -> str:
        """What the scripted engine answers."""
        text = conversation(request)
        if text not in self.made:
            self.made[text] = self.written(text)
        return as_reply(self.made[text])

    @torch.no_grad()
    def written(self, text: str) -> str:
        """What the network writes after a text, greedily, up to the end of the turn.

        Most of it is a copy, so what followed the same two tokens before is guessed and looked at in one pass: the same
        text as one token a pass gives, in a third of the time.
        """
        kept: list[list[Tensor]] = [[] for _ in self.net.layers]
        seen = self.tok.encode(text, add_special_tokens=False).ids
        begin, done = len(seen), 0
        while len(seen) - begin < LONGEST and len(seen) + AHEAD < self.net.size.context:
            guess = followed(seen)
            best = self._likeliest(seen[done:] + guess, kept, 1 + len(guess))
            right = next((n for n, (a, b) in enumerate(zip(guess, best, strict=False)) if a != b), len(guess))
            done = len(seen) + right
            seen += best[: right + 1]
            for pair in kept:
                pair[:] = [each[:, :, :done] for each in pair]
            if self.end in seen[begin:]:
                return self.tok.decode(seen[begin : seen.index(self.end, begin)])
        return self.tok.decode(seen[begin:])

    def _likeliest(self, ids: list[int], kept: list[list[Tensor]], count: int) -> list[int]:
        """The likeliest token after each of the last `count` of some more tokens, whose keys and values are kept."""
        net, past = self.net, kept[0][0].shape[2] if kept[0] else 0
        device, length = net.lm_head.weight.device, past + len(ids)
        x = net.embed_tokens(torch.tensor([ids], device=device))
        turned = (net.cos[past:length, None], net.sin[past:length, None])
        mask = torch.ones(len(ids), length, dtype=torch.bool, device=device).tril(past)
        for layer, pair in zip(net.layers, kept, strict=True):
            more = _keys_and_values(layer, x, turned)
            x = layer(x, turned, pair or [each[:, :, :0] for each in more], mask)
            pair[:] = [torch.cat([a, b], dim=2) for a, b in zip(pair, more, strict=True)] if pair else more
        found: list[int] = net.lm_head(net.norm(x[0, -count:])).argmax(-1).tolist()
        return found


def followed(seen: list[int]) -> list[int]:
    """What followed where the last two tokens stood before."""
    for at in range(len(seen) - 2, 1, -1):
        if seen[at - 2 : at] == seen[-2:]:
            return seen[at : at + AHEAD]
    return []


def _keys_and_values(layer: Layer, x: Tensor, turned: tuple[Tensor, Tensor]) -> list[Tensor]:
    h = layer.input_layernorm(x)
    k, v = (p(h).view(*x.shape[:2], *layer.shape) for p in (layer.k_proj, layer.v_proj))
    return [turn(layer.k_norm(k), *turned).transpose(1, 2), v.transpose(1, 2)]


def conversation(request: Request) -> str:
    """The conversation as `en/sft/chatml_document.j2` writes it, up to the agent's turn."""
    first, *rest = request.messages
    question = first.content.removesuffix(LAST).rpartition("\nQuestion: ")[2]
    text = f"<|im_start|>user\n{question}<|im_end|>\n"
    for message in rest:
        if message.role == "assistant":
            made = json.loads(message.content)
            said = f"<think>\n{made['thought']}\n</think>\n" if made["thought"] else ""
            said += f"<tool_call>\n{json.dumps(made['call'], ensure_ascii=False)}\n</tool_call>"
        else:
            response = message.content.removesuffix(LAST)
            said = f"<tool_response>\n{'' if response == '(nothing came back)' else response}\n</tool_response>"
        text += f"<|im_start|>{message.role}\n{said}<|im_end|>\n"
    return f"{text}<|im_start|>assistant\n"


def as_reply(text: str) -> str:
    """A turn in tags as the JSON that `rollout` reads; the text itself where it is no turn."""
    try:
        pieces = {tag: inner(piece) for tag, piece in segments("the reply", text)}
        call = {"final": pieces["answer"]} if "answer" in pieces else json.loads(pieces["tool_call"])
    except (Malformed, KeyError, ValueError):
        return text
    return json.dumps({"thought": pieces.get("think", "").strip(), "call": call}, ensure_ascii=False)
