"""Train nano from nothing: `python examples/nano/train.py --minutes 45`.

Examples are made as they are needed and never repeat. A step sums one batch of each task; a batch is of one task, so
that the static part of its prompt is run once for all rows. The loss is on the reply only. Passages grow from one short
sentence to six within the first third of the time, a few to nine later.
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
TOKENS = {"statements": 2200, "question": 1600, "plan": 900, "judge": 1800}  # of a batch, without the shared ones
WEIGHT = {"statements": 1.0, "question": 1.0, "plan": 1.0, "judge": 1.0}
PAIRS = (("statements", "plan"), ("question", "judge"))  # tasks of a step, in turn: small steps, and many
LABELS = ("pass", "fail")


class Batch(NamedTuple):
    """Token arrays of one step; `targets` is -100 where there is no loss."""

    task: str
    prefix: Tensor
    tokens: Tensor
    positions: Tensor
    targets: Tensor
    mask: Tensor
    labels: Tensor


def example(rng: Random, task: str, progress: float) -> Example:
    """Make an example; early ones are short and easy."""
    easy = rng.random() > 0.2 + 4 * progress
    longest = 2 + min(4, int(20 * progress))
    size = rng.randint(1, longest) if rng.random() > progress / 6 else rng.randint(7, 9)
    if task == "statements":
        return teacher.statements_example(rng, size, easy=easy)
    if task == "question":
        return teacher.question_example(rng, 1 + size, easy=easy)
    return teacher.plan_example(rng, easy=easy) if task == "plan" else teacher.judge_example(rng, easy=easy)


def encode(tok: Tokenizer, item: Example) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Return tokens, targets, positions, and the spans of the tails, which must not see each other."""
    tokens = tok.encode(item.prompt, add_special_tokens=False).ids
    targets, positions, spans = [-100] * len(tokens), list(range(len(tokens))), []
    end = tok.token_to_id("<|im_end|>")
    if item.tails:
        start = len(tokens)
        if item.task == "judge" and all(label == "pass" for _, label in item.tails):
            first = len(tok.encode(item.prompt[: item.prompt.rindex("Analysis:")], add_special_tokens=False).ids)
            targets[first:-1] = tokens[first + 1 :]
        for text, answer in item.tails:
            ids, reply = (tok.encode(t, add_special_tokens=False).ids for t in (text, answer))
            if item.task != "judge":
                reply.append(end)
            ids += reply[:-1]
            spans.append((len(tokens), len(tokens) + len(ids)))
            targets += [-100] * (len(ids) - len(reply)) + reply
            positions += range(start, start + len(ids))
            tokens += ids
        return tokens, targets, positions, spans
    reply = [*tok.encode(item.reply, add_special_tokens=False).ids, end]
    targets[-1:] = reply
    return tokens + reply[:-1], targets, list(range(len(tokens) + len(reply) - 1)), spans


def collate(
    task: str, items: list[tuple[list[int], list[int], list[int], list[tuple[int, int]]]], cut: int, labels: Tensor
) -> Batch:
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
        task,
        torch.tensor(items[0][0][:cut]),
        torch.tensor([padded(i[0], 0) for i in items]),
        torch.tensor([padded(i[2], 0) for i in items]),
        torch.tensor([padded(i[1], -100) for i in items]),
        mask,
        labels,
    )


class Source:
    """Makes batches in the background; rows of like length go together."""

    def __init__(self, tok: Tokenizer, seed: int) -> None:
        self.tok, self.rng, self.progress = tok, Random(seed), 0.0
        self.cuts: dict[str, int] = {}
        self.labels = torch.tensor([tok.token_to_id(label) for label in LABELS])
        self.ready: dict[str, queue.Queue[Batch]] = {task: queue.Queue() for task in TOKENS}
        for task in TOKENS:
            a, b = (encode(tok, example(Random(s), task, 1.0))[0] for s in (1, 2))
            self.cuts[task] = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y) - 1
        threading.Thread(target=self._work, daemon=True).start()

    def batches(self, task: str, rng: Random, progress: float) -> list[Batch]:
        """Return some batches of one task in random order."""
        cut = self.cuts[task]
        items = sorted((encode(self.tok, example(rng, task, progress)) for _ in range(64)), key=lambda i: len(i[0]))
        found: list[Batch] = []
        rows: list[tuple[list[int], list[int], list[int], list[tuple[int, int]]]] = []
        for item in items:
            if rows and (len(rows) + 1) * (len(item[0]) - cut) > TOKENS[task]:
                found.append(collate(task, rows, cut, self.labels))
                rows = []
            rows.append(item)
        found = found or [collate(task, rows, cut, self.labels)]
        rng.shuffle(found)
        return found

    def step(self, number: int) -> list[Batch]:
        """Return the batches of a step."""
        return [self.ready[task].get() for task in PAIRS[number % len(PAIRS)]]

    def _work(self) -> None:
        while True:
            task = min(TOKENS, key=lambda t: self.ready[t].qsize())
            if self.ready[task].qsize() > 3:
                time.sleep(0.05)
                continue
            for batch in self.batches(task, self.rng, self.progress):
                self.ready[task].put(batch)


