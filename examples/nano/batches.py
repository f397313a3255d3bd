"""Examples as batches: rows of like length together, and one prefix for all rows of a task.

A judge's rows end in several tails, one a criterion, which do not see each other. A step takes one batch of each of two
or three tasks; the batches are made in a thread behind the training.
"""

from __future__ import annotations

import queue
import threading
import time
from random import Random
from typing import NamedTuple

import acting
import choosing
import judging
import names
import reasoning
import stepping
import teacher
import torch
from teacher import Example
from tokenizers import Tokenizer
from torch import Tensor

TOKENS = {  # of a batch, without the shared ones
    "statements": 2400,
    "question": 1600,
    "plan": 800,
    "judge": 1600,
    "draft": 700,
    "refine": 1300,
    "same": 600,
    "supported": 1000,
    "turn": 2200,
    "attempt": 600,
    "alternatives": 2200,
    "alternatives of others": 2200,
    "bare alternatives": 1200,
    "rewrite": 2200,
    "state": 1600,
    "summaries": 1200,
}
STEPS = (  # tasks of a step, in turn: small steps, and many
    ("turn", "statements", "same", "refine"),
    ("turn", "alternatives", "question", "draft"),
    ("rewrite", "question", "judge", "refine"),
    ("turn", "plan", "state", "statements", "draft"),
    ("turn", "supported", "plan", "refine"),
    ("alternatives of others", "refine", "statements", "judge"),
    ("turn", "statements", "same", "supported", "summaries"),
    ("rewrite", "question", "judge", "plan"),
    ("turn", "state", "supported", "statements", "refine"),
    ("turn", "question", "bare alternatives", "plan", "refine", "judge"),
    ("alternatives of others", "draft", "same", "attempt", "statements", "supported"),
)
LONGEST = 1400  # tokens of an example; a longer one is left out
JUDGED = {"judge": "Analysis:", "supported": "Corrections:", "same": ""}  # from where a sound text is expected
NOISE = 0.02  # of the tokens of its own reply are shown wrong: a copy that has slipped must find its way back
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
    easy = rng.random() > 0.4 + 6 * progress
    size = rng.randint(1, 2 + min(3, int(30 * progress)))
    if rng.random() < progress / 8:
        size = rng.randint(6, 8)
    if task == "statements":
        return teacher.statements_example(rng, size, easy=easy)
    if task == "question":
        return teacher.question_example(rng, 1 + size, easy=easy)
    makers = {
        "plan": teacher.plan_example,
        "judge": judging.judge_example,
        "same": judging.same_example,
        "supported": judging.supported_example,
        "draft": reasoning.draft_example,
        "refine": reasoning.refine_example,
        "turn": acting.turns_example,
        "attempt": acting.attempt_example,
    }
    if task in makers:
        return makers[task](rng, easy=easy)
    stepwise = {
        "alternatives": choosing.alternatives_example,
        "rewrite": stepping.rewrite_example,
        "state": stepping.state_example,
        "summaries": stepping.summaries_example,
    }
    if task in ("alternatives of others", "bare alternatives"):
        return choosing.alternatives_example(rng, web=True, bare=task == "bare alternatives")
    return stepwise[task](rng)


class Encoded(NamedTuple):
    """An example as tokens, their targets and positions, and the spans of its tails: (start, end, seen).

    A tail sees the first `seen` tokens and itself; what stands between, other tails among it, it does not see.
    """

    tokens: list[int]
    targets: list[int]
    positions: list[int]
    spans: list[tuple[int, int, int]]


