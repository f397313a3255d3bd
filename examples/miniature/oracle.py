"""The strong teacher: a program that knows the made-up world and answers every prompt of the shipped specs.

It stands where a 30B model would, behind the scripted engine: statements, questions, first moves, chains, turns and
alternatives are those that `examples/nano` is taught with, looked up by the sentences of this world. It is right by
construction, so its judge passes everything; what it cannot ask of some statements it says so that the specs' own
filters set it aside. A reply follows from the prompt alone: a killed run goes on with the same rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import acting
import choosing
import reasoning
import shelf
import teacher
import worlds
from acting import Known, Move
from teacher import Question
from worlds import Passage, Sentence

from synthkit.core.engine import Request

_NUMBERED = re.compile(r"^\[\d+\] (.*)$", re.MULTILINE)
_RESULT = re.compile(r"^- (.*) \(([^()]+)\)\n?(.*)$", re.MULTILINE)
_STEP = re.compile(
    r"^Step \d+\nThought: (.*?)\nCall: (.*?)\nResponse: (.*?)(?=^Step \d+(?: is next)?)", re.MULTILINE | re.DOTALL
)
_TOLD = "\n\nThis is the last turn: answer now."


class Oracle:
    """The teacher of one world; its questions are kept in a file, for specs that run later ask of them."""

    def __init__(self, passages: list[Passage], kept: Path) -> None:
        self.by_text: dict[str, Sentence] = {}
        self.by_statement: dict[str, Sentence] = {}
        for sentence in (s for passage in passages for s in passage.sentences):
            self.by_text[sentence.text] = self.by_statement[sentence.statement] = sentence
        self.kept = kept
        self.questions: dict[str, Question] = {}
        if kept.exists():
            for line in kept.read_text(encoding="utf-8").splitlines():
                found = json.loads(line)
                parts = tuple((a, b, c) for a, b, c in found.pop("parts"))
                self.questions[found["text"]] = Question(**found | {"used": tuple(found["used"]), "parts": parts})

    def reply(self, request: Request) -> str:
        """What the scripted engine answers."""
        if request.labels:
            return "pass"
        first = request.messages[0].content
        makers: dict[str, Callable[[str], Any]] = {
            "Turn a passage into statements": self.claims,
            "Write one hard question": self.question,
            "You are a research agent. You get a question": self.plan,
            "You answer a hard question from memory": self.draft,
            "You correct a draft": self.chain,
            "An agent works on a task step by step": self.alternatives,
        }
        for beginning, make in makers.items():
            if first.startswith(beginning):
                return json.dumps(make(first), ensure_ascii=False)
        responses = [m.content.removesuffix(_TOLD) for m in request.messages[1:] if m.role == "user"]
        asked = self.questions[first.removesuffix(_TOLD).rpartition("\nQuestion: ")[2]]
        return json.dumps(next_move(asked, responses)._asdict(), ensure_ascii=False)

    def claims(self, prompt: str) -> Any:
        """A statement for each sentence of the passage."""
        found = []
        for number, text in enumerate(_NUMBERED.findall(prompt), 1):
            s = self.by_text.get(text)
            if s is not None and teacher.usable(s):
                claim = {"sentence": number, "entity": s.entity, "aliases": list(s.aliases), "statement": s.statement}
                found.append(claim | {"time": s.year})
        return {"claims": found[:8]}

    def question(self, prompt: str) -> Any:
        """A question in the style that is asked for; where there is none, one that the filters refuse."""
        shown, _, style = prompt.partition("Statements:\n")[2].rpartition("\nStyle: ")
        sentences = [self._stated(line) for line in _NUMBERED.findall(shown)]
        asked = teacher.question(Random(prompt), sentences, style)
        if asked is None or any(len(part[2]) > 200 for part in asked.parts):
            nothing = f"Nothing can be asked of these statements in the style {style}"
            return {"used": [1, 2] if len(sentences) > 1 else [1], "question": f"{nothing}?", "answer": nothing}
        if self.questions.setdefault(asked.text, asked) is asked:
            with self.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asked._asdict(), ensure_ascii=False) + "\n")
        return {"used": list(asked.used), "question": asked.text, "answer": asked.answer}

    def plan(self, prompt: str) -> Any:
        """The first move, from the question alone."""
        analysis, call = teacher.plan(self.questions[prompt.rpartition("\nQuestion: ")[2]])
        return {"analysis": analysis, "call": call}

    def draft(self, prompt: str) -> Any:
        """A guess from memory."""
        made = reasoning.draft(Random(prompt), self.questions[prompt.rpartition("\nQuestion: ")[2]])
        return {"parts": made.parts, "draft": made.draft, "first_answer": made.first}

    def chain(self, prompt: str) -> Any:
        """The guess corrected, and the way to the answer."""
        text, _, rest = prompt.rpartition("\nQuestion: ")[2].partition("\nFacts:\n")
        facts, _, rest = rest.partition("\nParts:\n")
        evidence = [self.by_statement[line.removeprefix("- ")] for line in facts.splitlines()]
        first = rest.rpartition("\nFirst answer: ")[2]
        return reasoning.reason(Random(prompt), self.questions[text], evidence, first)._asdict()

    def alternatives(self, prompt: str) -> Any:
        """What else might be done at a step of a run."""
        text, _, past = prompt.rpartition("\nTask: ")[2].partition("\n")
        asked = self.questions[text]
        known = Known(acting.goal_of(asked))
        for thought, call, response in _STEP.findall(past):
            note(known, Move(thought, json.loads(call)), response.rstrip("\n"))
        count = int(prompt.partition(" Write ")[2].partition(" steps")[0])
        return {"alternatives": [move._asdict() for move in choosing.alternatives(known, web=False)[:count]]}

    def _stated(self, line: str) -> Sentence:
        """The sentence behind `entity (time): statement`, wherever its colon is."""
        starts = [at.end() for at in re.finditer(": ", line)]
        return next(self.by_statement[line[at:]] for at in starts if line[at:] in self.by_statement)


def note(known: Known, move: Move, response: str) -> None:
    """Take in what a move brought, as `acting.respond` does where it makes the call itself."""
    if move.call["name"] == "visit":
        if not acting.failed(response):
            known.visited += move.call["arguments"]["url"]
    elif found := [shelf.Result(*each) for each in _RESULT.findall(response)]:
        known.results = found
        known.firsts.append(found[0])
    known.made.append(move)
    known.responses.append(response)


def next_move(asked: Question, responses: list[str]) -> Move:
    """The move after these responses: nano's agent by rule, told what the real tools returned."""
    known = Known(acting.goal_of(asked))
    moves = _moves(asked, known)
    move = next(moves)
    for response in responses:
        note(known, move, "" if response == "(nothing came back)" else response)
        move = next(moves)
    return move


def _moves(asked: Question, known: Known) -> Iterator[Move]:
    part, clue = 0, acting.clue_in(asked)
    for kind in acting.way(asked, clue):
        if kind == "clue":
            move = Move("One clue is given. I check it first.", acting.search(clue or ""))
        elif kind == "open" and known.results:
            move = acting.visit(known.results[0], known.goal)
        else:
            before = acting.half(known, asked) if part else "The clue was searched." if known.made else None
            move = acting.seek(known.goal, part, before or "Nothing is known yet.")
            part += 1
        yield move
        while acting.failed(known.responses[-1]):
            yield (move := acting.again(move))
        if known.responses[-1] == acting.NOTHING:
            yield acting.by_name(known.goal)
    yield acting.answer(known, asked)


def passages(seed: int, count: int) -> Iterator[Passage]:
    """The passages of a world, one title once."""
    rng, titles = Random(seed), set()
    while len(titles) < count:
        made = worlds.passage(rng, rng.randint(3, 5), easy=True)
        if made.title.lower() not in titles:
            titles.add(made.title.lower())
            yield made
