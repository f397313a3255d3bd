"""The teacher of nano: worlds in, (prompt, reply) examples out, for the four shipped replies.

Questions are asked in the words of the statement, so that answering and planning are copying with one look-up; plans
read only the question; the judge sees plans with planted errors and says which criterion they break. Prompts are
rendered from `prompts/en` themselves.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import worlds
from names import MONTHS, name, syllables, when
from worlds import Fact, Sentence

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
    """A question with its parts, as the planner has to find them again."""

    text: str
    style: str
    answer: str
    used: tuple[int, ...]
    facts: tuple[Fact, ...]


def statements_example(rng: Random, size: int, *, easy: bool = False) -> Example:
    """Passage -> claims, in order, one per sentence; of the time nano learns the year only."""
    passage = worlds.passage(rng, size, easy=easy)
    claims = [
        {
            "sentence": i,
            "entity": s.entity,
            "aliases": list(s.aliases),
            "statement": s.statement,
            "time": s.time and s.time[:4],
        }
        for i, s in enumerate(passage.sentences, 1)
        if s.claim and 20 <= len(s.statement) <= 400
    ][:8]
    published = (
        f"{rng.randint(2019, 2025)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}" if rng.random() < 0.8 else None
    )
    prompt = chat(
        "en/memory/statements.j2",
        title=passage.title,
        published=published,
        sentences=[s.text for s in passage.sentences],
    )
    return Example("statements", prompt, compact({"claims": claims}))


def _spaced(*parts: str) -> str:
    return " ".join(p for p in parts if p)


def ask(fact: Fact, style: str) -> str:
    """Return the question clause for a fact, in the words of its style."""
    if fact.kind == "count":
        if style == "numeric":
            return _spaced("what exact number of", fact.noun, "is reported for", fact.subject, fact.time)
        if style == "navigation":
            return _spaced("which figure for", fact.noun, "is listed there", fact.time)
        if style == "survey":
            return _spaced("how many", fact.noun, fact.time)
        if fact.verb.endswith("ed"):
            return _spaced("how many", fact.noun, "were", fact.verb, "by", fact.subject, fact.time)
        return _spaced("how many", fact.noun, "are recorded for", fact.subject, fact.time)
    if fact.kind == "date":
        if style == "navigation":
            return _spaced("which date is listed there for when it", fact.predicate)
        if style == "survey":
            return _spaced("when it", fact.predicate)
        return _spaced("when was it that", fact.subject, fact.predicate)
    if style == "navigation":
        return _spaced("who is listed there as the one by whom it was", fact.verb)
    return _spaced("by whom", "it" if style == "survey" else fact.subject, "was", fact.verb)


def _join(statement: str, entity: str) -> str:
    text = statement.rstrip(".")
    return text if text.startswith(entity) else text[0].lower() + text[1:]


def question(rng: Random, sentences: list[Sentence], style: str) -> Question | None:
    """Ask in one style; None where the sentences hold nothing to ask."""
    pool = [(i, f) for i, s in enumerate(sentences, 1) for f in s.facts]
    if style == "numeric":
        pool = [p for p in pool if p[1].kind == "count"] or pool
    if not pool:
        return None
    at, fact = rng.choice(pool)
    answer, used, facts = fact.answer, (at,), (fact,)
    if style == "multi_hop":
        others = [
            i for i, s in enumerate(sentences, 1) if i != at and answer not in s.statement and len(s.statement) < 200
        ]
        if not others:
            return None
        other = rng.choice(others)
        s = sentences[other - 1]
        text = f"Given that {_join(s.statement, s.entity)}, {ask(fact, style)}?"
        used = tuple(sorted((at, other)))
    elif style == "navigation":
        text = f"Starting from a page about {fact.subject}, {ask(fact, style)}?"
    elif style == "survey":
        second = [p for p in pool if p[0] != at and p[1].subject == fact.subject]
        if not second:
            return None
        at2, fact2 = rng.choice(second)
        text = f"What do sources say about {fact.subject}: {ask(fact, style)}, and {ask(fact2, style)}?"
        answer, used, facts = f"{answer}; {fact2.answer}", tuple(sorted((at, at2))), (fact, fact2)
    else:
        clause = ask(fact, style)
        text = clause[0].upper() + clause[1:] + "?"
    if answer.lower() in text.lower() or not 20 <= len(text) <= 400:
        return None
    return Question(text, style, answer, used, facts)


def pool_of(rng: Random, size: int, *, easy: bool = False) -> list[Sentence]:
    """Return `size` statements on one to three subjects, as sampled from a memory: claims only, in any order."""
    found: list[Sentence] = []
    while len(found) < size:
        found += [
            s
            for s in worlds.passage(rng, rng.randint(2, 6), easy=easy).sentences
            if s.claim and 20 <= len(s.statement) <= 400
        ]
    found = found[:size]
    if rng.random() < 0.5:
        rng.shuffle(found)
    return found


def shown(sentences: list[Sentence]) -> list[dict[str, Any]]:
    """Return sentences as rows of the memory."""
    return [
        {"id": i, "entity": s.entity, "statement": s.statement, "time": s.time and s.time[:4]}
        for i, s in enumerate(sentences, 1)
    ]


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


def _sought(fact: Fact) -> str:
    if fact.kind == "count":
        return f"the number of {fact.noun}"
    return f"the date when it {fact.predicate}" if fact.kind == "date" else f"the one by whom it was {fact.verb}"


def _bare(subject: str) -> str:
    return subject.removeprefix("the ")


def _query(fact: Fact) -> str:
    subject = _bare(fact.subject)
    year = next((w for w in reversed(fact.bare.replace(",", "").split()) if w.isdigit() and len(w) == 4), "")
    if fact.kind == "count":
        return _spaced(fact.noun, "statistics", subject, year, "official report")
    if fact.kind == "date":
        return _spaced(subject, "history timeline:", " ".join(fact.predicate.split()[:3]))
    return _spaced(subject, "history and people:", fact.verb)


def plan(asked: Question) -> tuple[str, dict[str, Any]]:
    """Return analysis and call for a question, from the question alone."""
    fact, subject = asked.facts[0], asked.facts[0].subject
    given = f"The question is about {subject}" + (f" and gives a time, {fact.bare}." if fact.bare else ".")
    if asked.style == "multi_hop":
        given = "One clue is given and has to be checked later. " + given
    if asked.style == "navigation":
        given = "The way starts at a page. " + given
    if asked.style == "survey":
        second = asked.facts[1]
        analysis = (
            f"The question asks for an overview of {subject} in two parts: {_sought(fact)}, and {_sought(second)}. "
            "Neither is known yet, and both can be looked up side by side."
        )
        queries = [_query(fact), _query(second)]
    else:
        analysis = (
            f"{given} It asks for {_sought(fact)}, which is not known yet. "
            f"First find a source on {subject} that states it, because that name narrows the search most."
        )
        queries = [_query(fact)]
    tool = "google_scholar" if any(w in SCHOLARLY for w in subject.split()) else "search"
    return analysis, {"name": tool, "arguments": {"query": list(dict.fromkeys(queries))}}


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


def _wrong(rng: Random, asked: Question) -> tuple[str, dict[str, Any], set[str]]:
    """Plant one error; return the plan and the criteria it breaks."""
    fact = asked.facts[0]
    other = replace(fact, subject=_near(rng, fact.subject))
    kind = rng.choice(
        [
            "entity",
            "entity",
            "query_entity",
            "query_entity",
            "part",
            "time",
            "guess",
            "vague",
            "off",
            "broken",
            "mismatch",
        ]
    )
    analysis, call = plan(asked)

    def changed(new: Fact) -> tuple[str, dict[str, Any]]:
        return plan(asked._replace(facts=(new, *(replace(f, subject=new.subject) for f in asked.facts[1:]))))

    def search(*queries: str) -> dict[str, Any]:
        return {"name": "search", "arguments": {"query": list(queries)}}

    if kind == "entity":
        return (*changed(other), {"content", "necessity"})
    if kind == "query_entity":
        return analysis, changed(other)[1], {"content", "necessity", "logic"}
    if kind == "part":
        new = replace(
            fact, noun=worlds.words(rng, 1, 2), predicate=worlds.words(rng, 2, 4), verb=worlds.words(rng, 1, 1) + "ed"
        )
        return (*changed(new), {"content"})
    if kind == "time" and fact.bare:
        return (*changed(replace(fact, bare=when(rng).bare)), {"content"})
    if kind == "guess":
        lead, rest = analysis.split(". ", 1)
        return f"{lead}. The answer is {asked.answer}. {rest}", call, {"content"}
    if kind == "vague":
        return (
            analysis,
            search(
                rng.choice(
                    [
                        "more information",
                        "general overview",
                        "latest news",
                        "useful facts and figures",
                        worlds.words(rng, 2, 4),
                    ]
                )
            ),
            set(CRITERIA),
        )
    if kind == "off":
        return analysis, search(_spaced(_bare(fact.subject), worlds.words(rng, 2, 4))), {"necessity", "logic"}
    if kind == "broken":
        subject = other.subject
        ending = rng.choice(
            [
                f"First find a source on {subject}, because that name narrows the search most.",
                "So nothing has to be found first.",
                "First find out what the question means.",
                f"It follows that {worlds.words(rng, 3, 6)}.",
            ]
        )
        return f"{analysis.split('. ')[0]}. {ending}", call, {"logic"}
    return (*changed(replace(other, noun=worlds.words(rng, 1, 2), predicate=worlds.words(rng, 2, 4))), set(CRITERIA))


def judge_example(rng: Random, *, easy: bool = False) -> Example:
    """Question, evidence and a plan -> pass or fail for each criterion."""
    while True:
        sentences = pool_of(rng, 3, easy=easy)
        if asked := question(rng, sentences, rng.choice(STYLES)):
            break
    broken: set[str] = set()
    analysis, call = plan(asked)
    evidence = [sentences[i - 1] for i in asked.used]
    if rng.random() < 0.5:
        analysis, call, broken = _wrong(rng, asked)
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
    "MONTHS",
    "STYLES",
    "Example",
    "judge_example",
    "plan_example",
    "question_example",
    "statements_example",
]
