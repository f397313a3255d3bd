"""What else an agent might do at a step: moves that differ in what they do, made of what was seen before it.

Addresses are those of the results, names and words those of the task. Thoughts are in the form of the agent's own, and
of like length, so that the real step is not known by its looks.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import acting
import shelf
import worlds
from acting import Goal, Known, Move
from names import name, word
from shelf import Result, call
from teacher import Example

from prompts import chat, compact

COUNT = 4
SYSTEM = ("You are a research agent. Think, look things up with your tools, then answer.", None)
WH = ("Which {w}", "In which {w}", "How many {w}", "When did the", "What did the", "Who was the", "By how much did the")


class Run(NamedTuple):
    """A run to be looked at step by step: its task, its steps, and what was known before each."""

    question: str
    system: str | None
    steps: list[dict[str, Any]]
    before: list[Known]


def foreign(rng: Random) -> tuple[str, Goal]:
    """A task in words that are not nano's own: the name in it is sought, with the words behind it."""
    entity, behind = name(rng), worlds.words(rng, 0, 6)
    lead = rng.choice(WH).format(w=word(rng))
    text = f"{lead} {worlds.words(rng, 2, 8)} {rng.choice(['of', 'by', 'in', 'that', 'for'])} "
    text += f"{rng.choice(['', 'the '])}{entity}{' ' + behind if behind else ''}"
    words = text.split()[2:6]
    key = " ".join([entity, *behind.split()[:3]])
    return f"{text}?", Goal(entity, (key,), " ".join(words))


def run(rng: Random, *, web: bool = False) -> Run:
    """A run of the agent by rule; `web`: as other agents do it, with tasks, responses and thoughts of other shapes."""
    done = acting.episode(rng, web=web)
    question, library = done.asked
    if not web or rng.random() < 0.25:
        known, text, final = done.known, question.text, done.final
        system = rng.choice(SYSTEM) if web else None
    else:
        text, goal = foreign(rng)
        known = Known(goal)
        wandered(rng, known, library)
        answer = worlds.words(rng, 1, 3) if rng.random() < 0.5 else str(rng.randint(2, 2025))
        final, system = Move("", {"final": answer}), SYSTEM[0]
    last = {"thought": final.thought or None, "call": final.call, "response": None}
    steps = [*known.steps(), last]
    return Run(text, system, steps, [upto(known, n) for n in range(len(steps))])


def wandered(rng: Random, known: Known, library: shelf.Shelf) -> None:
    """Take a few steps that look for something: a search for words of a page, a visit, a program."""
    target = rng.choice(library.documents)
    for n in range(rng.randint(1, 3)):
        thought = f"{worlds.words(rng, 3, 8).capitalize()}. {worlds.words(rng, 2, 6).capitalize()}."
        shape = rng.random()
        if n and shape < 0.15:
            move = Move(
                thought, call("PythonInterpreter", code=f"print({rng.randint(1, 9999)} - {rng.randint(1, 999)})")
            )
            known.made.append(move)
            known.responses.append(str(rng.randint(1, 99999)))
            known.facts.append(f"The program printed {known.responses[-1]}.")
            continue
        if n and known.results and shape < 0.75:
            result = rng.choice(known.results[:2])
            move = Move(thought, call("visit", url=[result.address], goal=worlds.words(rng, 2, 6)))
        else:
            queries = [f"{target.title} {worlds.words(rng, 0, 4)}".strip()]
            move = Move(thought, call("search", query=queries + [worlds.words(rng, 2, 4)] * (rng.random() < 0.15)))
        acting.respond(known, move, library)


def upto(known: Known, count: int) -> Known:
    """What was known before step `count` (from 0)."""
    seen = Known(known.goal, known.made[:count], known.responses[:count], facts=known.facts[:count])
    for move, response in zip(seen.made, seen.responses, strict=True):
        name, arguments = move.call["name"], move.call["arguments"]
        if name == "visit" and not acting.failed(response):
            seen.visited += arguments["url"]
        elif (found := results_in(response)) and "search" in name:
            seen.results = found
    return seen


def results_in(response: str) -> list[Result]:
    """The results in a response, as both forms of search show them."""
    found = []
    for line in response.split("\n"):
        head = line.removeprefix("- ") if line.startswith("- ") else line.partition("] ")[2] if line[:1] == "[" else ""
        title, _, rest = head.partition(" (")
        if rest:
            found.append(Result(title, rest.split(")", 1)[0], ""))
    return found


def alternatives(known: Known, *, web: bool) -> list[Move]:
    """Four moves that might be made, no two the same, none made before unless its tool failed."""
    goal = known.goal
    if known.responses and acting.failed(known.responses[-1]):
        moves = [acting.again(known.made[-1])]
    else:
        moves = [acting.visit(r, goal) for r in known.results if r.address not in known.visited][:2]
    moves.append(acting.by_name(goal))
    if web:
        thought = f"A paper on {goal.entity} may say it. I look among papers."
        moves.append(Move(thought, call("google_scholar", query=[goal.entity])))
    both = call("search", query=[goal.entity, goal.words])
    more = {
        "The name and the words of the task can be searched side by side.": both,
        f"The history of {goal.entity} may tell it. I search for that.": acting.search(f"history of {goal.entity}"),
        f"There may be figures on {goal.entity}. I search for them.": acting.search(f"figures on {goal.entity}"),
    }
    moves += [Move(thought, each) for thought, each in more.items()]
    made = [move.call for move in known.made]
    found: list[Move] = []
    for move in moves:
        if move.call is both and goal.entity == goal.words:
            continue  # the name is all that the task says
        if move.call not in [m.call for m in found] and (move.call not in made or move.thought == acting.FAILED):
            found.append(move)
    return found[:COUNT]


def alternatives_example(rng: Random, *, web: bool = False, bare: bool = False) -> Example:
    """Task and past -> four steps that might come next, once for each step of a run.

    `bare`: for a step without a thought, where the alternatives show none either.
    """
    while (made := run(rng, web=web)).steps[-1]["thought"] is not None and bare:
        pass
    toolset = "deep_research" if web else "offline_research"
    prompts, replies = [], []
    for n, known in enumerate(made.before):
        thoughts = made.steps[n]["thought"] is not None
        if thoughts == bare:
            continue
        prompts.append(
            chat(
                "en/has/alternatives.j2",
                toolset,
                count=COUNT,
                thoughts=thoughts,
                say=False,
                system=made.system,
                question=made.question,
                past=made.steps[:n],
            )
        )
        moves = alternatives(known, web=web)
        replies.append(compact({"alternatives": [m._asdict() if thoughts else {"call": m.call} for m in moves]}))
    return acting.branched("alternatives", prompts, replies)
