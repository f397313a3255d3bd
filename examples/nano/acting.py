"""How nano acts: an agent by rule over made-up documents, and its turns as examples.

What it does follows from what is shown. The style of the question decides the way: a fact is read off the results; a
number or a page is opened first; a given clue is searched before what is asked; an overview is searched part by part.
After an error the call is made again. A thought copies the first result of the search before it, and the answer is read
off that copy: so an answer is wrong where the first result is another document, as real text has it (`card.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import shelf
from reasoning import guess
from shelf import Asked, Result, call
from teacher import STYLES, Example, Question, Tail

from prompts import chat, compact
from synthkit.actions.rollout import ERRORS

NOTHING = "(nothing found)"
FAILED = "The tool failed. I make the same call again."


class Move(NamedTuple):
    """A thought and a call."""

    thought: str
    call: dict[str, Any]


class Goal(NamedTuple):
    """What is looked for: who or what it is about, what to search, and words of the task to search besides."""

    entity: str
    keys: tuple[str, ...]
    words: str


@dataclass
class Known:
    """What an agent has seen by a step."""

    goal: Goal
    made: list[Move] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    """Of the newest search that found any."""
    firsts: list[Result] = field(default_factory=list)
    """The first result of each search that found any."""
    visited: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    """What each response said, with its source."""

    def steps(self) -> list[dict[str, Any]]:
        """The steps as templates see them."""
        pairs = zip(self.made, self.responses, strict=True)
        return [{"thought": m.thought, "call": m.call, "response": response} for m, response in pairs]


def goal_of(question: Question) -> Goal:
    """What a question of nano's own is after, in words that stand in it."""
    entity = question.entity
    keys = tuple(key.split(": ", 1)[1] for _, key, _ in question.parts)
    return Goal(entity, keys, keys[0])


def search(query: str) -> dict[str, Any]:
    """A search for one query."""
    return call("search", query=[query])


def seek(goal: Goal, part: int = 0, known: str = "Nothing is known yet.") -> Move:
    """Search what is asked; of two parts it is said which, for the next turn goes by it."""
    sought = f"the {('first', 'second')[part]} of two parts" if len(goal.keys) > 1 else "what is asked"
    return Move(f"{known} I search for {sought} about {goal.entity}.", search(goal.keys[part]))


def by_name(goal: Goal) -> Move:
    """Search the name alone."""
    return Move(f"A source on {goal.entity} is needed. I search for the name alone.", search(goal.entity))


def visit(result: Result, goal: Goal) -> Move:
    """Open a result."""
    arguments = {"url": [result.address], "goal": goal.words}
    return Move(f"The page on {result.title} may say it. I open that page.", call("visit", **arguments))


def respond(known: Known, move: Move, library: shelf.Shelf, error: str | None = None) -> None:
    """Make the call of a move, or let it fail, and take in what comes back."""
    name, arguments = move.call["name"], move.call["arguments"]
    if error is not None:
        response, fact = error, "The tool failed."
    elif name == "visit":
        response, line = library.visited(arguments["url"], arguments["goal"])
        known.visited += arguments["url"]
        title = next(d.title for d in library.documents if d.id == arguments["url"][0])
        fact = f"{title} ({arguments['url'][0]}): {line}"
    else:
        response, results = library.searched(arguments["query"])
        if results:
            known.results = results
            known.firsts.append(results[0])
        fact = library.fact(results)
    known.made.append(move)
    known.responses.append(response)
    known.facts.append(fact)


def failed(response: str) -> bool:
    """Whether the tool failed, as injected errors say it."""
    return response in ERRORS.values()


def again(move: Move) -> Move:
    """Make a call once more, for the tool failed."""
    return Move(FAILED, move.call)


def quote(result: Result) -> str:
    """What a result says, and where it stands."""
    return f"From {result.title} ({result.address}): {result.excerpt}"


def half(known: Known, question: Question) -> str:
    """What the first search says on the first of two parts."""
    if not known.firsts:
        return "One part was searched."
    first = question.answer.split("; ")[0]
    ending = f"So the first is {first}." if first in known.firsts[0].excerpt else "This does not say it."
    return f"{quote(known.firsts[0])} {ending}"


