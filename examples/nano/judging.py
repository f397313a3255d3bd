"""What the judge of nano learns: plans, answers and reasonings with planted errors, and the verdict on each.

An error is one of four types (`ERRORS`): the content does not agree, the search is not needed, the logic is broken, the
tool does not exist. Each is made from a sound plan by the smallest change that earns it.
"""

from __future__ import annotations

from random import Random
from typing import Any

import reasoning
import teacher
import worlds
from names import amount, name, syllables, word
from teacher import STYLES, Example, Question, Tail, plan, pool_of, question, shown

from prompts import chat

CRITERIA = ("content", "necessity", "logic")
ERRORS: dict[str, tuple[str, ...]] = {
    "content": ("name", "part", "guess"),
    "necessity": ("off", "vague", "query"),
    "logic": ("broken", "mismatch"),
    "tool": ("tool",),
}
VAGUE = ("more information", "general overview", "latest news", "useful facts and figures", "background reading")
Plan = tuple[str, dict[str, Any]]


def near(rng: Random, text: str) -> str:
    """Return another name: unrelated, or the same with one word changed, as a bad copy has it."""
    parts = text.split()
    if rng.random() < 0.5:
        return name(rng)
    at = rng.randrange(len(parts))
    old = parts[at]
    cut = rng.randint(1, max(1, len(old) - 1))
    parts[at] = rng.choice([syllables(rng), old[:cut] + syllables(rng).lower()[:3], old[: cut - 1] + old[cut:] or "Xo"])
    changed = " ".join(parts)
    return changed if changed != text else name(rng)


def wrong(rng: Random, asked: Question, other: Question, kind: str) -> tuple[str, dict[str, Any], set[str]]:
    """Plant an error of one kind, from another question where one is needed; return the plan and what it breaks."""
    analysis, call = plan(asked)
    strange = near(rng, asked.entity)

    def renamed(text: str) -> str:
        return text.replace(asked.entity, strange)

    def search(*queries: str) -> dict[str, Any]:
        return {"name": "search", "arguments": {"query": list(queries)}}

    queries = call["arguments"]["query"]
    if kind == "name":
        return renamed(analysis), search(*map(renamed, queries)), {"content", "necessity"}
    if kind == "query":
        return (
            analysis,
            search(*rng.choice([[*map(renamed, queries)], plan(other)[1]["arguments"]["query"]])),
            {*CRITERIA},
        )
    if kind == "part":
        parts = tuple((a[0], *b[1:]) for a, b in zip(other.parts * 2, asked.parts, strict=False))
        return *plan(asked._replace(parts=parts)), {"content", "logic"}
    if kind == "guess":
        lead, rest = analysis.split(". ", 1)
        return f"{lead}. The answer is {asked.answer}. {rest}", call, {"content"}
    if kind == "vague":
        return analysis, search(rng.choice([*VAGUE, worlds.words(rng, 2, 4)])), {*CRITERIA}
    if kind == "off":
        return analysis, search(f"{asked.entity}, {worlds.words(rng, 2, 4)}"), {"necessity", "logic"}
    if kind == "tool":
        invented = f"{word(rng)}{rng.choice(['_', '', '-'])}{word(rng)}"
        tool = rng.choice([invented, invented, word(rng), "PythonInterpreter", "visit", f"{call['name']}_{word(rng)}"])
        return analysis, {"name": tool, "arguments": call["arguments"]}, {*CRITERIA}
    if kind == "broken":
        ending = rng.choice(
            [
                f"First find a source on {strange}, because that name narrows the search most.",
                "So nothing has to be found first.",
                "First find out what the question means.",
                f"It follows that {worlds.words(rng, 3, 6)}.",
            ]
        )
        return f"{analysis.split('. ')[0]}. {ending}", call, {"logic"}
    return (*plan(other), {*CRITERIA})


def two_questions(rng: Random, *, easy: bool = False) -> tuple[list[worlds.Sentence], Question, Question]:
    """Return statements with a question on them, and a question on others."""
    while True:
        sentences = pool_of(rng, 3, easy=easy)
        asked, other = (question(rng, of, rng.choice(STYLES)) for of in (sentences, pool_of(rng, 3, easy=easy)))
        if asked and other and plan(asked) != plan(other):
            return sentences, asked, other


def aligned_row(
    asked: Question, evidence: list[worlds.Sentence], analysis: str, call: dict[str, Any]
) -> dict[str, Any]:
    """Return the row that `judge/knowledge_alignment.j2` reads."""
    rows = shown(evidence)
    return {
        "question": asked.text, "statements": rows, "used": [r["id"] for r in rows], "analysis": analysis, "call": call
    }  # fmt: skip


