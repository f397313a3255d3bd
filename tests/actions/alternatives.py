"""Generators of alternatives for the shipped English prompt: one writes as the made-up agent does, others worse."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from synthkit.core.engine import Request
from synthkit.core.ids import seed

WORDS = ("harbour", "bridge", "river", "market", "tower", "council", "lamp", "canal", "road", "mill", "quarry", "ferry")


def words(random: Random) -> str:
    """How everybody in these tests writes."""
    return " ".join(random.choice(WORDS) for _ in range(random.randint(2, 8)))


def step(random: Random) -> dict[str, Any]:
    """A step of the agent, without its response."""
    return {"thought": words(random), "call": {"name": "search", "arguments": {"query": [words(random)]}}}


def _wanted(request: Request) -> tuple[int, bool, Random]:
    text = request.messages[-1].content
    count = int(re.search(r"Write (\d+) steps", text)[1])  # type: ignore[index]
    return count, '[{"thought"' in text, Random(seed(text, request.seed))


def reply(request: Request) -> str:
    """Steps as the agent's own; asked how a run ended, well if its number is even."""
    if request.messages[-1].content.startswith("You judge whether"):
        number, last = re.findall(r"Response: result (\d+)\.(\d+)", request.messages[-1].content)[-1]
        return json.dumps({"reason": f"Result {number}.{last} decides it.", "correct": int(number) % 2 == 0})
    count, thoughts, random = _wanted(request)
    found = [step(random) for _ in range(count)]
    return json.dumps({"alternatives": found if thoughts else [{"call": each["call"]} for each in found]})


def longer(request: Request) -> str:
    """Steps that always say more than the agent does."""
    count, thoughts, random = _wanted(request)
    found = [step(random) for _ in range(count)]
    for each in found:
        each["call"]["arguments"]["query"][0] += " in every detail that can be found out about it"
    return json.dumps({"alternatives": found if thoughts else [{"call": each["call"]} for each in found]})


def alike(request: Request) -> str:
    """Steps that differ in a word."""
    count, thoughts, random = _wanted(request)
    said = " ".join(words(random) for _ in range(4))
    found = []
    for number in range(count):
        made = step(random)
        made["call"]["arguments"]["query"] = [f"{said} {WORDS[number]}"]
        found.append(made if thoughts else {"call": made["call"]})
    return json.dumps({"alternatives": found})
