"""Train nano from nothing: `python examples/nano/train.py --minutes 45`.

Examples are made as they are needed and never repeat. Every batch is of one task, so that the static part of its prompt is
shared; the loss is on the reply only. Passages grow from one short sentence to six within the first third of the time.
"""

from __future__ import annotations

import argparse
import math
import queue
import threading
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

import teacher
import tokenizer as pieces
import torch
import torch.nn.functional as F
from names import WORDS
from network import Network, Size
from teacher import Example
from tokenizers import Tokenizer
from torch import Tensor

HERE = Path(__file__).resolve().parent
SHARES = {"statements": 0.40, "question": 0.22, "plan": 0.16, "judge": 0.22}  # of the tokens
BATCH = 4096  # tokens that are not shared
LABELS = ("pass", "fail")


class Batch(NamedTuple):
    """Token arrays of one step; `targets` is -100 where there is no loss."""

    task: str
    prefix: Tensor
    tokens: Tensor
    positions: Tensor
    targets: Tensor
    mask: Tensor


def example(rng: Random, task: str, progress: float) -> Example:
    """Make an example; early ones are short and easy."""
    easy = rng.random() > 3 * progress
    longest = 1 + min(5, int(18 * progress))
    size = rng.randint(1, longest)
    if task == "statements":
        return teacher.statements_example(rng, size, easy=easy)
    if task == "question":
        return teacher.question_example(rng, 1 + size, easy=easy)
    return teacher.plan_example(rng, easy=easy) if task == "plan" else teacher.judge_example(rng, easy=easy)


def encode(tok: Tokenizer, item: Example) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Return tokens, targets, positions, and the spans of a judge's tails, which must not see each other."""
    tokens = tok.encode(item.prompt, add_special_tokens=False).ids
    targets, positions, spans = [-100] * len(tokens), list(range(len(tokens))), []
    if item.tails:
        start = len(tokens)
        for text, label in item.tails:
            ids = tok.encode(text, add_special_tokens=False).ids
            spans.append((len(tokens), len(tokens) + len(ids)))
            targets += [-100] * (len(ids) - 1) + [tok.token_to_id(label)]
            positions += range(start, start + len(ids))
            tokens += ids
        return tokens, targets, positions, spans
    reply = [*tok.encode(item.reply, add_special_tokens=False).ids, tok.token_to_id("<|im_end|>")]
    targets[-1:] = reply
    return tokens + reply[:-1], targets, list(range(len(tokens) + len(reply) - 1)), spans


def collate(task: str, items: list[tuple[list[int], list[int], list[int], list[tuple[int, int]]]], cut: int) -> Batch:
    """Pad the rows after the shared first `cut` tokens."""
    length = max(len(i[0]) for i in items) - cut

    def padded(values: list[int], fill: int) -> list[int]:
        return values[cut:] + [fill] * (length - len(values) + cut)

    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(length, cut, dtype=torch.bool), causal], 1)[None, None]
    if items[0][3]:
        mask = mask.repeat(len(items), 1, 1, 1)
        for row, (_, _, _, spans) in enumerate(items):
            for start, end in spans:
                mask[row, 0, end - cut :, start:end] = False
    return Batch(
        task, torch.tensor(items[0][0][:cut]), torch.tensor([padded(i[0], 0) for i in items]), torch.tensor([padded(i[2], 0) for i in items]),
        torch.tensor([padded(i[1], -100) for i in items]), mask,
    )  # fmt: skip