def judge_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, evidence and a plan -> pass or fail for each criterion."""
    sentences, asked, other = two_questions(rng, easy=easy)
    broken: set[str] = set()
    analysis, call = plan(asked)
    evidence = [sentences[i - 1] for i in sorted(asked.used)]
    if rng.random() < 0.55:
        analysis, call, broken = wrong(rng, asked, other, rng.choice(ERRORS[rng.choice(list(ERRORS))]))
    elif rng.random() < 0.1:  # evidence that is about something else
        evidence, broken = pool_of(rng, len(evidence), easy=easy), {"content"}
    row = aligned_row(asked, evidence, analysis, call)
    prompts = [chat("en/judge/knowledge_alignment.j2", criterion=c, **row) for c in CRITERIA]
    cut = prompts[0].rindex("Criterion:")
    tails = tuple(Tail(p[cut:], "fail" if c in broken else "pass") for p, c in zip(prompts, CRITERIA, strict=True))
    return Example("judge", prompts[0][:cut], "", tails)


def same(rng: Random, answer: str, noun: str) -> str:
    """Return the answer in other words."""
    first, *rest = answer.split("; ")
    if rest:
        return rng.choice(
            [f"{first} and {rest[0]}", f"{rest[0]}; {first}", f"{first}, {rest[0]}", f"in {first} and in {rest[0]}"]
        )
    shapes = ["{}", "It was {}.", "about {}", "The answer is {}.", "{}" + f" {noun}", "the year {}", "in {}", "the {}"]
    return rng.choice(shapes).format(answer)


def other_answer(rng: Random, answer: str, noun: str) -> str:
    """Return an answer that is not the same: another, a part, several to choose from, or none."""
    parts = answer.split("; ")
    if len(parts) > 1 and rng.random() < 0.5:
        return rng.choice(parts)
    digit = rng.randrange(len(answer))
    changed = (
        answer[:digit] + str((int(answer[digit]) + rng.randint(1, 9)) % 10) + answer[digit + 1 :]
        if answer[digit].isdigit()
        else near(rng, answer)
    )
    fresh = amount(rng) if any(c.isdigit() for c in answer) else name(rng)
    plain = rng.choice([changed, changed, fresh, str(rng.randint(1850, 2025))])
    if plain == answer or answer in plain:
        plain = "unknown"
    if rng.random() < 0.25:
        return rng.choice(["unknown", f"some {noun}", f"{answer} or {plain}", "I do not know.", "long ago", word(rng)])
    return same(rng, plain, noun)


def same_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, reference and a given answer -> pass or fail, for several given answers."""
    _, asked, _ = two_questions(rng, easy=easy)
    answer = asked.answer if rng.random() < 0.75 else name(rng)
    noun = word(rng)
    tails = []
    for _ in range(4):
        sound = rng.random() < 0.5
        given = (same if sound else other_answer)(rng, answer, noun)
        prompt = chat("en/judge/same_answer.j2", question=asked.text, answer=answer, given=given)
        cut = prompt.rindex("Given:")
        tails.append(Tail(prompt[cut:], "pass" if sound else "fail"))
    return Example("same", prompt[:cut], "", tuple(tails))


def unsupported(rng: Random, made: reasoning.Reasoning, asked: Question) -> reasoning.Reasoning:
    """Plant an error in a reasoning: a changed name or figure, a sentence of another world, a wrong answer."""
    kind = rng.choice(["name", "figure", "figure", "sentence", "final", "fix"])
    if kind == "name" and asked.entity in made.chain:
        return made._replace(chain=made.chain.replace(asked.entity, near(rng, asked.entity)))
    wrong_answer = reasoning.guess(rng, asked)
    if kind == "figure":
        return made._replace(chain=made.chain.replace(asked.answer.split("; ")[0], wrong_answer.split("; ")[0]))
    if kind == "final":
        return made._replace(final=wrong_answer)
    if kind == "fix":
        return made._replace(fixes=[made.fixes[0].replace("which was a guess", f"but it was {wrong_answer}")])
    lead, last = made.chain.rsplit(" So the answer", 1)
    return made._replace(chain=f"{lead} {pool_of(rng, 1)[0].statement} So the answer{last}")


def supported_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, evidence and a reasoning -> pass or fail."""
    sentences, asked, _ = two_questions(rng, easy=easy)
    evidence = [sentences[i - 1] for i in sorted(asked.used)]
    made = sound = reasoning.reason(rng, asked, evidence)
    if rng.random() < 0.5:
        made = unsupported(rng, sound, asked)
    prompt = chat(
        "en/judge/claims_supported.j2",
        question=asked.text,
        evidence=teacher.shown(evidence),
        fixes=made.fixes,
        chain=made.chain,
        final=made.final,
    )
    cut = prompt.rindex("Answer:")
    return Example("supported", prompt[:cut], "", (Tail(prompt[cut:], "pass" if made == sound else "fail"),))