def answer(known: Known, question: Question) -> Move:
    """Read the answer off the first result of the last search; where it does not hold it, say so.

    What an earlier search said on the first of two parts was written down then.
    """
    if not known.firsts:
        return Move("Nothing was found on this.", {"final": "unknown"})
    said, parts = quote(known.firsts[-1]), question.answer.split("; ")
    results = known.firsts[-len(parts) :]
    if len(results) == len(parts) and all(part in r.excerpt for part, r in zip(parts, results, strict=True)):
        first, *second = parts
        ending = f"So the first is {first}, and the second is {second[0]}." if second else f"So the answer is {first}."
        return Move(f"{said} {ending}", {"final": question.answer})
    return Move(f"{said} This does not say it.", {"final": "unknown"})


def way(question: Question, clue: str | None) -> list[str]:
    """The moves for a style of question, before the answer."""
    if clue is not None:
        return ["clue", "seek"]
    if question.kind == "two years":
        return ["seek", "seek"]
    return ["seek", "open"] if question.style == "navigation" or question.kind == "a number" else ["seek"]


class Episode(NamedTuple):
    """A question and the whole way to its answer: the state and the move of each turn."""

    asked: Asked
    known: Known
    final: Move


def clue_in(question: Question) -> str | None:
    """The first words of the clue that a question gives."""
    given = question.text.partition(", given that ")[2]
    return " ".join(given.rsplit(": in which", 1)[0].split()[:7]).rstrip(",:") or None


def episode(rng: Random, *, web: bool = False, many: bool = False, errors: float = 0.12) -> Episode:
    """Ask something and act until it is answered; an answer stands in the results in nine of ten cases."""
    while True:
        made = shelf.asked(rng, rng.choice((*STYLES, "survey")), web=web, many=many)
        question, library = made
        known = Known(goal_of(question))
        part = 0
        for kind in way(question, clue := clue_in(question)):
            if kind == "clue":
                move = Move("One clue is given. I check it first.", search(clue or ""))
            elif kind == "open" and known.results:
                move = visit(known.results[0], known.goal)
            else:
                before = half(known, question) if part else "The clue was searched." if known.made else None
                move = seek(known.goal, part, before or "Nothing is known yet.")
                part += 1
            while rng.random() < errors and len(known.made) < 4:
                respond(known, move, library, ERRORS[rng.choice(sorted(ERRORS))])
                move = again(move)
            respond(known, move, library)
            if known.responses[-1] == NOTHING:
                respond(known, by_name(known.goal), library)
        final = answer(known, question)
        if final.call["final"] == "unknown" and (rng.random() > 0.08 or any(c.isdigit() for c in final.thought)):
            continue
        return Episode(made, known, final)


def step_reply(move: Move) -> str:
    """Write a turn as the model replies it."""
    return compact({"thought": move.thought, "call": move.call})


def turns_example(rng: Random, *, easy: bool = False) -> Example:
    """Question and what was seen -> thought and call, once for every turn."""
    done = episode(rng, many=rng.random() < 0.7, errors=0.0 if easy else 0.12)
    question, steps = done.asked.question.text, done.known.steps()
    last = rng.random() < 0.15
    toolset = "offline_research"
    prompts = [
        chat("en/agent/turn.j2", toolset, question=question, steps=steps[:n], last=last and n == len(steps))
        for n in range(len(steps) + 1)
    ]
    replies = [step_reply(move) for move in (*done.known.made, done.final)]
    return branched("turn", prompts, replies)


def branched(task: str, prompts: list[str], replies: list[str]) -> Example:
    """An example of the last prompt, with every prompt and reply as a tail behind what it shares with the last."""
    tails = []
    for prompt, reply in zip(prompts, replies, strict=True):
        cut = shared(prompt, prompts[-1])
        tails.append(Tail(prompt[cut:], reply, cut))
    return Example(task, prompts[-1], "", tuple(tails))


def shared(prompt: str, whole: str) -> int:
    """How much two prompts share, up to the beginning of a line."""
    if whole.startswith(prompt):
        return len(prompt)
    cut = next(i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b)
    while prompt[cut - 1] != "\n":
        cut -= 1
    return cut


def attempt_example(rng: Random, *, easy: bool = False) -> Example:
    """Question -> a guess from memory, for `agent/answer.j2`."""
    question = shelf.asked(rng, rng.choice(STYLES)).question
    first = guess(rng, question)
    thought = f"I recall {question.entity} only in part. I suppose it was {first}, but this is a guess."
    prompt = chat("en/agent/answer.j2", question=question.text)
    return Example("attempt", prompt, compact({"thought": thought, "answer": first}))
