"""The teacher of nano: worlds in, (prompt, reply) examples out, for the four shipped replies.

Questions are asked in the words of the statement, so that answering and planning are copying with one look-up; plans
read only the question; the judge sees plans with planted errors and says which criterion they break. Prompts are
rendered from `prompts/en` themselves.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import worlds
from names import name, syllables
from worlds import Sentence

from prompts import chat, compact

STYLES = ("factual", "numeric", "multi_hop", "navigation", "survey")
CRITERIA = ("content", "necessity", "logic")
SCHOLARLY = ("Institute", "Observatory", "Laboratory", "University")


class Example(NamedTuple):
    """A chat prompt and its reply; or the common part of several prompts, and the tail and reply of each."""

    task: str
    prompt: str
    reply: str
    tails: tuple[tuple[str, str], ...] = ()


class Question(NamedTuple):
    """A question, and what of it a plan is made of: each part is what is sought and the words to search it by."""

    text: str
    style: str
    answer: str
    used: tuple[int, ...]
    entity: str
    parts: tuple[tuple[str, str], ...]


def _usable(s: Sentence) -> bool:
    return 20 <= len(s.statement) <= 400


def statements_example(rng: Random, size: int, *, easy: bool = False) -> Example:
    """Passage -> claims, in order, one per sentence; of the time nano learns the year only."""
    passage = worlds.passage(rng, size, easy=easy)
    claims = [
        {"sentence": i, "entity": s.entity, "aliases": list(s.aliases), "statement": s.statement, "time": s.year}
        for i, s in enumerate(passage.sentences, 1)
        if _usable(s)
    ][:8]
    published = f"{rng.randint(2019, 2025)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    prompt = chat(
        "en/memory/statements.j2",
        title=passage.title,
        published=published if rng.random() < 0.8 else None,
        sentences=[s.text for s in passage.sentences],
    )
    return Example("statements", prompt, compact({"claims": claims}))


def question(rng: Random, sentences: list[Sentence], style: str) -> Question | None:
    """Ask in one style, in the words of the statements; None where they hold nothing to ask."""
    dated = [(i, s) for i, s in enumerate(sentences, 1) if s.year and s.year not in s.stem]
    counted = [(i, s) for i, s in enumerate(sentences, 1) if s.facts]
    if not (counted if style == "numeric" else dated):
        return None
    at, s = rng.choice(counted if style == "numeric" else dated)
    answer, used, asked = s.year or "", (at,), f"in which year was it that {s.stem}"
    parts = ((f"the year in which {s.stem}", _key(s.entity, s.stem)),)
    if style == "numeric":
        fact = rng.choice(s.facts)
        time = " " + fact.time if fact.time else ""
        answer, text = fact.answer, f"About {s.entity}: what exact number of {fact.noun} is reported{time}?"
        parts = ((f"the number of {fact.noun}{time}", f"statistics and figures: {s.entity}, {fact.noun}"),)
    elif style == "multi_hop":
        others = [i for i, o in enumerate(sentences, 1) if i != at and answer not in o.statement]
        if not others:
            return None
        clue = rng.choice(others)
        text = f"About {s.entity}, given that {sentences[clue - 1].statement.rstrip('.')}: {asked}?"
        used = tuple(sorted((at, clue)))
    elif style == "survey":
        second = [(i, o) for i, o in dated if i != at and o.entity == s.entity]
        if not second:
            return None
        at2, o = rng.choice(second)
        text = f"What do sources say about {s.entity}: in which years was it that {s.stem}, and that {o.stem}?"
        answer, used = f"{answer}; {o.year}", tuple(sorted((at, at2)))
        parts = (*parts, (f"the year in which {o.stem}", _key(o.entity, o.stem)))
    else:
        text = f"{'About' if style == 'factual' else 'Starting from a page about'} {s.entity}: {asked}?"
    if answer.lower() in text.lower() or not 20 <= len(text) <= 400:
        return None
    return Question(text, style, answer, used, s.entity, parts)


def _key(entity: str, stem: str) -> str:
    words = stem.split()
    lead = "" if entity in " ".join(words[:7]) else f"{entity}, "
    return f"history and timeline: {lead}{' '.join(words[:7])}"


def pool_of(rng: Random, size: int, *, easy: bool = False) -> list[Sentence]:
    """Return `size` statements on one to three subjects, as sampled from a memory, in any order."""
    found: list[Sentence] = []
    while len(found) < size:
        found += [s for s in worlds.passage(rng, rng.randint(2, 6), easy=easy).sentences if _usable(s)]
    found = found[:size]
    if rng.random() < 0.5:
        rng.shuffle(found)
    return found


def shown(sentences: list[Sentence]) -> list[dict[str, Any]]:
    """Return sentences as rows of the memory."""
    return [{"id": i, "entity": s.entity, "statement": s.statement, "time": s.year} for i, s in enumerate(sentences, 1)]


def question_example(rng: Random, size: int, *, easy: bool = False) -> Example:
    """Statements -> used, question and answer, once for every style that they can be asked in."""
    while True:
        sentences = pool_of(rng, max(size, 2), easy=easy)
        found = [q for style in rng.sample(STYLES, len(STYLES)) if (q := question(rng, sentences, style))]
        if found:
            break
    prompts = [chat("en/fas/question.j2", statements=shown(sentences), style=q.style) for q in found]
    cut = prompts[0].rindex("Style:")
    replies = [compact({"used": list(q.used), "question": q.text, "answer": q.answer}) for q in found]
    return Example("question", prompts[0][:cut], "", tuple((p[cut:], r) for p, r in zip(prompts, replies, strict=True)))


def plan(asked: Question) -> tuple[str, dict[str, Any]]:
    """Return analysis and call for a question, from the question alone."""
    subject = asked.entity
    if asked.style == "survey":
        analysis = (
            f"The question asks for an overview of {subject} in two parts: {asked.parts[0][0]}, "
            f"and {asked.parts[1][0]}. Neither is known yet, and both can be looked up side by side."
        )
    else:
        lead = {"multi_hop": "One clue is given and can be checked later. ", "navigation": "The way starts at a page. "}
        analysis = (
            f"{lead.get(asked.style, '')}The question is about {subject}. It asks for {asked.parts[0][0]}, which is "
            f"not known yet. First find a source on {subject}, because that name narrows the search most."
        )
    tool = "google_scholar" if any(w in SCHOLARLY for w in subject.split()) else "search"
    return analysis, {"name": tool, "arguments": {"query": list(dict.fromkeys(key for _, key in asked.parts))}}


def plan_example(rng: Random, *, easy: bool = False) -> Example:
    """Question -> analysis and call."""
    while True:
        if asked := question(rng, pool_of(rng, 3, easy=easy), rng.choice(STYLES)):
            break
    analysis, call = plan(asked)
    return Example("plan", chat("en/fas/plan.j2", question=asked.text), compact({"analysis": analysis, "call": call}))


def _near(rng: Random, text: str) -> str:
    """Return another name: unrelated, or the same with one word changed, as a bad copy has it."""
    parts = text.split()
    if rng.random() < 0.5:
        return name(rng)
    at = rng.randrange(len(parts))
    word = parts[at]
    cut = rng.randint(1, max(1, len(word) - 1))
    parts[at] = rng.choice(
        [syllables(rng), word[:cut] + syllables(rng).lower()[:3], word[: cut - 1] + word[cut:] or "Xo"]
    )
    changed = " ".join(parts)
    return changed if changed != text else name(rng)


def _wrong(rng: Random, asked: Question, other: Question) -> tuple[str, dict[str, Any], set[str]]:
    """Plant one error, from another question where one is needed; return the plan and the criteria it breaks."""
    kind = rng.choice(["name", "name", "query", "query", "part", "guess", "vague", "off", "broken", "mismatch"])
    analysis, call = plan(asked)
    near = _near(rng, asked.entity)

    def renamed(text: str) -> str:
        return text.replace(asked.entity, near)

    def search(*queries: str) -> dict[str, Any]:
        return {"name": "search", "arguments": {"query": list(queries)}}

    queries = call["arguments"]["query"]
    if kind == "name":
        return renamed(analysis), search(*map(renamed, queries)), {"content", "necessity"}
    if kind == "query":
        return (
            analysis,
            search(*rng.choice([list(map(renamed, queries)), plan(other)[1]["arguments"]["query"]])),
            set(CRITERIA),
        )
    if kind == "part":
        return (
            *plan(
                asked._replace(
                    parts=tuple((w, k) for (w, _), (_, k) in zip(other.parts * 2, asked.parts, strict=False))
                )
            ),
            {"content", "logic"},
        )
    if kind == "guess":
        lead, rest = analysis.split(". ", 1)
        return f"{lead}. The answer is {asked.answer}. {rest}", call, {"content"}
    if kind == "vague":
        vague = [
            "more information",
            "general overview",
            "latest news",
            "useful facts and figures",
            worlds.words(rng, 2, 4),
        ]
        return analysis, search(rng.choice(vague)), set(CRITERIA)
    if kind == "off":
        return analysis, search(f"{asked.entity}, {worlds.words(rng, 2, 4)}"), {"necessity", "logic"}
    if kind == "broken":
        ending = rng.choice(
            [
                f"First find a source on {near}, because that name narrows the search most.",
                "So nothing has to be found first.",
                "First find out what the question means.",
                f"It follows that {worlds.words(rng, 3, 6)}.",
            ]
        )
        return f"{analysis.split('. ')[0]}. {ending}", call, {"logic"}
    return (*plan(other), set(CRITERIA))


def judge_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, evidence and a plan -> pass or fail for each criterion."""
    while True:
        sentences = pool_of(rng, 3, easy=easy)
        asked, other = (question(rng, of, rng.choice(STYLES)) for of in (sentences, pool_of(rng, 3, easy=easy)))
        if asked and other:
            break
    broken: set[str] = set()
    analysis, call = plan(asked)
    evidence = [sentences[i - 1] for i in asked.used]
    if rng.random() < 0.5:
        analysis, call, broken = _wrong(rng, asked, other)
    elif rng.random() < 0.12:  # evidence that is about something else
        evidence, broken = pool_of(rng, len(evidence), easy=easy), {"content"}
    rows = shown(evidence)
    row = {
        "question": asked.text,
        "statements": rows,
        "used": [r["id"] for r in rows],
        "analysis": analysis,
        "call": call,
    }
    prompts = [chat("en/judge/knowledge_alignment.j2", criterion=c, **row) for c in CRITERIA]
    cut = prompts[0].rindex("Criterion:")
    tails = tuple((p[cut:], "fail" if c in broken else "pass") for p, c in zip(prompts, CRITERIA, strict=True))
    return Example("judge", prompts[0][:cut], "", tails)


__all__ = [
    "CRITERIA",
    "STYLES",
    "Example",
    "judge_example",
    "plan_example",
    "question_example",
    "statements_example",
]
