"""Train nano from nothing: `python examples/nano/train.py --minutes 45`.

Examples are made as they are needed and never repeat. A step sums one batch of each task; a batch is of one task, so
that the static part of its prompt is run once for all rows. The loss is on the reply only. Passages grow from one short
sentence to five within the first tenth of the time, a few to eight later.

`--minutes` are processor minutes of each worker: on a machine that others use, the rate falls with the work that was
done, not with the time that passed. SIGTERM or ^C ends the training early and keeps what is learned by then.
"""

from __future__ import annotations

import argparse
import math
import signal
import time
from pathlib import Path
from random import Random

import tokenizer as pieces
import torch
import torch.nn.functional as F
from batches import JUDGED, TOKENS, Batch, Source, example
from names import WORDS
from network import Network, Size
from tokenizers import Tokenizer
from torch import Tensor

HERE = Path(__file__).resolve().parent


def build_tokenizer(folder: Path, context: int) -> Tokenizer:
    """Train the tokenizer on examples of every task and on the word list."""
    rng = Random(11)
    texts = []
    for _ in range(1200):
        for task in TOKENS:
            item = example(rng, task, 1.0)
            texts.append(item.prompt[-900:] + item.reply + "".join(t.text + t.reply for t in item.tails))
    texts += [example(rng, task, 1.0).prompt for task in TOKENS for _ in range(200)]
    texts += [" " + w for w in WORDS for _ in range(3)] + [w.capitalize() for w in WORDS] + ["pass", "fail"] * 500
    tok = pieces.extended(pieces.train(texts))
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
    if batch.task in JUDGED:
        kept = torch.isin(targets, batch.labels)
    logits = net.lm_head(hidden[kept])
    loss, right = F.cross_entropy(logits, targets[kept]), (logits.argmax(-1) == targets[kept]).float().mean()
    rest = (targets >= 0) & ~kept
    if rest.any():
        loss = loss + F.cross_entropy(net.lm_head(hidden[rest]), targets[rest])
    return loss, right


def work(number: int, net: Network, tok: Tokenizer, args: argparse.Namespace) -> None:
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
    begin = time.process_time()
    while (now := time.process_time() - begin) < seconds:
        source.progress = done = args.progress + (1 - args.progress) * now / seconds
        rate = args.rate * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients = []
        for batch in source.step(step):
            with torch.autocast("cpu", dtype=torch.bfloat16):  # a quarter faster, and what the engine runs
                loss, right = loss_of(net, batch)
            gradients.append(torch.autograd.grad(loss, list(net.parameters())))
            seen += batch.tokens.numel()
            log[batch.task].append((loss.item(), right.item()))
        for parameter, *found in zip(net.parameters(), *gradients, strict=True):
            parameter.grad = torch.stack(found).sum(0)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0 and number == 0:
            parts = [
                f"{t} {sum(x for x, _ in v) / len(v):.3f}/{sum(y for _, y in v) / len(v):.3f}"
                for t, v in log.items()
                if v
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
    parser.add_argument("--minutes", type=float, default=45, help="of the processor, for each worker")
    parser.add_argument("--out", type=Path, default=HERE / "model")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument("--save-every", type=float, default=4, help="minutes of the clock between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path, help="take the tokenizer in this folder")
    parser.add_argument("--resume", type=Path, help="start from the weights in this folder")
    parser.add_argument("--progress", type=float, default=0.0, help="share of the schedule that lies behind")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if folder := args.resume or args.tokenizer:
        tok = pieces.extended(Tokenizer.from_file(str(folder / "tokenizer.json")))
        pieces.save(tok, args.out, 4096)
    else:
        tok = build_tokenizer(args.out, 4096)
    net = Network(Size(vocab=tok.get_vocab_size()))
    if args.resume:
        net.load(args.resume, pieces.parts(tok))
    else:
        net.wire(torch.Generator().manual_seed(args.seed), lambda text: tok.encode(text).ids[0])
    net.share_memory()
    context = torch.multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(i, net, tok, args), daemon=True) for i in range(args.workers)]
    try:
        print(f"{sum(p.numel() for p in net.parameters()):,} parameters", flush=True)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:  # the workers, which are daemons, end with this process
        print("ended early", flush=True)
    net.save(args.out)


if __name__ == "__main__":
    main()
