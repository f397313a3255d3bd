"""Single steps of a run: written anew, taken into a report, and shortened; all are copies of their prompt."""

from __future__ import annotations

from random import Random
from typing import Any

import acting
import choosing
from choosing import Run
from teacher import Example

from prompts import chat, compact

LENGTH = 1200
REASONS = {
    "visit": "I open the page, for it may say the rest.",
    "python": "I let a program work it out.",
    "PythonInterpreter": "I let a program work it out.",
}


def rewritten(run: Run, at: int) -> str:
    """The reply for step `at`: what the newest result says, why the call is made, and the same call."""
    facts, call = run.before[at].facts, run.steps[at]["call"]
    known = f"I have this by now: {facts[-1]}" if facts else "Nothing is known yet."
    final = call.get("final")
    reason = REASONS.get(call.get("name"), "I search for what is still missing.")
    return compact({"thought": f"{known} {f'So the answer is {final}.' if final else reason}", "call": call})


def rewrite_example(rng: Random) -> Example:
    """Task, past and a step -> the step anew, once for each step of a run."""
    run = choosing.run(rng, web=True)
    ends = range(len(run.steps))
    prompts = [
        chat(
            "en/agent/rewrite_step.j2",
            system=run.system,
            question=run.question,
            past=run.steps[:n],
            step=run.steps[n],
        )
        for n in ends
    ]
    return acting.branched("rewrite", prompts, [rewritten(run, n) for n in ends])


def report(run: Run, count: int) -> str:
    """The report after `count` steps: a fact of each response, with its source."""
    return " ".join(run.before[count].facts)


def state_example(rng: Random) -> Example:
    """Report, call and response -> the report with what the response says."""
    while True:
        run = choosing.run(rng, web=rng.random() < 0.7)
        at = rng.randrange(len(run.steps) - 1)
        if len(made := report(run, at + 1)) <= LENGTH:
            break
    prompt = chat(
        "en/agent/state.j2",
        length=LENGTH,
        system=run.system,
        question=run.question,
        state=report(run, at),
        call=run.steps[at]["call"],
        response=run.steps[at]["response"],
    )
    return Example("state", prompt, compact({"state": made}))


def summaries_example(rng: Random) -> Example:
    """Task and thoughts -> the first sentence of each thought."""
    run = choosing.run(rng, web=True)
    found = [first_sentence(step) for step in run.steps]
    prompt = chat("en/sft/summaries.j2", question=run.question, steps=run.steps)
    return Example("summaries", prompt, compact({"summaries": found}))


def first_sentence(step: dict[str, Any]) -> str:
    """The beginning of a thought up to its first full stop; empty where there is no thought."""
    before, stop, _ = (step["thought"] or "").partition(". ")
    return f"{before}." if stop else before