def encode(tok: Tokenizer, item: Example, rng: Random) -> Encoded:
    """Return an example as arrays.

    Some tokens of the reply are replaced where they are read, not where they are to be predicted.
    """
    tokens = tok.encode(item.prompt, add_special_tokens=False).ids
    targets, positions, spans = [-100] * len(tokens), list(range(len(tokens))), []
    end = tok.token_to_id("<|im_end|>")
    if item.tails:
        if JUDGED.get(item.task) and all(tail.reply == "pass" for tail in item.tails):
            start_of = item.prompt.rindex(JUDGED[item.task])
            first = len(tok.encode(item.prompt[:start_of], add_special_tokens=False).ids)
            targets[first:-1] = tokens[first + 1 :]
        whole = len(tokens)
        for text, answer, cut in item.tails:
            seen = whole if cut is None else len(tok.encode(item.prompt[:cut], add_special_tokens=False).ids)
            ids, reply = (tok.encode(t, add_special_tokens=False).ids for t in (text, answer))
            if item.task not in JUDGED:
                reply.append(end)
            read = [t if len(reply) < 3 or rng.random() > NOISE else rng.choice(tokens) for t in reply[:-1]]
            spans.append((len(tokens), len(tokens) + len(ids) + len(read), seen))
            if not ids:
                targets[seen - 1] = reply[0]
            targets += ([-100] * len(ids) + reply)[1:]
            positions += range(seen, seen + len(ids) + len(read))
            tokens += ids + read
        return Encoded(tokens, targets, positions, spans)
    reply = [*tok.encode(item.reply, add_special_tokens=False).ids, end]
    targets[-1:] = reply
    read = [t if rng.random() > NOISE else rng.choice(tokens) for t in reply[:-1]]
    return Encoded(tokens + read, targets, list(range(len(tokens) + len(reply) - 1)), spans)


def collate(task: str, items: list[Encoded], cut: int, labels: Tensor) -> Batch:
    """Pad the rows after the shared first `cut` tokens."""
    length = max(len(i.tokens) for i in items) - cut

    def padded(values: list[int], fill: int) -> list[int]:
        return values[cut:] + [fill] * (length - len(values) + cut)

    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.cat([torch.ones(length, cut, dtype=torch.bool), causal], 1)[None, None]
    if items[0].spans:
        mask = mask.repeat(len(items), 1, 1, 1)
        for row, item in enumerate(items):
            for start, end, seen in item.spans:
                mask[row, 0, start - cut : end - cut, seen:start] = False
    return Batch(
        task,
        torch.tensor(items[0].tokens[:cut]),
        torch.tensor([padded(i.tokens, 0) for i in items]),
        torch.tensor([padded(i.positions, 0) for i in items]),
        torch.tensor([padded(i.targets, -100) for i in items]),
        mask,
        labels,
    )


class Source:
    """Makes batches in the background; rows of like length go together."""

    def __init__(self, tok: Tokenizer, seed: int) -> None:
        self.tok, self.rng, self.progress = tok, Random(seed), 0.0
        names.use_pieces(tok.get_vocab())
        self.cuts: dict[str, int] = {}
        self.labels = torch.tensor([tok.token_to_id(label) for label in LABELS])
        self.ready: dict[str, queue.Queue[Batch]] = {task: queue.Queue() for task in TOKENS}
        for task in TOKENS:
            a, b = (encode(tok, example(Random(s), task, 1.0), Random(s)).tokens for s in (1, 2))
            self.cuts[task] = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y) - 1
        threading.Thread(target=self._work, daemon=True).start()

    def batches(self, task: str, rng: Random, progress: float) -> list[Batch]:
        """Return some batches of one task in random order."""
        cut = self.cuts[task]
        many = 64 if TOKENS[task] < 2000 else 24
        made = (encode(self.tok, example(rng, task, progress), rng) for _ in range(many))
        items = sorted((i for i in made if len(i.tokens) <= LONGEST), key=lambda i: len(i.tokens))
        found: list[Batch] = []
        rows: list[Encoded] = []
        for item in items:
            if rows and (len(rows) + 1) * (len(item.tokens) - cut) > TOKENS[task]:
                found.append(collate(task, rows, cut, self.labels))
                rows = []
            rows.append(item)
        found = found or [collate(task, rows, cut, self.labels)]
        rng.shuffle(found)
        return found

    def step(self, number: int) -> list[Batch]:
        """Return the batches of a step."""
        return [self.ready[task].get() for task in STEPS[number % len(STEPS)]]

    def _work(self) -> None:
        while True:
            task = min(TOKENS, key=lambda t: self.ready[t].qsize())
            if self.ready[task].qsize() > 3:
                time.sleep(0.05)
                continue
            for batch in self.batches(task, self.rng, self.progress):
                self.ready[task].put(batch)