class Source:
    """Makes batches in the background; rows of like length go together."""

    def __init__(self, tok: Tokenizer, seed: int) -> None:
        self.tok, self.rng, self.progress = tok, Random(seed), 0.0
        self.cuts: dict[str, int] = {}
        self.spent = dict.fromkeys(SHARES, 0.0)
        self.ready: queue.Queue[Batch] = queue.Queue(24)
        for task in SHARES:
            a, b = (encode(tok, example(Random(s), task, 1.0))[0] for s in (1, 2))
            self.cuts[task] = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y) - 1
        threading.Thread(target=self._work, daemon=True).start()

    def batches(self, task: str, rng: Random, progress: float, batch: int = BATCH) -> list[Batch]:
        """Return some batches of one task, sorted by length and then shuffled."""
        cut = self.cuts[task]
        items = sorted((encode(self.tok, example(rng, task, progress)) for _ in range(96)), key=lambda i: len(i[0]))
        items = [i for i in items if len(i[0]) <= 2000]
        found: list[Batch] = []
        row: list[tuple[list[int], list[int], list[int], list[tuple[int, int]]]] = []
        for item in items:
            if row and (len(row) + 1) * (len(item[0]) - cut) > batch:
                found.append(collate(task, row, cut))
                row = []
            row.append(item)
        found.append(collate(task, row, cut))
        return found

    def _work(self) -> None:
        while True:
            task = min(SHARES, key=lambda t: self.spent[t] / SHARES[t])
            found = self.batches(task, self.rng, self.progress)
            self.spent[task] += sum(b.tokens.numel() for b in found)
            self.rng.shuffle(found)
            for batch in found:
                self.ready.put(batch)


def build_tokenizer(folder: Path, context: int) -> Tokenizer:
    """Train the tokenizer on examples of every task and on the word list."""
    rng = Random(11)
    texts = []
    for _ in range(1200):
        for task in SHARES:
            item = example(rng, task, 1.0)
            texts.append(item.prompt[-900:] + item.reply + "".join(t + label for t, label in item.tails))
    texts += [example(rng, task, 1.0).prompt for task in SHARES for _ in range(200)]
    texts += [" " + w for w in WORDS for _ in range(3)] + [w.capitalize() for w in WORDS] + ["pass", "fail"] * 500
    tok = pieces.train(texts)
    folder.mkdir(parents=True, exist_ok=True)
    pieces.save(tok, folder, context)
    return tok


def loss_of(net: Network, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the mean loss on the reply tokens and the share predicted right."""
    hidden = net(batch.prefix, batch.tokens, batch.positions, batch.mask)
    targets = batch.targets.flatten()
    kept = targets >= 0
    logits = net.lm_head(hidden[kept])
    return F.cross_entropy(logits, targets[kept]), (logits.argmax(-1) == targets[kept]).float().mean()


def main() -> None:
    """Train, log, and export now and then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--out", type=Path, default=HERE / "model")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--save-every", type=float, default=4, help="minutes between checkpoints in runs/nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="start without the wired copying machine")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(2)
    tok = build_tokenizer(args.out, Size().context)
    size = Size(vocab=tok.get_vocab_size())
    net = Network(size)
    net.wire(torch.Generator().manual_seed(args.seed))
    if args.plain:
        for p in net.parameters():
            if p.dim() == 2:
                torch.nn.init.normal_(p, 0, 0.03)
            else:
                torch.nn.init.ones_(p)
    matrices = [p for p in net.parameters() if p.dim() == 2]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": [p for p in net.parameters() if p.dim() != 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.98), fused=True)
    source = Source(tok, args.seed + 1)
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters, shared prefixes {source.cuts}", flush=True)
    begin = saved = time.time()
    seen, step, seconds = 0, 0, args.minutes * 60
    log: dict[str, list[tuple[float, float]]] = {t: [] for t in SHARES}
    while (now := time.time() - begin) < seconds:
        done = now / seconds
        source.progress = done
        rate = args.rate * min(1.0, (step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = source.ready.get()
        loss, right = loss_of(net, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += batch.tokens.numel()
        step += 1
        log[batch.task].append((loss.item(), right.item()))
        if step % 50 == 0:
            parts = [f"{t} {sum(x for x, _ in v) / len(v):.3f}/{sum(y for _, y in v) / len(v):.3f}" for t, v in log.items() if v]
            print(f"{now:6.0f}s step {step} {seen / 1e6:.2f}M tokens {seen / max(now, 1):.0f}/s lr {rate:.1e} | " + " | ".join(parts), flush=True)
            log = {t: [] for t in SHARES}
        if time.time() - saved > args.save_every * 60:
            saved = time.time()
            net.save(args.out)
    net.save(args.out)
    print(f"done: {step} steps, {seen / 1e6:.1f}M tokens", flush=True)


if __name__ == "__main__":
    main()
