"""Plain next-token training of nano's network on the packs of an export.

A pack is parted where its documents begin, and documents of like length are batched: the arithmetic is that of
training on packs with attention masked across documents, at two thirds of the time on a CPU. `loss_mask` is the
export's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from network import Network, Size
from tokenizers import Tokenizer
from torch import Tensor

NANO = Path(__file__).resolve().parents[1] / "nano"
RATE = 2.4e-3
BATCH = 600
"""Tokens of a step, padding counted: small steps, and many."""
POINTS = 5
"""Of a curve; between two a killed stage begins again."""


class Document(NamedTuple):
    """A document of a pack: its tokens, and for each whether the token after it is learned."""

    tokens: Tensor
    learned: Tensor


def documents(export: Path) -> list[Document]:
    """All documents of an export's training split, in the order of its packs."""
    found = []
    for file in sorted((export / "packed").glob("train-*.idx.parquet")):
        for row in pq.read_table(file).to_pylist():
            ids, mask = torch.tensor(row["input_ids"]), torch.tensor(row["loss_mask"], dtype=torch.bool)
            ends = [*row["seq_start_id"][1:], len(ids)]
            found += [Document(ids[a:b], mask[a:b]) for a, b in zip(row["seq_start_id"], ends, strict=True)]
    return found


def batches(docs: Sequence[Document], rng: Random, most: int) -> list[list[Document]]:
    """Every document once, with others of like length, in random order."""
    order = sorted(docs, key=lambda d: (len(d.tokens), rng.random()))
    found: list[list[Document]] = [[]]
    for doc in order:
        if found[-1] and (len(found[-1]) + 1) * len(doc.tokens) > most:
            found.append([])
        found[-1].append(doc)
    rng.shuffle(found)
    return found


def loss_of(net: Network, batch: Sequence[Document]) -> tuple[Tensor, int]:
    """The summed loss on the tokens that are learned, and how many they are."""
    device = net.lm_head.weight.device
    length = max(len(d.tokens) for d in batch)
    tokens = torch.zeros(len(batch), length, dtype=torch.long)
    targets = torch.full((len(batch), length), -100)
    for row, doc in enumerate(batch):
        tokens[row, : len(doc.tokens)] = doc.tokens
        after = torch.where(doc.learned[:-1], doc.tokens[1:].long(), -100)
        targets[row, : len(after)] = after
    tokens, flat = tokens.to(device), targets.flatten().to(device)
    positions = torch.arange(length, device=device).expand(len(batch), -1)
    mask = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]
    hidden = net(tokens[0, :0], tokens, positions, mask)
    kept = flat >= 0
    return F.cross_entropy(net.lm_head(hidden[kept]), flat[kept], reduction="sum"), int(kept.sum())


@torch.no_grad()
def held_out_loss(net: Network, docs: Sequence[Document]) -> float:
    """Mean loss on the learned tokens of documents that were not trained on, nats a token."""
    sums = [loss_of(net, batch) for batch in batches(docs, Random(0), 3000)]
    return sum(float(loss) for loss, _ in sums) / sum(count for _, count in sums)


class Point(NamedTuple):
    """A point of a curve."""

    tokens: int
    """Tokens seen."""
    train: float | None
    """Mean training loss since the point before, nats a token; none before the first step."""
    held_out: float | None
    """Loss on the held-out runs, in fine-tuning."""


class Training:
    """One stage: every document `epochs` times, with AdamW and a cosine. Its state can be kept between two points."""

    def __init__(self, net: Network, docs: Sequence[Document], seed: int, epochs: int, points: int = POINTS) -> None:
        rng = Random(seed)
        self.net, self.step, self.seen = net, 0, 0
        self.curve: list[Point] = []
        self.plan = [batch for _ in range(epochs) for batch in batches(docs, rng, BATCH)]
        self.marks = sorted({round(len(self.plan) * n / points) for n in range(1, points + 1)})
        matrices, others = ([p for p in net.parameters() if (p.dim() == 2) is big] for big in (True, False))
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))

    def advance(self, held_out: Sequence[Document]) -> None:
        """Go on to the next point; the first is that of the untrained network, where there are held-out documents."""
        if held_out and not self.curve:
            self.curve.append(Point(0, None, held_out_loss(self.net, held_out)))
            return
        total, count = 0.0, 0
        for batch in self.plan[self.step : next(mark for mark in self.marks if mark > self.step)]:
            self.step += 1
            loss, learned = self._learn(batch)
            total, count, self.seen = total + loss, count + learned, self.seen + sum(len(d.tokens) for d in batch)
        self.curve.append(Point(self.seen, total / count, held_out_loss(self.net, held_out) if held_out else None))

    def _learn(self, batch: Sequence[Document]) -> tuple[float, int]:
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.step / len(self.plan)))
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, self.step / 20) * cosine
        with torch.autocast(self.net.lm_head.weight.device.type, dtype=torch.bfloat16):
            loss, learned = loss_of(self.net, batch)
        self.optimizer.zero_grad()
        (loss / learned).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach()), learned

    def save(self, path: Path) -> None:
        """Keep the state; a reader never sees half a file."""
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"step": self.step, "seen": self.seen, "curve": [tuple(point) for point in self.curve]}
        torch.save(state, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)

    def load(self, path: Path, device: str) -> None:
        """Go on where `save` was."""
        state = torch.load(path, map_location=device)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seen, self.curve = state["step"], state["seen"], [Point(*each) for each in state["curve"]]


def fresh(seed: int, device: str) -> Network:
    """A network that can copy and knows nothing: nano's wiring, which a model finds last and a base model has."""
    tok = Tokenizer.from_file(str(NANO / "model" / "tokenizer.json"))
    net = Network(Size(vocab=tok.get_vocab_size()))
    net.wire(torch.Generator().manual_seed(seed), lambda text: tok.encode(text, add_special_tokens=False).ids[0])
    return net.to(device)


def stage(
    target: Path,
    export: Path,
    seed: int,
    device: str,
    *,
    begin: Path | None,
    epochs: int = 1,
    held_out: Path | None = None,
) -> None:
    """Train one stage from the checkpoint `begin` (none: a fresh network) to `target`, unless it is there.

    A killed stage goes on from its last point.
    """
    if (target / "curve.json").exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    net = fresh(seed, device)
    if begin is not None:
        net.load_state_dict(torch.load(begin / "weights.pt", map_location=device))
    work = Training(net, documents(export), seed, epochs)
    if (target / "state.pt").exists():
        work.load(target / "state.pt", device)
    rest = documents(held_out) if held_out is not None else []
    while work.step < len(work.plan):
        work.advance(rest)
        work.save(target / "state.pt")
        print(f"{target.parent.parent.name} {target.parent.name} {target.name}: {work.curve[-1]}", flush=True)
    torch.save(net.state_dict(), target / "weights.pt")
    (target / "curve.json").write_text(json.dumps([point._asdict() for point in work.curve]), encoding="utf-8")
    (target / "state.pt").unlink()