def build_tokenizer(folder: Path, context: int) -> Tokenizer:
    """Train the tokenizer on examples of every task and on the word list."""
    rng = Random(11)
    texts = []
    for _ in range(1200):
        for task in TOKENS:
            item = example(rng, task, 1.0)
            texts.append(item.prompt[-900:] + item.reply + "".join(t + label for t, label in item.tails))
    texts += [example(rng, task, 1.0).prompt for task in TOKENS for _ in range(200)]
    texts += [" " + w for w in WORDS for _ in range(3)] + [w.capitalize() for w in WORDS] + ["pass", "fail"] * 500
    tok = pieces.train(texts)
    folder.mkdir(parents=True, exist_ok=True)
    pieces.save(tok, folder, context)
    return tok


def loss_of(net: Network, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the mean loss on the reply tokens and the share predicted right.

    A judge also learns to expect the sound plans it reads: what is not as expected is what it has to notice.
    """
    hidden = net(batch.prefix, batch.tokens, batch.positions, batch.mask)
    targets = batch.targets.flatten()
    kept = targets >= 0
    if batch.task == "judge":
        kept = torch.isin(targets, batch.labels)
    logits = net.lm_head(hidden[kept])
    loss, right = F.cross_entropy(logits, targets[kept]), (logits.argmax(-1) == targets[kept]).float().mean()
    rest = (targets >= 0) & ~kept
    if rest.any():
        loss = loss + F.cross_entropy(net.lm_head(hidden[rest]), targets[rest])
    return loss, right


def work(number: int, net: Network, tok: Tokenizer, args: argparse.Namespace, begin: float) -> None:
    """Train on examples of its own, on one core; the weights are shared, and nobody waits (Hogwild)."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed + number)
    matrices = [p for p in net.parameters() if p.dim() == 2]
    others = [p for p in net.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.rate, betas=(0.9, 0.98), fused=True)
    source = Source(tok, args.seed + 1 + number)
    saved = time.time()
    seen, step, seconds = 0, 0, args.minutes * 60
    log: dict[str, list[tuple[float, float]]] = {t: [] for t in TOKENS}
    while (now := time.time() - begin) < seconds:
        source.progress = done = args.progress + (1 - args.progress) * now / seconds
        rate = args.rate * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients = []
        for batch in source.step(step):
            loss, right = loss_of(net, batch)
            gradients.append(torch.autograd.grad(loss * WEIGHT[batch.task], list(net.parameters())))
            seen += batch.tokens.numel()
            log[batch.task].append((loss.item(), right.item()))
        for parameter, *found in zip(net.parameters(), *gradients, strict=True):
            parameter.grad = torch.stack(found).sum(0)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0 and number == 0:
            parts = [
                f"{t} {sum(x for x, _ in v) / len(v):.3f}/{sum(y for _, y in v) / len(v):.3f}" for t, v in log.items()
            ]
            pace = f"{now:6.0f}s step {step} {seen / 1e6:.2f}M tokens {seen / max(now, 1):.0f}/s lr {rate:.1e}"
            print(" | ".join([pace, *parts]), flush=True)
            log = {t: [] for t in TOKENS}
        if number == 0 and time.time() - saved > args.save_every * 60:
            saved = time.time()
            net.save(args.out)
    print(f"worker {number}: {step} steps, {seen / 1e6:.1f}M tokens", flush=True)


def main() -> None:
    """Train, log, and export now and then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--out", type=Path, default=HERE / "model")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument("--save-every", type=float, default=4, help="minutes between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", type=Path, help="start from the weights in this folder")
    parser.add_argument("--progress", type=float, default=0.0, help="share of the schedule that lies behind")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tok = Tokenizer.from_file(str(args.resume / "tokenizer.json")) if args.resume else build_tokenizer(args.out, 4096)
    net = Network(Size(vocab=tok.get_vocab_size()))
    if args.resume:
        net.load(args.resume)
    else:
        net.wire(torch.Generator().manual_seed(args.seed), lambda text: tok.encode(text).ids[0])
    net.share_memory()
    print(f"{sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
    begin = time.time()
    context = torch.multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(i, net, tok, args, begin)) for i in range(args.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    net.save(args.out)


if __name__ == "__main__":
    main()
