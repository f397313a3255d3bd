"""How nano reasons: a draft that guesses, and a chain that copies the statements and reads the answer off them."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from names import amount
from teacher import STYLES, Example, Question, pool_of, question, shown
from worlds import Sentence

from prompts import chat, compact


class Draft(NamedTuple):
    """The reply to `fas/reason_draft.j2`."""

    parts: list[str]
    draft: str
    first: str


class Reasoning(NamedTuple):
    """The reply to `fas/reason_refine.j2`."""

    fixes: list[str]
    chain: str
    final: str


def guess(rng: Random, asked: Question) -> str:
    """Return an answer of the right kind that is not the right one."""
    while True:
        year = str(rng.randint(1900, 2020))
        found = amount(rng) if asked.kind == "a number" else year
        if asked.kind == "two years":
            found = f"{year}; {rng.randint(1900, 2020)}"
        if not set(found.split("; ")) & set(asked.answer.split("; ")):
            return found


def draft(rng: Random, asked: Question) -> Draft:
    """Draft an answer from memory, which is a guess."""
    first = guess(rng, asked)
    parts = [part[2] for part in asked.parts]
    if asked.style == "multi_hop":
        parts = [f"What is known about {asked.entity}?", *parts]
    text = (
        f"The question is about {asked.entity}, and it asks for {asked.kind}. "
        f"I recall {asked.entity} only in part, and no source is at hand. "
        f"I suppose it was {first}, but this is a guess."
    )
    return Draft(parts, text, first)


def draft_reply(made: Draft) -> str:
    """Write a draft as the model replies it."""
    return compact({"parts": made.parts, "draft": made.draft, "first_answer": made.first})


def draft_example(rng: Random, *, easy: bool = False) -> Example:
    """Question -> parts, draft and first answer."""
    while True:
        asked = question(rng, pool_of(rng, 3, easy=easy), rng.choice(STYLES))
        if asked and all(len(part[2]) <= 200 for part in asked.parts):
            break
    return Example("draft", chat("en/fas/reason_draft.j2", question=asked.text), draft_reply(draft(rng, asked)))


def reason(rng: Random, asked: Question, evidence: list[Sentence], first: str | None = None) -> Reasoning:
    """Reason from the evidence: every statement in order, then what it says on each part of the question."""
    first = first or (guess(rng, asked) if rng.random() < 0.9 else asked.answer)
    fixes = [f"I supposed {first}, which was a guess."]  # the answer is not known before the statements are copied
    stated = " ".join(s.statement for s in evidence)
    chain = (
        f"The question is about {asked.entity}, and it asks for {asked.kind}. "
        f"This is what decides it. {stated} So the answer is {asked.answer}."
    )
    return Reasoning(fixes, chain, asked.answer)


def reply(made: Reasoning) -> str:
    """Write a reasoning as the model replies it."""
    return compact({"fixes": made.fixes, "chain": made.chain, "final": made.final})


def refine_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, evidence and draft -> fixes, chain and final answer."""
    while True:
        sentences = pool_of(rng, rng.randint(2, 4), easy=easy)
        asked = question(rng, sentences, rng.choice(STYLES))
        if asked and all(len(part[2]) <= 200 for part in asked.parts):
            break
    evidence = [sentences[i - 1] for i in sorted(asked.used)]
    drafted = draft(rng, asked)
    if rng.random() < 0.1:
        drafted = drafted._replace(draft=drafted.draft.replace(drafted.first, asked.answer), first=asked.answer)
    made = reason(rng, asked, evidence, drafted.first)
    prompt = chat(
        "en/fas/reason_refine.j2",
        question=asked.text,
        evidence=shown(evidence),
        parts=drafted.parts,
        draft=drafted.draft,
        first_answer=drafted.first,
    )
    return Example("refine", prompt, reply(made))
