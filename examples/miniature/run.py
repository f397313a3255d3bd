"""Agentic continual pre-training against none and against plain text, in miniature: `python examples/miniature/run.py`.

Three arms a seed share a base model, the fine-tuning data and its order: `base` goes straight to fine-tuning, `general`
and `agentic` see as many tokens of plain or agentic text before it. Every stage leaves a folder below `--out` and is
not done again, so a run that was killed goes on. Arms are trained side by side, one core each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nano"))  # its modules stand beside each other

import corpora
import outcomes
import report
import training

ARMS = ("agentic", "base", "general")


def base(work: Path, seed: int, device: str) -> None:
    """The base model of a seed."""
    torch.set_num_threads(1)
    folder = work / "seeds" / str(seed) / "pretrained"
    training.stage(folder / "base", work / "exports" / "base", seed, device, begin=None)


def arm(work: Path, seed: int, name: str, device: str, epochs: int) -> None:
    """One arm of a seed, from its base model to its rollouts."""
    torch.set_num_threads(1)
    exports, folder = work / "exports", work / "seeds" / str(seed)
    begin = folder / "pretrained" / "base"
    if name != "base":
        training.stage(folder / "pretrained" / name, exports / name, seed, device, begin=begin)
        begin = folder / "pretrained" / name
    tuned = folder / "tuned" / name
    training.stage(tuned, exports / "sft", seed, device, begin=begin, epochs=epochs, held_out=exports / "heldout")
    outcomes.roll(tuned, work / "test", device)
    print(f"seed {seed} {name}: {(tuned / 'outcome.json').read_text(encoding='utf-8')}", flush=True)


def main() -> None:
    """Make the data, train, roll out, and report."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/miniature"), help="folder of everything that is made")
    parser.add_argument("--seeds", type=int, default=3, help="more only add to those that are there")
    parser.add_argument("--workers", type=int, default=2, help="arms trained side by side, a core each")
    parser.add_argument("--device", default="cpu", help="of PyTorch")
    for name, value in corpora.Size()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help="see `Size` in corpora.py")
    args = parser.parse_args()
    size = corpora.Size(**{name: getattr(args, name) for name in corpora.Size._fields})
    work = args.out.resolve()
    corpora.make(work, size)
    context = torch.multiprocessing.get_context("spawn")
    with context.Pool(args.workers) as pool:
        seeds = range(args.seeds)
        pool.starmap(base, [(work, seed, args.device) for seed in seeds], chunksize=1)
        arms = [(work, seed, name, args.device, size.epochs) for seed in seeds for name in ARMS]
        pool.starmap(arm, arms, chunksize=1)
    print(report.write(work))


if __name__ == "__main__":
    main()
