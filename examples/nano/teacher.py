"""The teacher of nano: worlds in, (prompt, reply) examples out, for the replies that build a memory and ask of it.

Questions are asked in the words of the statement, so that answering and planning are copying with one look-up; plans
read only the question. A style that the statements cannot be asked in asks for a year instead: what is not taught here
is made up there. Prompts are rendered from `prompts/en` themselves. The judge is in `judging.py`, the reasoning
in `reasoning.py`.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any, NamedTuple

import worlds
from worlds import Sentence

from prompts import chat, compact

STYLES = ("factual", "numeric", "multi_hop", "navigation", "survey")
OPENINGS = {"navigation": "Starting from a page about", "survey": "What do sources say about"}
SCHOLARLY = ("Institute", "Observatory", "Laboratory", "University")


class Tail(NamedTuple):
    """One of several prompts that begin alike: what follows the common part, and the reply."""

    text: str
    reply: str
    cut: int | None = None
    """How many characters of the common part it follows; all of them where it is None."""


class Example(NamedTuple):
    """A chat prompt and its reply; or the common part of several prompts, and their tails."""

    task: str
    prompt: str
    reply: str
    tails: tuple[Tail, ...] = ()


class Question(NamedTuple):
    """A question, and what of it a plan is made of.

    `kind` is what it asks for (`a year`, `a number`, `two years`), which its words say, as they do not the style. Each
    part is what is sought, the words to search it by, and the same as a question of its own. `used` are the statements
    in the order in which the question takes them up.
    """

    text: str
    style: str
    kind: str
    answer: str
    used: tuple[int, ...]
    entity: str
    parts: tuple[tuple[str, str, str], ...]


def usable(s: Sentence) -> bool:
    return 20 <= len(s.statement) <= 400


def statements_example(rng: Random, size: int, *, easy: bool = False) -> Example:
    """Passage -> claims, in order, one per sentence; of the time nano learns the year only."""
    return statements_shown(rng, size, easy=easy)[0]


def statements_shown(rng: Random, size: int, *, easy: bool = False) -> tuple[Example, str, list[str]]:
    """Return an example with the title and the sentences it shows."""
    passage = worlds.passage(rng, size, easy=easy)
    claims = [
        {"sentence": i, "entity": s.entity, "aliases": list(s.aliases), "statement": s.statement, "time": s.year}
        for i, s in enumerate(passage.sentences, 1)
        if usable(s)
    ][:8]
    published = f"{rng.randint(2019, 2025)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    sentences = [s.text for s in passage.sentences]
    prompt = chat(
        "en/memory/statements.j2",
        title=passage.title,
        published=published if rng.random() < 0.8 else None,
        sentences=sentences,
    )
    return Example("statements", prompt, compact({"claims": claims})), passage.title, sentences


def question(rng: Random, sentences: list[Sentence], style: str) -> Question | None:
    """Ask in one style, in the words of the statements; None where they hold nothing to ask.

    Where they hold no figure or no second year of the subject, a year is asked for.
    """
    dated = [(i, s) for i, s in enumerate(sentences, 1) if s.year and s.stem and s.year not in s.stem]
    counted = [(i, s) for i, s in enumerate(sentences, 1) if s.facts]
    number = style == "numeric" and bool(counted)
    if not (counted if number else dated):
        return None
    at, s = rng.choice(counted if number else dated)
    answer, used, asked = s.year or "", (at,), f"in which year was it that {s.stem}"
    kind, parts = "a number" if number else "a year", (_part(s),)
    text = f"{OPENINGS.get(style, 'About')} {s.entity}: {asked}?"
    second = [(i, o) for i, o in dated if i != at and o.entity == s.entity and o.year != s.year]
    if number:
        fact = rng.choice(s.facts)
        time = " " + fact.time if fact.time else ""
        answer, text = fact.answer, f"About {s.entity}: how many {fact.noun} are reported{time}?"
        parts = (
            (
                f"the number of {fact.noun}{time}",
                f"statistics and figures: {s.entity}, {fact.noun}",
                f"How many {fact.noun} are reported for {s.entity}{time}?",
            ),
        )
    elif style == "multi_hop":
        others = [i for i, o in enumerate(sentences, 1) if i != at and answer not in o.statement]
        if not others:
            return None
        clue = rng.choice(others)
        text = f"About {s.entity}, given that {clue_of(sentences[clue - 1])}: {asked}?"
        used = (clue, at)
    elif style == "survey" and second:
        (at, s), (at2, o) = sorted([(at, s), rng.choice(second)], key=lambda pair: pair[0])
        text = f"{OPENINGS[style]} {s.entity}: in which years was it that {s.stem}, and that {o.stem}?"
        kind, answer, used = "two years", f"{s.year}; {o.year}", (at, at2)
        parts = (_part(s), _part(o))
    if answer.lower() in text.lower() or not 20 <= len(text) <= 400:
        return None
    return Question(text, style, kind, answer, used, s.entity, parts)


def clue_of(s: Sentence) -> str:
    """Return a statement as a clue: without its full stop and without the entity in front of a colon."""
    return s.statement.removeprefix(f"{s.entity}: ").rstrip(".")


def _part(s: Sentence) -> tuple[str, str, str]:
    return f"the year in which {s.stem}", _key(s.entity, s.stem), f"In which year was it that {s.stem}?"


def _key(entity: str, stem: str) -> str:
    """The entity, always, and seven words of what is asked, without the entity where they begin with it."""
    rest = re.sub(rf"^(?:the )?{re.escape(entity)}(?:'s)?,? ", "", stem, flags=re.IGNORECASE)
    return f"history and timeline: {entity}, {' '.join(rest.split()[:7])}"


def pool_of(rng: Random, size: int, *, easy: bool = False) -> list[Sentence]:
    """Return `size` statements on one to three subjects: half as a memory gives them, by time and the undated last."""
    found: list[Sentence] = []
    while len(found) < size:
        found += [s for s in worlds.passage(rng, rng.randint(2, 6), easy=easy, plain=0.75).sentences if usable(s)]
    found = found[:size]
    if (shape := rng.random()) < 0.25:
        rng.shuffle(found)
    elif shape < 0.75:
        subjects = list(dict.fromkeys(s.entity for s in found))
        found.sort(key=lambda s: (subjects.index(s.entity), s.year is None, s.year or ""))
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
    replies = [question_reply(q) for q in found]
    return Example(
        "question", prompts[0][:cut], "", tuple(Tail(p[cut:], r) for p, r in zip(prompts, replies, strict=True))
    )


def question_reply(asked: Question) -> str:
    """Write a question as the model replies it."""
    return compact({"used": list(asked.used), "question": asked.text, "answer": asked.answer})


def plan(asked: Question) -> tuple[str, dict[str, Any]]:
    """Return analysis and call for a question, from the question alone."""
    subject = asked.entity
    if len(asked.parts) > 1:
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
    return analysis, {"name": tool, "arguments": {"query": list(dict.fromkeys(key for _, key, _ in asked.parts))}}


def plan_reply(asked: Question) -> str:
    """Write the plan for a question as the model replies it."""
    analysis, call = plan(asked)
    return compact({"analysis": analysis, "call": call})


def plan_example(rng: Random, *, easy: bool = False) -> Example:
    """Question -> analysis and call."""
    while True:
        if asked := question(rng, pool_of(rng, 3, easy=easy), rng.choice(STYLES)):
            break
    return Example("plan", chat("en/fas/plan.j2", question=asked.text), plan_reply(asked))
